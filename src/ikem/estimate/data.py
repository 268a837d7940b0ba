"""What the jobs of data take. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass

from ikem.estimate import table
from ikem.estimate.clips import BODIES, FRAMES, clips_of
from ikem.settings.data import Dataset
from ikem.skeleton import load_skeleton
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.plan import Job, Plan

FLOAT = 4
"""Bytes of a number."""


@dataclass(frozen=True)
class Cost:
    """What a job takes.

    Attributes:
        seconds: wall time.
        disk: bytes that it leaves in the results folder.
        memory: bytes of its process at the most; on a GPU most of them are the device's.
        gpu: whether it computes on a GPU.
    """

    seconds: float
    disk: float
    memory: float
    gpu: bool = False


def data_cost(plan: Plan, job: Job, clips: int) -> Cost:
    """The cost of a job that generates, decodes, prepares or splits a dataset of so many clips."""
    kind, dataset = job.name.kind, plan.config.datasets[dict(job.name.keys)["dataset"]]
    array = float(clips * clip_bytes(dataset))
    frames = FRAMES[dataset.format] if dataset.synthetic is None else sum(dataset.synthetic.frames) / 2
    decoded = clips * frames * 2 * load_skeleton(dataset.skeleton).joint_count * 3 * FLOAT
    # The files of NTU say more of each joint than its position.
    raw = {"make_ntu": 2.4 * decoded, "make_pkummd": 0.8 * decoded}
    disk = {"prepare": array, "modality": array, "decode": decoded} | raw
    memory = table.BASE_MEMORY if kind in ("decode", "prepare", "modality") else table.BASE_MEMORY / 4
    return Cost(table.FIXED[kind] + clips * table.PER_CLIP.get(kind, 0.0), disk.get(kind, 1000.0), memory)


def clip_bytes(dataset: Dataset) -> int:
    """Of a prepared clip."""
    joints = load_skeleton(dataset.skeleton).joint_count
    return 3 * dataset.prepare.frames * joints * BODIES[dataset.format] * FLOAT


def disk_of_data(plan: Plan) -> float:
    """Bytes of the arrays of all datasets, which are nearly all that a run leaves."""
    jobs = [job for job in plan.all_jobs() if JOB_TYPES[job.name.kind].group == "data"]
    datasets = {dict(job.name.keys)["dataset"] for job in jobs}
    clips = {name: clips_of(plan, name) for name in datasets}
    return sum(data_cost(plan, job, clips[dict(job.name.keys)["dataset"]]).disk for job in jobs)
