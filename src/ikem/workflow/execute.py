"""Running a job: from its settings and inputs to its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ikem.errors import for_dataset
from ikem.process import use_threads
from ikem.registry import load
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.run_context import running

Inputs = Mapping[str, Path]


@dataclass(frozen=True)
class Options:
    """What a job may do differently without another result."""

    device: str = "auto"
    checkpoint_minutes: float = 5.0
    processes: int = 1
    data: Path = Path("data")
    cuda_graph: str = "off"
    processes_per_job: int = 1


def run_job(
    settings: Mapping[str, object], inputs: Inputs, output: Path, options: Options, log: Path | None = None
) -> None:
    """Run one job from its settings, as a rule hands them over; `settings["kind"]` is its type.

    Raises:
        InputError: something given cannot be used.
        Interrupted: a signal asked the process to stop; what had to be saved was.
    """
    use_threads(int(str(settings.get("threads", 1))))
    with running(settings, output, inputs, log) as job:
        # Also where a job has no such setting: in this process another one may have chosen.
        load("ikem.kernels.dispatch:use_backend")(settings.get("backend", "auto"))
        with for_dataset(job.dataset):
            job.others.extend(load(JOB_TYPES[str(settings["kind"])].run)(job, inputs, options))
