"""What the scripts share: their flags, and how they fail. No torch here, so --help is instant."""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib.util
import inspect
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from mnist.commands.flags import KINDS, Flags
from mnist.errors import Interrupted, UserError, first_line, say, silence_if_dead
from mnist.options import Kind, Option, flag_of, options_of
from mnist.version import __version__

TOOL_EXIT_CODES = """\
exit codes: 0 done; 1 a bug, with its traceback; 2 a user error, in one line; 4 no checkpoint of the
run is whole; 130 stopped by Ctrl-C. MNIST_TRACEBACK=1 shows where it failed."""
TRAINING_EXIT_CODES = """\
exit codes: 0 done; 1 a bug, with its traceback; 2 a user error, in one line; 3 a loss or gradient
became NaN or infinite; 4 the run directory cannot be written, or has no whole checkpoint any more;
5 another process of the training has died; 129/130/143 stopped by SIGHUP/Ctrl-C/SIGTERM, with the
run saved. SIGUSR1 saves, and training goes on. MNIST_TRACEBACK=1 shows where it failed."""

# Flags of tools that go by another name as well, for classes that are no digits.
SYNONYMS = {"digit": "class", "digits": "classes", "from_digit": "from_class"}
# How often a thread looks whether the others are ready before it sleeps, with the OpenMP that torch
# has on Linux: for some 20 µs, where 300,000 looks, its own default, take milliseconds. Beside busy
# processes the thread that is looked out for may not be running at all, and only get its turn when
# the one that looks is through with its own (docs/performance.md).
LOOKS = "1000"
NEGATIVE = re.compile(r"-[\d.][\d.,eE+-]*")  # a number, or several, below zero


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that says what is wrong in one line.

    Args:
        doc: the script's docstring, its description.
        exit_codes: what its exit codes mean.
    """

    def __init__(self, doc: str, exit_codes: str):
        super().__init__(
            description=doc,
            epilog=exit_codes,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,  # what was not given is absent
            allow_abbrev=False,
        )
        self.add_argument("--version", action="version", version=f"mnist-style {__version__}")

    def parse(self, given: Sequence[str]) -> dict[str, Any]:
        """What was given, by name; "-0.3,1.2" is taken for a style and not for a flag."""
        # What has a space in it is no flag to argparse; all types of ours strip it.
        spaced = [f" {text}" if NEGATIVE.fullmatch(text) else text for text in given]
        return vars(self.parse_args(spaced))

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


def tool_command(
    doc: str, kind: type[Flags], run: Callable[[Any], None], exit_codes: str = TOOL_EXIT_CODES
) -> None:
    """Do what a tool's script does.

    Args:
        doc: the script's docstring.
        kind: of its flags.
        run: what is to be done with them.
        exit_codes: what its exit codes mean.
    """
    parser = Parser(doc, exit_codes)
    for option in options_of(kind, KINDS).values():
        add_option(parser.add_argument, option)
    main(parser, lambda given: run(kind(**given)))


def add_option(add: Callable[..., Any], option: Option) -> None:
    """Add the flag of an option, by a parser's or group's `add_argument`."""
    default = option.default
    if option.type == "bool":
        for value in (True, False):
            if value is not default:
                add(
                    flag_of(option.name if value else f"no_{option.name}"),
                    dest=option.name,
                    action="store_true" if value else "store_false",
                    help=option.help if value else f"do not {option.help}",
                )
        return
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    known = default is not None and default is not inspect.Parameter.empty
    names = [option.name, *filter(None, [SYNONYMS.get(option.name)])]
    add(
        *map(flag_of, names),
        dest=option.name,
        help=option.help + (f" (default: {default})" if known else ""),
        **({"choices": option.choices} if option.choices else reading(option)),
    )


def reading(option: Option) -> dict[str, Any]:
    """How the flag of an option that is no choice is read, as arguments of `add_argument`."""
    kind = option.kind
    name = option.metavar or kind.metavar
    names = tuple(name.split()) if name and isinstance(kind.nargs, int) else name
    return {"type": argument(kind), "nargs": kind.nargs, "metavar": names}


def argument(kind: Kind) -> Callable[[str], Any]:
    """A kind of value as an argument type."""

    def parse(text: str) -> Any:
        try:
            return kind.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


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
        if spec is None or spec.loader is None or not Path(path).is_file():
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


def be_patient() -> None:
    """Let torch's threads sleep soon where they wait for each other; before it is imported."""
    if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ["GOMP_SPINCOUNT"] = LOOKS


def leave_quickly() -> None:
    """Spare Python a last look for garbage among torch's 200,000 objects: 0.4 s of every script."""
    atexit.register(gc.freeze)


def main(parser: Parser, run: Callable[[dict[str, Any]], None]) -> None:
    """Parse the command line, run, and turn whatever goes wrong into a line and an exit code."""
    # Of the processes that torchrun starts the first says what is wrong with what all are given.
    others = os.environ.get("RANK", "0") != "0"
    with redirect_stderr(io.StringIO()) if others else nullcontext():
        arguments = parser.parse(sys.argv[1:])
    be_patient()
    leave_quickly()
    try:
        import_files(os.environ.get("MNIST_IMPORT", ""))
        run(arguments)
        sys.stdout.flush()
    except (UserError, OSError, ModuleNotFoundError) as error:
        if os.environ.get("MNIST_TRACEBACK") == "1":
            traceback.print_exc()
        sys.exit(complain(parser.prog, error))
    except Exception:  # a mistake of this program: whoever mends it needs to see where
        say(f"{traceback.format_exc()}{parser.prog}: this is a bug of mnist-style {__version__}")
        sys.exit(1)
    except KeyboardInterrupt:
        say(f"{parser.prog}: stopped; nothing is half-written")
        sys.exit(130)
    finally:
        silence_if_dead(sys.stdout)


def complain(program: str, error: UserError | OSError | ModuleNotFoundError) -> int:
    """Say in one line what happened; return the exit code."""
    code = error.exit_code if isinstance(error, UserError) else 2
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone: nobody to tell
        return 141
    message = str(error)
    if isinstance(error, ModuleNotFoundError):
        part = "vis-" if (error.name or "").split(".")[0] == "PyQt5" else ""
        message = (
            f"{message}: run `pip install -r {part}requirements.txt` in the environment that "
            "`make train` made, entered with `source .venv/bin/activate`"
        )
    elif not isinstance(error, UserError):
        message = f"{type(error).__name__}: {message} (MNIST_TRACEBACK=1 shows where)"
    kind = "" if isinstance(error, Interrupted) else "error: "
    say(f"{program}: {kind}{' '.join(message.split())}")
    return code
