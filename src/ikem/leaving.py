"""Signals that ask a job to leave: at once if there is nothing to save, else as soon as it is saved."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from ikem.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Leaving:
    """Whether a signal has asked the process to leave."""

    def __init__(self) -> None:
        self.asked: str | None = None
        self._saves = False

    def leave_if_asked(self) -> None:
        """Raise `Interrupted` if a signal has asked the process to leave."""
        if self.asked:
            raise Interrupted(f"{self.asked}; the same command goes on from here")

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """While the block runs, a signal does not end it: the block looks at `asked`, saves, and leaves."""
        before, self._saves = self._saves, True
        try:
            yield
        finally:
            self._saves = before

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """While the block runs, SIGTERM, SIGUSR1 and Ctrl-C ask to leave."""
        previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: object) -> None:
        again, self.asked = self.asked, signal.Signals(number).name
        if again and number == signal.SIGINT:  # a second Ctrl-C does not wait
            raise KeyboardInterrupt
        if not self._saves:
            self.leave_if_asked()
