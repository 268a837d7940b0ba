"""The whole grid of a config: what is done, running, failed, stale, missing."""

from __future__ import annotations

import datetime
import fcntl
import time
from collections import Counter
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ikem.settings.benchmark import Config
from ikem.workflow.logs import last_run
from ikem.workflow.plan import Job, Plan
from ikem.workflow.run_context import checkpoints_of, lock_path
from ikem.workflow.staleness import ending_of, fault_of

_STYLES = {"done": "green", "running": "cyan", "stale": "magenta", "failed": "red", "missing": "dim"}


@dataclass(frozen=True)
class State:
    """How a job stands: one of done, running, failed, stale, missing, and a remark."""

    word: str
    remark: str = ""


def state_of(job: Job) -> State:
    """Look at the files of a job, and at its lock."""
    if _is_running(job):
        return State("running", _progress(job))
    fault = fault_of(job, thorough=False)
    if fault is None:
        return State("done")
    if job.output.exists():
        return State("stale", fault)
    run, kept = last_run(job.log), "; goes on from its checkpoint" if checkpoints_of(job.output) else ""
    if run is not None and run.end in ("error", "signal", "none"):
        return State("failed", f"{ending_of(job)}{kept}")
    return State("missing", f"{ending_of(job)}{kept}".removeprefix("; "))


def failures_of(plan: Plan) -> list[str]:
    """A line for each job of the plan whose last run failed: its title, the reason, and its log."""
    states = ((job, state_of(job)) for job in plan.all_jobs())
    return [f"{job.title}: {state.remark} ({job.log})" for job, state in states if state.word == "failed"]


def _is_running(job: Job) -> bool:
    """Whether a process holds the job's lock. (The look itself holds it for an instant, which a starting job waits.)"""
    try:
        with lock_path(job.output).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _progress(job: Job) -> str:
    """The epoch, and the time left: as the log tells, less what has passed since it did."""
    run = last_run(job.log)
    if run is None or not run.epoch:
        return ""
    if run.seconds_left is None:
        return run.epoch
    left = max(0, run.seconds_left - int(time.time() - job.log.stat().st_mtime))
    return f"{run.epoch}, {datetime.timedelta(seconds=left)} left"


def show_status(config: Config) -> None:
    """Print a line for each job, and how many stand how."""
    console = Console()
    table = Table("state", "job", "remark", title=escape(config.results), title_justify="left")
    counted: Counter[str] = Counter()
    for job in Plan(config).all_jobs():
        state = state_of(job)
        counted[state.word] += 1
        table.add_row(f"[{_STYLES[state.word]}]{state.word}[/]", escape(job.title), escape(state.remark))
    console.print(table)
    console.print(", ".join(f"{counted[word]} {word}" for word in _STYLES if counted[word]) or "nothing to do")
