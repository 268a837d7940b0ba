"""The log of a job: how it is written, and what it says of the last run when it is read back."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ikem.errors import InputError, Interrupted
from ikem.files import cannot_write
from ikem.terminal import NamedLines
from ikem.workflow.crashes import signal_in

logger = logging.getLogger("ikem")

START = "start: "
DONE = "done in "
_ERROR = "error: "
_LEFT = "left: "
_EPOCH = re.compile(r"(epoch \d+/\d+)(?:.* (\d+):(\d\d):(\d\d) left)?")

REPORTED: set[BaseException] = set()
"""Errors that the log on standard error shows already."""

End = Literal["done", "error", "left", "signal", "none"]


class _LogFile(logging.FileHandler):
    """A log file that may be lost, when the disk is full, say: standard error has the same lines."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: what fails here fails again, and is reported, where the result is written."""

    def close(self) -> None:
        """Close; what could not be written stays unwritten."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def logging_to(log: Path | None, name: str = "") -> Iterator[None]:
    """Log to standard error, and to a file if one is given; what ends the block with an error is logged.

    Such an error is marked as reported: the command does not print it again. Python's warnings are logged, too, once
    for each line of code that gives one: PyTorch's on an operation without a deterministic algorithm among them.

    Args:
        name: of the job; each line on standard error has it.

    Raises:
        InputError: the file cannot be written to.
    """
    handlers: list[logging.Handler] = [NamedLines(name)]
    if log is not None:
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(_LogFile(log, mode="a", encoding="utf-8", errors="backslashreplace"))
            handlers[-1].setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        except OSError as error:
            raise cannot_write(log, error) from error
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _log_warning
            yield
    except (Exception, Interrupted) as error:
        _report(error)
        REPORTED.add(error)
        raise
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: object = None,
) -> None:
    logger.warning("%s: %s (%s:%d)", category.__name__, " ".join(str(message).split()), filename, lineno)


def _report(error: BaseException) -> None:
    if isinstance(error, Interrupted):
        logger.warning("%s%s", _LEFT, error)
    elif isinstance(error, InputError):
        logger.error("%s%s", _ERROR, error)
    else:
        logger.exception("%s%s: %s", _ERROR, type(error).__name__, error)


@dataclass(frozen=True)
class LastRun:
    """What a log says of the last run.

    Attributes:
        end: "done"; with an "error"; "left", as a signal asked; by a "signal" that left its stack; "none": the log just
            stops, because the run was killed or has not ended.
        error: the message, or the name of the signal.
        epoch: such as "epoch 3/10"; empty if none was reported.
        seconds_left: as reported with the epoch.
    """

    end: End
    error: str = ""
    epoch: str = ""
    seconds_left: int | None = None


def last_run(log: Path) -> LastRun | None:
    """Read a log back; None if there is none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    end: End = "none"
    error, epoch, seconds = "", "", None
    for line in text.rsplit(f" {START}", 1)[-1].splitlines():
        message = line[len("HH:MM:SS ") :]
        if crashed := signal_in(line):
            end, error = "signal", crashed
        elif message.startswith(_ERROR):
            end, error = "error", message.removeprefix(_ERROR)
        elif message.startswith(_LEFT):
            end = "left"
        elif message.startswith(DONE):
            end = "done"
        elif found := _EPOCH.match(message):
            epoch = found[1]
            seconds = None if found[2] is None else int(found[2]) * 3600 + int(found[3]) * 60 + int(found[4])
    return LastRun(end, error, epoch, seconds)
