"""The whole grid of a config: what is done, running, failed, stale, missing."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import filelock
from rich.console import Console
from rich.table import Table

from ikem.check import failure_of, fault_of
from ikem.plan import Job, Plan
from ikem.settings import Config

_EPOCH = re.compile(r"(epoch \d+/\d+).*?(\d+:\d\d:\d\d) left")
_STYLES = {"done": "green", "running": "cyan", "stale": "magenta", "failed": "red", "missing": "dim"}


@dataclass(frozen=True)
class State:
    """How a job stands: one of done, running, failed, stale, missing, and a remark."""

    word: str
    remark: str = ""


def state_of(job: Job) -> State:
    """Look at the files of a job."""
    if _is_running(job):
        return State("running", _last_epoch(job))
    fault = fault_of(job)
    if fault is None:
        return State("done")
    if job.output.exists():
        return State("stale", fault)
    reason = failure_of(job) if job.log.exists() else ""
    return State("failed", reason) if reason and reason != "not run yet" else State("missing")


def _is_running(job: Job) -> bool:
    path = job.output.with_name(f".{job.output.name}.lock")
    if not path.exists():
        return False
    try:
        with filelock.FileLock(path).acquire(timeout=0):
            return False
    except (filelock.Timeout, OSError):
        return True


def _last_epoch(job: Job) -> str:
    if not job.log.exists():
        return ""
    found = _EPOCH.findall(job.log.read_text(encoding="utf-8", errors="replace"))
    return f"{found[-1][0]}, {found[-1][1]} left" if found else ""


def show_status(config: Config) -> None:
    """Print a line for each job, and how many stand how."""
    console = Console()
    table = Table("job", "state", "remark", title=f"{config.results}")
    counted: Counter[str] = Counter()
    for job in Plan(config).all_jobs():
        state = state_of(job)
        counted[state.word] += 1
        table.add_row(job.title, f"[{_STYLES[state.word]}]{state.word}[/]", state.remark.replace("[", r"\["))
    console.print(table)
    console.print(", ".join(f"{counted[word]} {word}" for word in _STYLES if counted[word]))
