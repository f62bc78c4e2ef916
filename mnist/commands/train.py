"""What the training scripts share: flags that follow from a method's signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mnist
from mnist.commands.arguments import TRAINING_EXIT_CODES, Parser, add_option, main
from mnist.commands.flags import KINDS
from mnist.options import Option, attribute_in, options_in, options_of
from mnist.training.settings import Settings

METHODS = Path(mnist.__file__).parent / "methods"
SETTINGS = {
    name: option
    for name, option in options_of(Settings, KINDS).items()
    if name not in ("method", "options")
}


def train_command(method: str, doc: str, directory: str) -> None:
    """Do what a training script does.

    Args:
        method: the name of a file in `mnist/methods/`, or of a method registered elsewhere.
        doc: the script's docstring.
        directory: of the run where none is named; "{option}" stands for an option's value.
    """
    main(training_parser(doc, method, directory), lambda given: train(method, directory, given))


def signature(method: str) -> tuple[dict[str, Option], tuple[int, int]]:
    """A method's options, and its usual epochs: of one of ours without importing it."""
    if (METHODS / f"{method}.py").exists():
        return options_in(METHODS, method), attribute_in(METHODS, method, "epochs")
    from mnist import methods  # late: torch takes a second or two to import

    kind = methods.METHODS[method]
    return options_of(kind), kind.epochs


def train(method: str, directory: str, given: dict[str, Any]) -> None:
    """Train as the command line says.

    Raises:
        UserError: any user error.
    """
    from mnist.methods import METHODS  # late: torch takes a second or two to import
    from mnist.training.log import Report
    from mnist.training.plan import train_run

    options = options_of(METHODS[method])
    chosen = {name: given[name] for name in options if name in given}
    ours = {name: given[name] for name in SETTINGS if name in given}
    for name in ("dataset", "device"):
        if ours.get(name) == "auto":  # as if it was not given
            del ours[name]
    values = {name: option.default for name, option in options.items()} | chosen
    ours["ckpt_dir"] = Path(ours.get("ckpt_dir") or directory.format(**values))
    settings = Settings(method=method, options=chosen, **ours)
    train_run(settings, Report(quiet=given.get("quiet", False)))


def training_parser(doc: str, method: str, directory: str) -> Parser:
    """The flags of a training script: its method's options, and those of all training."""
    options, (large, small) = signature(method)
    # On the command line it has a value that a configuration has not.
    what = options["precision"].help
    options["precision"] = options["precision"]._replace(
        annotation="Literal['auto', 'fp32', 'bf16']",
        default="auto",
        help=f"{what}; auto takes bf16 on a processor with instructions for it",
    )
    usual = {
        "epochs": f"{large}; {small} on fewer than 20,000 images",
        "ckpt_dir": directory.replace("{feature_size}", "N"),
    }
    settings = {
        name: option._replace(default=usual.get(name, option.default))
        for name, option in SETTINGS.items()
    }
    parser = Parser(doc, TRAINING_EXIT_CODES)
    for title, each in (("what is trained", options), ("how", settings)):
        group = parser.add_argument_group(title)
        for option in each.values():
            add_option(group.add_argument, option)
    group.add_argument("--quiet", action="store_true", help="say nothing but warnings and errors")
    return parser
