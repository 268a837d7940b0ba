"""Signals that end a process at once: what a log shows of them, and what usually causes them.

Python can do nothing when compiled code fails, but `faulthandler` still writes the stack to the log of the job. Only
SIGKILL and a loss of power leave no line: every other end of a job is in its log.
"""

from __future__ import annotations

import contextlib
import faulthandler
from collections.abc import Iterator
from pathlib import Path

_IN_CODE = "a fault in compiled code or in memory; the log has the stack, docs/running.md lists known faults"

CAUSES = {
    "SIGSEGV": _IN_CODE,
    "SIGABRT": "compiled code gave up, often because memory was overwritten; the log has the stack, "
    "docs/running.md lists known faults",
    "SIGBUS": "a file that is read through memory was cut short, or a disk or /dev/shm is full; the log has the stack",
    "SIGILL": "an instruction that this processor does not have: a package was built for another one; "
    "the log has the stack",
    "SIGFPE": _IN_CODE,
    "SIGKILL": "usually the kernel when memory runs out (raise compute.*.mem_mb, run fewer jobs at a time or lower "
    "batch_size), else a scheduler's limit or a person",
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
