"""What a command may end with, other than success. Exit codes are listed in the README."""

import os
import sys
from typing import TextIO


class UserError(Exception):
    """What its user can correct: the message is one line of what, where, and what to do."""

    exit_code = 2


class Diverged(UserError):
    """A loss or a gradient became NaN or infinite."""

    exit_code = 3


class StorageFailed(UserError):
    """The run directory can no longer be written, or holds no whole checkpoint any more."""

    exit_code = 4


class Interrupted(UserError):
    """A signal asked the run to stop; what was trained is saved."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.exit_code = 128 + signal_number


def warn(message: str) -> None:
    """One line on standard error, and on with the work."""
    say(f"warning: {message}")


def say(text: str) -> None:
    """Print on standard error, if anybody is still there to read it."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        silence_if_dead(sys.stderr)


def silence_if_dead(stream: TextIO) -> None:
    """Let a stream go nowhere, with what it still holds, if its terminal or pipe has gone.

    Python would try to get rid of that as it ends, and make its exit code 120.
    """
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def first_line(error: BaseException) -> str:
    """An error in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]
