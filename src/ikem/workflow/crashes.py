"""Signals that end a process at once: what a log shows of them, and what usually causes them.

Python can do nothing when compiled code fails, but `faulthandler` still writes the stack to the log of the job. Only
SIGKILL and a loss of power leave no line: every other end of a job is in its log.
"""

from __future__ import annotations

import contextlib
import faulthandler
from collections.abc import Iterator
from pathlib import Path

CAUSES = {
    "SIGSEGV": "a fault in compiled code; the log has the stack",
    "SIGABRT": "compiled code gave up, as when memory was overwritten; the log has the stack",
    "SIGBUS": "a file that was mapped into memory was cut short, or a disk is full; the log has the stack",
    "SIGILL": "an instruction that this processor does not have; the log has the stack",
    "SIGFPE": "a fault in compiled code; the log has the stack",
    "SIGKILL": "memory ran out, or a scheduler or a person ended it",
}
"""The likely cause of each signal, by name."""

_HEADLINE = "Fatal Python error: "
_SIGNALS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Illegal instruction": "SIGILL",
    "Floating-point exception": "SIGFPE",
    "Floating point exception": "SIGFPE",
}

_reporting = False


def report_crashes() -> None:
    """From now on a crash of this process writes its stack to standard error, or to the log of the job that runs."""
    global _reporting
    _reporting = True
    faulthandler.enable()


@contextlib.contextmanager
def crashes_logged(log: Path | None) -> Iterator[None]:
    """While the block runs, a crash writes its stack to `log`, if `report_crashes` was called and there is a log."""
    if log is None or not _reporting:
        yield
        return
    with log.open("ab") as file:
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.enable()


def signal_in(line: str) -> str | None:
    """The name of the signal, if this line of a log is the first that a crash wrote."""
    return _SIGNALS.get(line.removeprefix(_HEADLINE)) if line.startswith(_HEADLINE) else None
