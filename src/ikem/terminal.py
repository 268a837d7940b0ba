"""What jobs show on a terminal: lines of the log that begin with the job's name, and below them a bar of training.

Several jobs may share a terminal. Each draws its whole line at once over the last one, so the line shows them in turn.
"""

from __future__ import annotations

import datetime
import logging
import shutil
import sys
import time

_CLEAR = "\r\x1b[K"
_SECONDS = 0.3


class NamedLines(logging.StreamHandler):  # type: ignore[type-arg]
    """Log lines on standard error, each with the name of its job; on a terminal they take the line of the bar."""

    def __init__(self, name: str) -> None:
        super().__init__(sys.stderr)
        clear = _CLEAR if sys.stderr.isatty() else ""
        label = f"[{name}] ".replace("%", "%%") if name else ""
        self.setFormatter(logging.Formatter(f"{clear}%(asctime)s {label}%(message)s", datefmt="%H:%M:%S"))


class TrainingBar:
    """A bar of a training job on a terminal: step, epoch, clips a second, time left. Elsewhere it shows nothing."""

    def __init__(self, name: str) -> None:
        self._name, self._shown = name, sys.stderr.isatty()
        self._began = self._drawn = time.monotonic()
        self._steps = self._clips = 0

    def step(self, epoch: int, epochs: int, step: int, steps: int, clips: int) -> None:
        """Count a step that has been done.

        Args:
            epoch: that it belongs to, from 1.
            epochs: the last one.
            step: its number in the epoch, from 1.
            steps: of an epoch.
            clips: in its batch.
        """
        if not self._shown:
            return
        now = time.monotonic()
        self._steps, self._clips = self._steps + 1, self._clips + clips
        if now - self._drawn < _SECONDS:
            return
        self._drawn = now
        done, everything = (epoch - 1) * steps + step, epochs * steps
        seconds = now - self._began
        left = datetime.timedelta(seconds=int(seconds / self._steps * (everything - done)))
        filled = 20 * done // everything
        line = (
            f"{self._name} {'█' * filled}{'░' * (20 - filled)} epoch {epoch}/{epochs}, step {step}/{steps}, "
            f"{self._clips / seconds:.0f} clips/s, {left} left"
        )
        sys.stderr.write(_CLEAR + line[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()

    def close(self) -> None:
        """Leave the line empty."""
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
