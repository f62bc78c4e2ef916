"""What the scripts share: their flags, and how they fail. No torch here, so --help is instant."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mnist.errors import Interrupted, Problem
from mnist.version import __version__

TOOL_EXIT_CODES = """\
exit codes: 0 done; 2 something to mend, said in one line; 4 no checkpoint of the run is whole;
130 stopped by Ctrl-C. MNIST_TRACEBACK=1 shows where it failed."""
TRAINING_EXIT_CODES = """\
exit codes: 0 done; 2 something to mend, said in one line; 3 a loss or gradient became NaN or
infinite; 4 the run's directory cannot be written, or has no whole checkpoint any more;
129/130/143 stopped by SIGHUP/Ctrl-C/SIGTERM, with the run saved. SIGUSR1 saves, and training goes
on. MNIST_TRACEBACK=1 shows where it failed."""

# Each default stands here and nowhere else; a flag that was not given is absent from the parsed
# arguments, so that a continued run can tell it from one that contradicts it.
DEFAULTS = {
    "ckpt_dir": "mnist{feature_size}.ckpt",
    "feature_size": 4,
    "batch_size": 250,
    "lr": 2.5e-3,
    "prior_std": 1.0,
    "labels": True,
    "dataset": "auto",
    "data_dir": None,
    "seed": 0,
    "device": "auto",
    "precision": "auto",
    "log_every": 100,
    # A small set needs more rounds, up to where it is only learnt by heart (docs/LOG.md).
    "epochs": {"mnist": 30, "mnist-5k": 60},
    "patience": None,
    "save_every": None,
    "keep": 2,
    "deterministic": False,
    "count": 1,
    "sample_size": 500,
    "projection": "matrix",
    "space": "style",
    "quiet": False,
}
# Those that are others for mnist-classifier.py.
CLASSIFIER_DEFAULTS = DEFAULTS | {
    "ckpt_dir": "mnist-classifier.ckpt",
    "layers": None,
    "outliers": False,
    "lr": 4e-3,
    "epochs": {"mnist": 8, "mnist-5k": 40},
}
# Those of guide.py. The learning rates are ones at which the descent simply works.
GUIDE_DEFAULTS = DEFAULTS | {
    "classifier": CLASSIFIER_DEFAULTS["ckpt_dir"],
    "independent": "mnist-second-opinion.ckpt",
    "free": "both",
    "starts": {"a digit": 1, "a survey": 1000},
    "steps": 400,
    "lr": {"adam": 0.4, "sgd": 0.1},
    "optimizer": "adam",
    "stop_at": 0.99,
    "stay_likely": 0.3,
}
# Those of evaluate.py.
EVALUATE_DEFAULTS = DEFAULTS | {"judge": CLASSIFIER_DEFAULTS["ckpt_dir"]}
# Those of geodesic.py.
GEODESIC_DEFAULTS = DEFAULTS | {
    "digit": 5,
    "space": "pixels",
    "classifier": CLASSIFIER_DEFAULTS["ckpt_dir"],
    "solver": "gauss-newton",
    "monte_carlo": {"--compare": 200},
    "pairs": "random",
}


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
        # So that "-0.3,1.2" is taken for a style and not for a flag, as "-0.3" is for a number.
        self._negative_number_matcher = re.compile(r"-[\d.][\d.,eE+-]*$")

    def flag(self, name: str, text: str, **options) -> None:
        """Add a flag, and its default to its help."""
        default = self.defaults.get(name.removeprefix("--").replace("-", "_"))
        if isinstance(default, dict):
            default = ", ".join(f"{value} for {key}" for key, value in default.items())
        if default is not None and "action" not in options:
            text += f" (default: {str(default).replace('{feature_size}', 'N')})"
        self.add_argument(name, help=text, **options)

    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def autoencoder_parser(doc: str) -> Parser:
    """The flags of a script that trains an autoencoder, whose docstring is its description."""
    parser = training_parser(doc, DEFAULTS)
    add = parser.flag
    add("--feature-size", "numbers in a style", type=whole_number(1), metavar="N")
    add("--prior-std", "standard deviation of the style", type=positive_number, metavar="STD")
    add(
        "--no-labels",
        "keep the digit from every network: a plain autoencoder",
        dest="labels",
        action="store_false",
    )
    return parser


def training_parser(doc: str, defaults: dict[str, Any]) -> Parser:
    """The flags of every training script."""
    parser = Parser(doc, TRAINING_EXIT_CODES, defaults)
    add = parser.flag
    add("--epochs", "epochs in all", type=whole_number(1), metavar="E")
    add("--batch-size", "images in a training step", type=whole_number(2), metavar="B")
    add("--lr", "learning rate at the start", type=positive_number, metavar="LR")
    add("--ckpt-dir", "directory of the run, continued where it stopped", metavar="DIR")
    add(
        "--dataset",
        "the 70,000 images, or the 5,000 that are always there; auto takes the first it can have",
        choices=["auto", *defaults["epochs"]],
    )
    add(
        "--data-dir",
        "where MNIST's files are, or are downloaded to (default: $MNIST_DATA_DIR, then ./data)",
        metavar="DIR",
    )
    add("--seed", "of weights, order and noise", type=whole_number(0), metavar="S")
    add("--device", "where to compute", choices=["auto", "cpu", "cuda", "mps"])
    add(
        "--precision",
        "of matrix products; auto takes bf16 on a processor with instructions for it",
        choices=["auto", "fp32", "bf16"],
    )
    add("--log-every", "batches between two lines", type=whole_number(1), metavar="K")
    add(
        "--save-every",
        "steps between two checkpoints, besides the one at each epoch's end",
        type=whole_number(1),
        metavar="K",
    )
    add("--keep", "checkpoints kept, the newest ones", type=whole_number(1), metavar="K")
    add(
        "--deterministic",
        "the same bits on every run on a GPU too, if more slowly; on a CPU they are so anyway",
        action="store_true",
    )
    add("--quiet", "say nothing but warnings and errors", action="store_true")
    return parser


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
        "numbers in a style, which name the run's directory: mnistN.ckpt",
        type=whole_number(1),
        metavar="N",
    )
    if several:
        add("--ckpt-dir", "directories of runs, if of another name", nargs="+", metavar="DIR")
    else:
        add("--ckpt-dir", "directory of the run, if of another name", metavar="DIR")
    add(
        "--data-dir", "where MNIST's files are (default: $MNIST_DATA_DIR, then ./data)", metavar="D"
    )
    add("--seed", "of what is drawn or chosen", type=whole_number(0), metavar="S")
    if output:
        add("--output", output, metavar="FILE")
    return parser


def whole_number(least: int) -> Callable[[str], int]:
    """An argument type: a whole number of at least `least`, and below 2³²."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value < 2**32:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return value

    return parse


