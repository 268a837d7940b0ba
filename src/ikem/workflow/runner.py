"""Running a plan without Snakemake: one job after another in this process, what is done already kept."""

from __future__ import annotations

import logging
from pathlib import Path

from ikem.report.gather import gather_results
from ikem.settings.benchmark import Config
from ikem.workflow.execute import Options, run_job
from ikem.workflow.plan_file import plan_of
from ikem.workflow.staleness import fault_of

logger = logging.getLogger("ikem")


def run_all(config: Config, tables: bool = True) -> None:
    """Run every job of a config that has no result of these settings yet, then gather.

    Raises:
        InputError: a job cannot be done.
        Interrupted: a signal asked to leave; the same call goes on from there.
    """
    plan = plan_of(config)
    compute = config.compute
    options = Options(compute.device, compute.checkpoint_minutes, compute.processes, Path(config.data))
    for job in plan.all_jobs():
        if fault_of(job) is not None:
            inputs = {name: part.output for name, part in job.inputs.items()}
            run_job(job.settings, inputs, job.output, options, job.log)
    if tables:
        gather_results(Path(config.results) / "plan.json", Path(config.results) / "tables")
