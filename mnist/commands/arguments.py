"""What the scripts share: their flags, and how they fail. No torch here, so --help is instant."""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from mnist import options
from mnist.errors import Interrupted, UserError, first_line
from mnist.options import KINDS, Kind
from mnist.version import __version__

TOOL_EXIT_CODES = """\
exit codes: 0 done; 1 a bug, with its traceback; 2 a user error, in one line; 4 no checkpoint of the
run is whole; 130 stopped by Ctrl-C. MNIST_TRACEBACK=1 shows where it failed."""
TRAINING_EXIT_CODES = """\
exit codes: 0 done; 1 a bug, with its traceback; 2 a user error, in one line; 3 a loss or gradient
became NaN or infinite; 4 the run directory cannot be written, or has no whole checkpoint any more;
129/130/143 stopped by SIGHUP/Ctrl-C/SIGTERM, with the run saved. SIGUSR1 saves, and training goes
on. MNIST_TRACEBACK=1 shows where it failed."""

CKPT_DIR = "mnist{feature_size}.ckpt"  # of an autoencoder, where none is named
FEATURE_SIZE = 4
CLASSIFIER_DIR = "mnist-classifier.ckpt"
# The second opinion: another network, of another seed, that knows what is no digit.
SECOND_OPINION_DIR = "mnist-second-opinion.ckpt"

# Defaults of the tools' flags, each here and nowhere else. A flag that was not given is absent from
# the parsed arguments, so that it can be told from one that contradicts another.
DEFAULTS: dict[str, Any] = {
    "feature_size": FEATURE_SIZE,
    "seed": 0,
    "count": 1,
    "sample_size": 500,
    "projection": "matrix",
    "space": "style",
}
# Of guide.py. The learning rates are ones at which the descent simply works.
GUIDE_DEFAULTS = DEFAULTS | {
    "classifier": CLASSIFIER_DIR,
    "independent": SECOND_OPINION_DIR,
    "free": "both",
    "starts": {"a digit": 1, "a survey": 1000},
    "steps": 400,
    "lr": {"adam": 0.4, "sgd": 0.1},
    "optimizer": "adam",
    "stop_at": 0.99,
    "stay_likely": 0.3,
}
# Of evaluate.py.
EVALUATE_DEFAULTS = DEFAULTS | {"judge": CLASSIFIER_DIR}
# Of geodesic.py.
GEODESIC_DEFAULTS = DEFAULTS | {
    "space": "pixels",
    "classifier": CLASSIFIER_DIR,
    "solver": "gauss-newton",
    "monte_carlo": {"--compare": 200},
    "pairs": "random",
}


NEGATIVE = re.compile(r"-[\d.][\d.,eE+-]*")  # a number, or several, below zero


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that says what is wrong in one line.

    Args:
        doc: the script's docstring, its description.
        exit_codes: what its exit codes mean.
        defaults: of its flags.
    """

    def __init__(self, doc: str, exit_codes: str, defaults: dict[str, Any] = DEFAULTS):
        super().__init__(
            description=doc,
            epilog=exit_codes,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )
        self.defaults = defaults
        self.add_argument("--version", action="version", version=f"mnist-style {__version__}")

    def flag(self, name: str, text: str, **options) -> None:
        """Add a flag, and its default to its help."""
        default = self.defaults.get(name.removeprefix("--").replace("-", "_"))
        if isinstance(default, dict):
            default = ", ".join(f"{value} for {key}" for key, value in default.items())
        if default is not None and "action" not in options:
            text += f" (default: {str(default).replace('{feature_size}', 'N')})"
        self.add_argument(name, help=text, **options)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """As usual, but "-0.3,1.2" is taken for a style and not for a flag."""
        given = sys.argv[1:] if args is None else args
        # What has a space in it is no flag to argparse; all types of ours strip it.
        spaced = [f" {text}" if NEGATIVE.fullmatch(text) else text for text in given]
        return super().parse_args(spaced, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and what was perhaps meant, in a line."""
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        if unknown:
            name, _, value = unknown[1].partition("=")
            flags = re.findall(r"--[a-z][a-z-]*", self.format_usage())
            if alike := get_close_matches(name, flags, 1):
                message += f": did you mean {alike[0]}{'=' * bool(value)}{value}?"
            elif not name.startswith("-") and "--ckpt-dir" in flags and Path(name).is_dir():
                message += f": did you mean --ckpt-dir {name}?"
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def tool_parser(
    doc: str,
    output: str | None,
    defaults: dict[str, Any] = DEFAULTS,
    exit_codes: str = TOOL_EXIT_CODES,
    several: bool = False,
) -> Parser:
    """The flags that all tools on a trained run share.

    Args:
        doc: the script's docstring.
        output: what its `--output` may be, and what happens without it; None if it has none.
        defaults: of its flags.
        exit_codes: what its exit codes mean.
        several: whether it takes more than one run.
    """
    parser = Parser(doc, exit_codes, defaults)
    add = parser.flag
    add(
        "--feature-size",
        "dimensions of the style, which name the run directory: mnistN.ckpt",
        type=whole_number(1),
        metavar="N",
    )
    if several:
        add("--ckpt-dir", "directories of runs (default: mnistN.ckpt)", nargs="+", metavar="DIR")
    else:
        add("--ckpt-dir", "directory of the run (default: mnistN.ckpt)", metavar="DIR")
    add(
        "--data-dir",
        "where the data set's files are (default: $MNIST_DATA_DIR, then ./data)",
        metavar="D",
    )
    add("--device", "where to compute (default: auto)", choices=["auto", "cpu", "cuda", "mps"])
    add("--seed", "of what is drawn or chosen", type=whole_number(0), metavar="S")
    if output:
        add("--output", output, metavar="FILE")
    return parser


