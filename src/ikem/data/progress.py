"""Progress of long work: one bar on a terminal, a line of the log now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger("ikem")

_SECONDS = 15.0


@contextmanager
def progress(what: str, total: int | None, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Yield a function to call with what is done so far.

    Args:
        what: the work, in a word or two.
        total: all there is to do; None: unknown.
        unit: "bytes" shows amounts of data, anything else plain numbers.
    """
    if sys.stderr.isatty():
        from rich import progress as rich
        from rich.console import Console

        amount = rich.DownloadColumn() if unit == "bytes" else rich.MofNCompleteColumn()
        columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), amount, rich.TimeRemainingColumn())
        with rich.Progress(*columns, console=Console(stderr=True)) as bars:
            bar = bars.add_task(what, total=total)
            yield lambda done: bars.update(bar, completed=done)
        return
    last = time.monotonic()

    def line(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > _SECONDS:
            last = time.monotonic()
            scale, word = (2**20, " MiB") if unit == "bytes" else (1, "")
            of = f" of {total // scale}" if total else ""
            logger.info("%s: %d%s%s", what, done // scale, of, word)

    yield line
