"""How long a plan takes on a machine, from the seconds of its jobs. Nothing runs."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ikem.registry import JobName
from ikem.workflow.plan import Job


@dataclass(frozen=True)
class Schedule:
    """What a simulation comes to, in seconds: the end of the last job, and the time of all GPU jobs together."""

    makespan: float
    gpu_seconds: float


def simulate(
    jobs: Sequence[Job],
    seconds: Mapping[JobName, float],
    rank: Mapping[JobName, float],
    gpus: int,
    cores: int,
    needs_gpu: Callable[[Job], bool],
) -> Schedule:
    """Start jobs, those of the lowest rank first, as soon as they are ready and there is room.

    Args:
        jobs: inputs before what is built on them.
        seconds: of each job.
        rank: lowest first; equal ones in the order of `jobs`.
        gpus, cores: of the machine.
        needs_gpu: whether a job takes a GPU; each takes a core.
    """
    waiting_for = {job.name: {part.name for part in job.inputs.values()} for job in jobs}
    built_on = defaultdict(list)
    for job in jobs:
        for name in waiting_for[job.name]:
            built_on[name].append(job)
    number = {job.name: index for index, job in enumerate(jobs)}
    ready = [(rank[job.name], number[job.name], job) for job in jobs if not waiting_for[job.name]]
    running: list[tuple[float, int, Job]] = []
    now, free_gpus, free_cores = 0.0, gpus, cores
    while ready or running:
        later = []
        for entry in sorted(ready):
            job = entry[2]
            if free_cores and (free_gpus or not needs_gpu(job)):
                free_cores, free_gpus = free_cores - 1, free_gpus - needs_gpu(job)
                heapq.heappush(running, (now + seconds[job.name], number[job.name], job))
            else:
                later.append(entry)
        ready = later
        now, _, ended = heapq.heappop(running)
        free_cores, free_gpus = free_cores + 1, free_gpus + needs_gpu(ended)
        for job in built_on[ended.name]:
            waiting_for[job.name].discard(ended.name)
            if not waiting_for[job.name]:
                ready.append((rank[job.name], number[job.name], job))
    return Schedule(now, sum(seconds[job.name] for job in jobs if needs_gpu(job)))


def longest_paths(jobs: Sequence[Job], seconds: Mapping[JobName, float]) -> dict[JobName, float]:
    """For each job the seconds from its start to the end of what is built on it, with machines without end."""
    left: dict[JobName, float] = defaultdict(float)
    for job in reversed(jobs):
        left[job.name] += seconds[job.name]
        for part in job.inputs.values():
            left[part.name] = max(left[part.name], left[job.name])
    return left
