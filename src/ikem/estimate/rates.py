"""How fast this machine's CPU trains, measured."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ikem.estimate.steps import Step, Steps, step_seconds
from ikem.files import canonical_json
from ikem.methods.registry import STAGES
from ikem.workflow.plan import Job

MEASURED_SECONDS = 5.0
"""Of the measurement, all encoders together."""

TYPICAL_RATE = 3e10
"""FLOP a second of a core where nothing is trained, so that nothing is measured; see docs/performance.md."""


def measure(jobs: list[Job], steps: Steps, at_once: int) -> dict[str, float]:
    """FLOP a second on this CPU, of each encoder among training jobs, while `at_once` processes compute.

    Of each encoder a stage that starts from no state is measured, all other stages follow by their operations.
    """
    chosen: dict[str, Job] = {}
    for job in jobs:
        if not any(part.name.kind in STAGES for part in job.inputs.values()) and job.settings["last_epoch"] > 0:
            chosen.setdefault(encoder_key(job), job)
    rates = {}
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        for key, job in chosen.items():
            arguments = canonical_json(job.settings), Path(steps.positions(job)), MEASURED_SECONDS / len(chosen)
            futures = [pool.submit(step_seconds, *arguments) for _ in range(at_once)]
            rates[key] = sum(_rate(steps.of_stage(job), *future.result()) for future in futures) / at_once
    return rates


def _rate(step: Step, seconds: float, clips: int) -> float:
    return step.flop * clips / step.clips / seconds


def encoder_key(job: Job) -> str:
    """What jobs whose rate is the same have in common."""
    return canonical_json([job.settings["encoder"], job.settings["precision"], job.settings["threads"]])


def rate_of(job: Job, rates: Mapping[str, float]) -> float:
    """The rate of a job's encoder; of one that was not measured, the mean of the others."""
    if not rates:
        return TYPICAL_RATE
    return rates.get(encoder_key(job)) or sum(rates.values()) / len(rates)
