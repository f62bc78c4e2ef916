"""What the training scripts share: flags that follow from a method's signature."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import mnist
from mnist.commands.arguments import TRAINING_EXIT_CODES, Parser, add_option, main
from mnist.commands.flags import KINDS
from mnist.errors import UserError
from mnist.options import Option, attribute_in, flag_of, options_in, options_of
from mnist.training.settings import Settings

METHODS = Path(mnist.__file__).parent / "methods"
SETTINGS = {
    name: option
    for name, option in options_of(Settings, KINDS).items()
    if name not in ("method", "options")
}


class Variant(NamedTuple):
    """What a training script trains where some option is given, instead of its usual method.

    Attributes:
        method: likewise the name of a file in `mnist/methods/`.
        directory: of its run.
    """

    method: str
    directory: str


def train_command(
    method: str, doc: str, directory: str, variants: Mapping[str, Variant] | None = None
) -> None:
    """Do what a training script does.

    Args:
        method: the name of a file in `mnist/methods/`, or of a method registered elsewhere.
        doc: the script's docstring.
        directory: of the run where none is named; "{option}" stands for an option's value.
        variants: other methods, by the option that asks for one.
    """
    usual, variants = Variant(method, directory), variants or {}
    parser = training_parser(doc, usual, variants)
    main(parser, lambda given: train(chosen(usual, variants, given), given))


def chosen(usual: Variant, variants: Mapping[str, Variant], given: Mapping[str, Any]) -> Variant:
    """What is asked for: by an option of it, or by the run that is in the directory already.

    Raises:
        UserError: an option does not apply to it.
    """
    asked = [name for name in variants if name in given]
    found = variants[asked[0]] if asked else usual
    if not asked and "ckpt_dir" in given:
        there = method_in(Path(given["ckpt_dir"]))
        found = next((each for each in variants.values() if each.method == there), usual)
    for name in sorted(
        given.keys() - signature(found.method)[0].keys() - SETTINGS.keys() - {"quiet", "json"}
    ):
        flag = flag_of(name if given[name] is not False else f"no_{name}")
        with_flags = " or ".join(
            flag_of(other) for other, each in variants.items() if name in signature(each.method)[0]
        )
        if found == usual:
            raise UserError(f"{flag} says something only with {with_flags}")
        with_what = flag_of(asked[0]) if asked else f"the run in {given['ckpt_dir']}"
        raise UserError(f"{flag} says nothing with {with_what}: leave one of them out")
    return found


def method_in(directory: Path) -> str | None:
    """The method of the run in a directory, if there is one."""
    try:
        return json.loads((directory / "config.json").read_text())["method"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # if something is wrong with it, training will say what


def signature(method: str) -> tuple[dict[str, Option], tuple[int, int]]:
    """A method's options, and its usual epochs: of one of ours without importing it."""
    if (METHODS / f"{method}.py").exists():
        return options_in(METHODS, method), attribute_in(METHODS, method, "epochs")
    from mnist import methods  # late: torch takes a second or two to import

    kind = methods.METHODS[method]
    return options_of(kind), kind.epochs


def train(variant: Variant, given: dict[str, Any]) -> None:
    """Train as the command line says.

    Raises:
        UserError: any user error.
    """
    from mnist.methods import METHODS  # late: torch takes a second or two to import
    from mnist.training.log import JsonLines, Report
    from mnist.training.plan import train_run

    method, directory = variant
    options = options_of(METHODS[method])
    values = {name: given[name] for name in options if name in given}
    ours = {name: given[name] for name in SETTINGS if name in given}
    for name in ("dataset", "device"):
        if ours.get(name) == "auto":  # as if it was not given
            del ours[name]
    known = {name: option.default for name, option in options.items()} | values
    ours["ckpt_dir"] = Path(ours.get("ckpt_dir") or directory.format(**known))
    settings = Settings(method=method, options=values, **ours)
    report = JsonLines if given.get("json") else Report
    train_run(settings, report(quiet=given.get("quiet", False)))


def training_parser(doc: str, usual: Variant, variants: Mapping[str, Variant]) -> Parser:
    """The flags of a training script: its methods' options, and those of all training."""
    options, (large, small) = signature(usual.method)
    groups = {"what is trained": options}
    epochs = f"{large} on MNIST; {small} on its 4,000 bundled images; others by their number"
    directories = [usual.directory]
    for other in dict.fromkeys(variant.method for variant in variants.values()):
        flags = [name for name, variant in variants.items() if variant.method == other]
        asked = " or ".join(map(flag_of, flags))
        theirs, usually = signature(other)
        groups[f"with {asked}"] = {k: each for k, each in theirs.items() if k not in options}
        for key in theirs.keys() & options.keys():
            default = theirs[key].default
            if default != options[key].default:
                value = ",".join(map(str, default)) if isinstance(default, tuple) else default
                theirs_is = "" if theirs[key].help == options[key].help else f", {theirs[key].help}"
                more = f"{options[key].help}; with {asked}: {value}{theirs_is}"
                options[key] = options[key]._replace(help=more)
        epochs += "; with {}: {} and {}".format(asked, *usually)
        directories += [variants[name].directory for name in flags]
    options["precision"] = or_auto(options["precision"])
    defaults = {
        "epochs": epochs,
        "ckpt_dir": ", ".join(re.sub("{.*?}", "N", each) for each in directories),
    }
    settings = {
        name: option._replace(default=defaults.get(name, option.default))
        for name, option in SETTINGS.items()
    }
    parser = Parser(doc, TRAINING_EXIT_CODES)
    for title, each in {**groups, "how": settings}.items():
        group = parser.add_argument_group(title)
        for option in each.values():
            add_option(group.add_argument, option)
    group.add_argument("--quiet", action="store_true", help="say nothing but warnings and errors")
    group.add_argument(
        "--json", action="store_true", help="print lines of JSON, for programs and not for people"
    )
    return parser


def or_auto(precision: Option) -> Option:
    """The option as a command line has it, with a value that a configuration has not."""
    return precision._replace(
        annotation="Literal['auto', 'fp32', 'bf16']",
        default="auto",
        help=f"{precision.help}; auto takes bf16 on a processor with instructions for it",
    )
