"""Faults on order: at the n-th call that changes the disk, an error or a kill."""

import contextlib
import os
import signal
from collections.abc import Callable
from unittest import mock

# Every call by which a save changes the disk.
CALLS = ("mkdir", "open", "write", "fsync", "rename", "replace", "unlink", "rmdir")
NO_SUCH_CALL = 10


class Faults:
    """Counts the disk calls made through `os`, and at the n-th fails or kills the process.

    Attributes:
        calls: (name, arguments) of each so far.
    """

    def __init__(self, at: int = 0, fault: str = "none"):
        self.at, self.fault, self.calls = at, fault, []

    def wrapped(self, name, function):
        def call(*arguments, **options):
            self.calls.append((name, arguments))
            if len(self.calls) == self.at:
                if self.fault == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(28, "No space left on device")
            return function(*arguments, **options)

        return call

    @contextlib.contextmanager
    def applied(self):
        """The context in which they happen."""
        with contextlib.ExitStack() as stack:
            for name in CALLS:
                stack.enter_context(
                    mock.patch.object(os, name, self.wrapped(name, getattr(os, name)))
                )
            yield self


def with_fault(
    fault: str, at: int, action: Callable[[], None], expected: type[Exception] = OSError
) -> bool:
    """Do an action in a child process, with an "error" or a "kill" at its n-th disk call.

    Returns:
        Whether there was an n-th call.

    Raises:
        AssertionError: the child ended otherwise than by the kill, or by the expected exception.
    """
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException), Faults(at, fault).applied() as faults:
            try:
                action()
            except expected:
                code = 0
            else:
                code = NO_SUCH_CALL if len(faults.calls) < at else 0
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (NO_SUCH_CALL, -signal.SIGKILL if fault == "kill" else 0), code
    return code != NO_SUCH_CALL