def argument(kind: Kind) -> Callable[[str], Any]:
    """A kind of value as an argument type."""

    def parse(text: str) -> Any:
        try:
            return kind.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


positive_number, any_number = argument(KINDS["Positive"]), argument(KINDS["float"])


def whole_number(least: int) -> Callable[[str], int]:
    """An argument type: a whole number of at least `least`, and below 2³²."""
    return argument(options.whole_number(least))


def number_between(low: float, high: float) -> Callable[[str], float]:
    """An argument type: a number of at least `low`, and below `high`."""
    what = f"a number of at least {low:g} and below {high:g}"
    return argument(options.number(what, lambda value: low <= value < high))


def numbers(text: str) -> list[float]:
    """An argument type: finite numbers with commas between them."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise argparse.ArgumentTypeError(
            f"{text.strip()!r} is not a list of numbers such as 0.3,-1.2"
        )
    return values


def whole_numbers(text: str) -> list[int]:
    """An argument type: whole numbers with commas between them."""
    parts = text.split(",")
    if not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(
            f"{text.strip()!r} is not a list of whole numbers such as 0,3,7"
        )
    return [int(part) for part in parts]


def run_directory(given: dict[str, Any]) -> Path:
    """The directory of the run that the flags name."""
    size = given.get("feature_size", FEATURE_SIZE)
    return Path(given.get("ckpt_dir") or CKPT_DIR.format(feature_size=size))


def import_files(paths: str) -> None:
    """Import files that register methods and data sets of their own (docs/extending.md).

    Args:
        paths: of .py files, with commas between them.

    Raises:
        UserError: one of them is not there, or fails.
    """
    for path in filter(None, map(str.strip, paths.split(","))):
        # A name of its own, so that no file can take the place of another module.
        spec = importlib.util.spec_from_file_location(f"mnist_import_{Path(path).stem}", path)
        if spec is None or not Path(path).is_file():
            raise UserError(f"MNIST_IMPORT: {path} is no .py file that is there")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise UserError(
                f"MNIST_IMPORT: {path} cannot be imported ({type(error).__name__}: "
                f"{first_line(error)})"
            ) from error


def main(parser: Parser, run: Callable[[dict], None]) -> None:
    """Parse the command line, run, and turn whatever goes wrong into a line and an exit code."""
    arguments = vars(parser.parse_args())
    try:
        import_files(os.environ.get("MNIST_IMPORT", ""))
        run(arguments)
        sys.stdout.flush()
    except (UserError, OSError, ModuleNotFoundError) as error:
        if os.environ.get("MNIST_TRACEBACK") == "1":
            traceback.print_exc()
        sys.exit(complain(parser.prog, error))
    except Exception:  # a mistake of this program: whoever mends it needs to see where
        traceback.print_exc()
        print(f"{parser.prog}: this is a bug of mnist-style {__version__}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped; nothing is half-written", file=sys.stderr)
        sys.exit(130)


def complain(program: str, error: UserError | OSError | ModuleNotFoundError) -> int:
    """Say in one line what happened; return the exit code."""
    code = error.exit_code if isinstance(error, UserError) else 2
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone: nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    message = str(error)
    if isinstance(error, ModuleNotFoundError):
        part = "vis-" if (error.name or "").split(".")[0] in ("matplotlib", "PyQt5") else ""
        message = (
            f"{message}: run `pip install -r {part}requirements.txt` in the environment that "
            "`make train` made, entered with `source .venv/bin/activate`"
        )
    elif not isinstance(error, UserError):
        message = f"{type(error).__name__}: {message} (MNIST_TRACEBACK=1 shows where)"
    kind = "" if isinstance(error, Interrupted) else "error: "
    with suppress(OSError):  # the terminal may be gone: then nobody is to be told
        print(f"{program}: {kind}{' '.join(message.split())}", file=sys.stderr)
    return code
