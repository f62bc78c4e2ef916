"""Signals: to stop, or to save and go on."""

from __future__ import annotations

import signal
import threading
from typing import Any

from mnist.errors import Interrupted
from mnist.networks import shares


class Signals:
    """What the system asked of this process while it trains, so that a step can be finished first.

    SIGINT, SIGTERM and SIGHUP ask to save and stop: the first of them is only noted, and a second
    does at once what it would have done without us, unless there are others that train with this
    process, which torchrun ends itself. SIGUSR1, which Slurm can send some time before
    it takes the machine away, asks to save and go on. One that was ignored when the process
    started, such as SIGHUP under nohup, stays ignored.

    Attributes:
        stop: the signal that asked to stop, once all processes that train together know of it.
        save: whether it is to be saved, likewise.
    """

    STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.stop: int | None = None
        self.save = False
        self.received = {"stop": 0, "save": 0}  # by this process
        self.before: dict[int, Any] = {}

    @property
    def any(self) -> bool:
        """Whether there is something to save for."""
        return self.save or self.stop is not None

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # others may not handle signals
            for number in (*self.STOP, signal.SIGUSR1):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.before[number] = signal.signal(number, self.receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # One that has lost another ends anyway, and is to say why: torchrun stops it meanwhile.
        lost = kind is not None and issubclass(kind, shares.PeerLost)
        for number, handler in self.before.items():
            signal.signal(number, signal.SIG_IGN if lost else handler)

    def receive(self, number: int, _frame: object) -> None:
        """Note a signal; called by Python between two of its instructions."""
        if number == signal.SIGUSR1:
            self.received["save"] = 1
            return
        self.received["stop"] = number
        if shares.count() > 1:
            return  # torchrun sends it twice at once, and kills by itself what does not end
        for each in self.before.keys() & set(self.STOP):
            signal.signal(each, self.before[each])

    def agree(self) -> None:
        """Let what any of the processes received hold for all of them from now on."""
        stop, save = shares.largest([self.received["stop"], self.received["save"]])
        self.received["save"] = 0
        self.stop, self.save = stop or None, bool(save)

    def stop_if_asked(self, saved: str) -> None:
        """End the run if that was asked for, now that it is saved; otherwise go on.

        Raises:
            Interrupted: saying what was saved where.
        """
        if self.stop is not None:
            name = signal.Signals(self.stop).name
            raise Interrupted(
                f"stopped by {name}: {saved}; the same command goes on from there", self.stop
            )
