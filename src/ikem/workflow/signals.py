"""Signals that ask a job to stop: at once if there is nothing to save, else as soon as it is saved.

Schedulers ask with several: SLURM with SIGTERM, SGE with SIGUSR1 and SIGUSR2, LSF with SIGUSR2 and SIGXCPU; a terminal
that is closed sends SIGHUP.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from ikem.errors import Interrupted

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
    signal.SIGHUP,
)


class Leaving:
    """Whether a signal has asked the process to stop."""

    def __init__(self) -> None:
        self.asked: str | None = None
        self._saves = False

    def leave_if_asked(self) -> None:
        """Raise `Interrupted` if a signal has asked the process to stop."""
        if self.asked:
            raise Interrupted(f"{self.asked}; the same command resumes from here")

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """While the block runs, a signal does not end it: the block looks at `asked`, saves, and stops."""
        before, self._saves = self._saves, True
        try:
            yield
        finally:
            self._saves = before

    @classmethod
    @contextlib.contextmanager
    def heeding(cls) -> Iterator[Leaving]:
        """While the block runs, SIGTERM, Ctrl-C and their like ask to stop. Under nohup, SIGHUP stays ignored.

        In a block within such a block it is the outer one's `Leaving` that they reach: a signal that one job of
        `ikem run` only noted, because it was about to end, is not lost with that job.
        """
        owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if isinstance(owner, cls):
            yield owner
            return
        leaving = cls()
        numbers = [
            number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        ]
        previous = {number: signal.signal(number, leaving._on_signal) for number in numbers}
        try:
            yield leaving
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: object) -> None:
        again, self.asked = self.asked, signal.Signals(number).name
        if again and number == signal.SIGINT:  # a second Ctrl-C does not wait
            raise KeyboardInterrupt
        if not self._saves:
            self.leave_if_asked()
