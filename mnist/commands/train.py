"""What the training scripts share: flags that follow from a method's signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import mnist
from mnist.commands.arguments import (
    TRAINING_EXIT_CODES,
    Parser,
    argument,
    main,
    whole_number,
)
from mnist.options import KINDS, Option, attribute_in, options_in, options_of

METHODS = Path(mnist.__file__).parent / "methods"
# Written by hand below, since on the command line they have a value that a configuration has not.
ELSEWHERE = ("precision",)


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
    from mnist.training.plan import Settings, train_run

    options = options_of(METHODS[method])
    chosen = {name: given[name] for name in options if name in given}
    names = {each.name for each in fields(Settings)} - {"method", "options"}
    ours = {name: given[name] for name in names if name in given}
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
    parser = Parser(doc, TRAINING_EXIT_CODES)
    group = parser.add_argument_group("what is trained")
    for option in options.values():
        if option.name not in ELSEWHERE:
            add_option(group.add_argument, option)
    group.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16"],
        help=f"{options['precision'].help}; auto takes bf16 on a processor with instructions for it"
        " (default: auto)",
    )
    group = parser.add_argument_group("how")
    add = group.add_argument
    count = argument(KINDS["Count"])
    shown = directory.replace("{feature_size}", "N")
    add(
        "--epochs",
        type=count,
        metavar="E",
        help=f"epochs in all (default: {large}; {small} on fewer than 20,000 images)",
    )
    add("--batch-size", type=whole_number(2), metavar="B", help="images a step (default: 250)")
    add(
        "--ckpt-dir",
        metavar="DIR",
        help=f"directory of the run, which is resumed there (default: {shown})",
    )
    add(
        "--dataset",
        metavar="NAME",
        help="mnist, the 70,000 images, or mnist-5k, those that are always there; auto takes the "
        "first it can have (default: auto)",
    )
    add(
        "--data-dir",
        metavar="DIR",
        help="where the files are, or are downloaded to (default: $MNIST_DATA_DIR, then ./data)",
    )
    add(
        "--hold-out",
        type=count,
        metavar="K",
        help="keep K training images from training, the last ones of each class, and validate on "
        "them as well",
    )
    add(
        "--patience",
        type=count,
        metavar="P",
        help="stop after P epochs without improvement on held-out training images; keeps the last "
        "weights",
    )
    add("--device", choices=["auto", "cpu", "cuda", "mps"], help="where to compute (default: auto)")
    add("--log-every", type=count, metavar="K", help="batches between two lines (default: 100)")
    add(
        "--save-every",
        type=count,
        metavar="K",
        help="steps between two checkpoints, besides the one at each epoch's end",
    )
    add("--keep", type=count, metavar="K", help="checkpoints kept, the newest ones (default: 2)")
    add(
        "--deterministic",
        action="store_true",
        help="the same bits on every run on a GPU too, if more slowly; on a CPU they are so anyway",
    )
    add("--quiet", action="store_true", help="say nothing but warnings and errors")
    return parser


def add_option(add: Callable[..., Any], option: Option) -> None:
    """Add the flag of an option of a method, by a parser's or group's `add_argument`."""
    name = option.name.replace("_", "-")
    default = option.default
    if option.annotation == "bool":
        negative = default is True
        add(
            f"--no-{name}" if negative else f"--{name}",
            dest=option.name,
            action="store_false" if negative else "store_true",
            help=f"do not {option.help}" if negative else option.help,
        )
        return
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    known = default is not None and default is not inspect.Parameter.empty
    add(
        f"--{name}",
        type=argument(option.kind),
        choices=option.choices,
        metavar=None if option.choices else option.kind.metavar,
        help=option.help + (f" (default: {default})" if known else ""),
    )
