"""Running a plan without Snakemake: one job after another in this process, what is done already kept."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from ikem.settings.benchmark import Config
from ikem.workflow.advice import advice_on
from ikem.workflow.execute import Options, run_job
from ikem.workflow.job_types import processes_of
from ikem.workflow.plan import Plan
from ikem.workflow.plan_file import write_plan
from ikem.workflow.signals import Leaving
from ikem.workflow.staleness import Redo, announcement, fault_of, remember_raw_files


def run_all(config: Config, tables: bool = True) -> None:
    """Run every job of a config that has no result of these settings yet, then gather.

    Raises:
        InputError: a job cannot be done.
        Interrupted: a signal asked the process to stop; the same call resumes from there.
    """
    from ikem.report.gather import gather_results

    plan, redo = Plan(config), Redo(config.data)
    compute = config.compute
    options = Options(
        compute.device, compute.checkpoint_minutes, compute.processes, Path(config.data), compute.cuda_graph
    )
    with Leaving.heeding() as leaving:
        jobs = redo.jobs(plan)
        _print(*advice_on(plan))
        _print(*announcement(reason for job in jobs if (reason := redo.reason(job))))
        write_plan(plan)
        remember_raw_files(plan)
        for number, job in enumerate(jobs, start=1):
            # What a job is built on may have come out as before.
            kept = fault_of(job, data=options.data) is None
            _print(f"job {number} of {len(jobs)}: {job.title}{' is done already' if kept else ''}")
            if not kept:
                inputs = {name: part.output for name, part in job.inputs.items()}
                own = replace(options, processes_per_job=processes_of(config, job.settings))
                run_job(job.settings, inputs, job.output, own, job.log)
            leaving.leave_if_asked()  # a job that was about to end when the signal came has ended
        if tables:
            folder = Path(config.results) / "tables"
            gather_results(Path(config.results) / "plan.json", folder)
            _print(f"tables: {folder}, long table: {folder / 'results.csv'}, report: {folder.parent / 'report.html'}")


def _print(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr, flush=True)