def positive_number(text: str) -> float:
    """An argument type: a finite number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return value


def any_number(text: str) -> float:
    """An argument type: a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def number_between(low: float, high: float) -> Callable[[str], float]:
    """An argument type: a number of at least `low`, and below `high`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value < high:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number of at least {low:g} and below {high:g}"
            )
        return value

    return parse


def numbers(text: str) -> list[float]:
    """An argument type: finite numbers with commas between them."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 0.3,-1.2")
    return values


def whole_numbers(text: str) -> list[int]:
    """An argument type: whole numbers with commas between them."""
    parts = text.split(",")
    if not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 0,3,7")
    return [int(part) for part in parts]


def run_directory(given: dict[str, Any], defaults: dict[str, Any] = DEFAULTS) -> Path:
    """The directory of the run that the flags name."""
    return Path(given.get("ckpt_dir") or defaults["ckpt_dir"].format(**defaults | given))


def warn(message: str) -> None:
    """One line on standard error, and on with the work."""
    print(f"warning: {message}", file=sys.stderr, flush=True)


def main(parser: Parser, run: Callable[[dict], None]) -> None:
    """Parse the command line, run, and turn whatever goes wrong into a line and an exit code."""
    arguments = vars(parser.parse_args())
    try:
        run(arguments)
        sys.stdout.flush()
    except Exception as error:
        if os.environ.get("MNIST_TRACEBACK") == "1":
            traceback.print_exc()
        sys.exit(complain(parser.prog, error))
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped; nothing is half-written", file=sys.stderr)
        sys.exit(130)


def complain(program: str, error: Exception) -> int:
    """Say in one line what happened; return the exit code."""
    code = error.exit_code if isinstance(error, Problem) else 2
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
    elif not isinstance(error, Problem):
        message = f"{type(error).__name__}: {message} (MNIST_TRACEBACK=1 shows where)"
    kind = "" if isinstance(error, Interrupted) else "error: "
    with suppress(OSError):  # the terminal may be gone: then nobody is to be told
        print(f"{program}: {kind}{' '.join(message.split())}", file=sys.stderr)
    return code
