"""The whole grid of a config: what is done, running, stale, interrupted, failed, missing."""

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
from ikem.workflow.resumption import resumption_of
from ikem.workflow.run_context import checkpoints_of, lock_path
from ikem.workflow.staleness import Redo, ending_of
from ikem.workflow.tables_record import fault_of_tables

_STYLES = {
    "done": "green", "running": "cyan", "stale": "magenta", "interrupted": "yellow", "failed": "red", "missing": "dim",
}  # fmt: skip


@dataclass(frozen=True)
class State:
    """The state of a job, in one of the words of `_STYLES`, and a remark."""

    word: str
    remark: str = ""


def state_of(job: Job, redo: Redo | None = None) -> State:
    """Look at the files of a job, and at its lock.

    Args:
        redo: what has been found about the jobs that it is built on.
    """
    if _is_running(job):
        return State("running", _progress(job))
    reason = (redo or Redo()).reason(job)
    if job.output.exists():
        if reason is None:
            return State("done")
        own = reason.job is reason.root  # else the root runs first
        return State("stale", f"{reason}; {resumption_of(job)}" if own and checkpoints_of(job.output) else str(reason))
    run = last_run(job.log)
    if run is None or run.end == "done":
        return State("missing")
    word = "failed" if run.end in ("error", "signal") else "interrupted"
    return State(word, f"{ending_of(job)}; {reason or resumption_of(job)}")


def state_of_tables(plan: Plan, redo: Redo) -> State:
    """How the tables stand: they are stale, too, as long as a result is."""
    fault = fault_of_tables(plan)
    if fault == "is missing":
        return State("missing")
    stale = [job for job in plan.evaluation_jobs() if redo.reason(job)]
    fault = fault or (f"{len(stale)} results are stale" if stale else None)
    return State("stale", fault) if fault else State("done")


def failures_of(plan: Plan, reported: bool) -> list[str]:
    """A line for each job of the plan whose last run failed or was killed: its title, the reason, and its log.

    Args:
        reported: whether jobs have shown their errors themselves; then only what they could not show is repeated.
    """
    failed = ((job, last_run(job.log)) for job in plan.all_jobs() if not job.output.exists() and not _is_running(job))
    return [
        f"{job.title} ({job.log})" if reported and run.end == "error" else f"{job.title}: {ending_of(job)} ({job.log})"
        for job, run in failed
        if run is not None and run.end in ("error", "signal", "none")
    ]


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
    """The epoch, and the time left: as the log says, less what has passed since it did."""
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
    plan, redo = Plan(config), Redo(config.data)
    states = [(job.title, state_of(job, redo)) for job in plan.all_jobs()]
    for title, state in [*states, ("tables", state_of_tables(plan, redo))]:
        counted[state.word] += 1
        table.add_row(f"[{_STYLES[state.word]}]{state.word}[/]", escape(title), escape(state.remark))
    console.print(table)
    console.print(", ".join(f"{counted[word]} {word}" for word in _STYLES if counted[word]) or "nothing to do")
