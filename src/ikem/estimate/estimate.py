"""The jobs of a plan with the time, disk and memory that each will take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ikem.estimate import table
from ikem.estimate.clips import BODIES, Split, clips_of, split_of
from ikem.estimate.data import FLOAT, Cost, clip_bytes, data_cost
from ikem.estimate.rates import measure, rate_of
from ikem.estimate.simulation import simulate
from ikem.estimate.steps import Steps
from ikem.evaluations.registry import EVALUATIONS
from ikem.registry import JobName
from ikem.settings.data import Dataset
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.plan import Job, Plan


@dataclass(frozen=True)
class Estimate:
    """What a plan takes.

    Attributes:
        costs: of each job.
        wall_seconds: from the first job to the last, without gathering.
        splits: clips of each (dataset, protocol).
        rates: FLOP a second of each encoder, as measured on this CPU; empty where GPUs compute, or nothing is trained.
        gpus, cores: of the machine.
    """

    costs: Mapping[JobName, Cost]
    wall_seconds: float
    splits: Mapping[tuple[str, str], Split]
    rates: Mapping[str, float]
    gpus: int
    cores: int


def estimate(plan: Plan, gpus: int, cores: int) -> Estimate:
    """Estimate a plan; with `gpus` 0 the CPU is measured for some seconds.

    Raises:
        InputError: what is there of the results is damaged.
    """
    jobs = plan.all_jobs()
    training = [job for job in jobs if JOB_TYPES[job.name.kind].group == "train"]
    with TemporaryDirectory(prefix="ikem-estimate-") as folder:
        steps = Steps(plan, Path(folder))
        at_once = max(1, min(cores // plan.config.compute.threads, len(training), 8))
        rates = {} if gpus else measure(training, steps, at_once)
        builder = _Costs(plan, steps, rates, gpus > 0)
        costs = {job.name: builder.of(job) for job in jobs}
    seconds = {name: cost.seconds + table.START for name, cost in costs.items()}
    rank = {job.name: -float(JOB_TYPES[job.name.kind].priority) for job in jobs}
    threads = plan.config.compute.threads
    schedule = simulate(jobs, seconds, rank, gpus, max(1, cores // threads), lambda job: costs[job.name].gpu)
    return Estimate(costs, schedule.makespan, builder.splits, rates, gpus, cores)


class _Costs:
    """The cost of one job after another."""

    def __init__(self, plan: Plan, steps: Steps, rates: Mapping[str, float], gpu: bool) -> None:
        self.plan, self.steps, self.rates, self.gpu = plan, steps, rates, gpu
        self.splits = {
            (keys["dataset"], keys["protocol"]): split_of(plan, keys["dataset"], keys["protocol"])
            for keys in (dict(job.name.keys) for job in plan.all_jobs() if job.name.kind == "split")
        }
        self.clips = {name: clips_of(plan, name) for name in {dataset for dataset, _ in self.splits}}

    def of(self, job: Job) -> Cost:
        """The cost of a job."""
        kind, group = job.name.kind, JOB_TYPES[job.name.kind].group
        if group == "train":
            return self._training(job)
        if kind in ("embed", "embed_target"):
            return self._embedding(job)
        if kind in EVALUATIONS:
            return self._evaluation(job)
        return data_cost(self.plan, job, self.clips[dict(job.name.keys)["dataset"]])

    def _training(self, job: Job) -> Cost:
        settings, split = job.settings, self._split(job)
        if settings["last_epoch"] <= settings["first_epoch"]:  # initial parameters
            step, _ = self.steps.of_embedding(job)
            state = step.state * len(settings["modalities"])
            return Cost(table.FIXED["train"], state, table.BASE_MEMORY + state, self.gpu)
        step, batch = self.steps.of_stage(job), int(settings["schedule"]["batch_size"])
        count = split.train // batch if settings["drop_last"] else -(-split.train // batch)
        epochs = settings["last_epoch"] - settings["first_epoch"]
        size = min(batch, split.train) / step.clips
        resident = split.train * clip_bytes(self._dataset(job))
        memory = table.TRAINING_MEMORY + table.HEAP * step.peak * size + step.state + resident
        seconds = self._seconds(job, epochs * max(count, 1) * size, step.flop, step.gpu_seconds)
        return Cost(table.FIXED["train"] + seconds, step.state, memory, self.gpu)

    def _embedding(self, job: Job) -> Cost:
        keys = dict(job.name.keys)
        clips, modalities = self.clips[keys.get("target", keys["dataset"])], len(job.settings["modalities"])
        step, width = self.steps.of_embedding(job)
        seconds = modalities * self._embed(job, clips)
        disk = clips * modalities * width * FLOAT
        memory = table.BASE_MEMORY + table.HEAP * step.peak + step.state + disk
        return Cost(table.FIXED["embed"] + seconds, disk, memory, self.gpu)

    def _embed(self, job: Job, clips: float) -> float:
        """Seconds of embedding clips by one encoder: of bodies that are absent there is one in a batch."""
        step, _ = self.steps.of_embedding(job)
        bodies = BODIES[self._dataset(job).format]
        present = 1.0 if self.gpu else min(table.PRESENT, bodies) / bodies
        return self._seconds(job, present * clips / step.clips, step.flop, step.gpu_seconds)

    def _evaluation(self, job: Job) -> Cost:
        kind, keys = job.name.kind, dict(job.name.keys)
        options: Any = self.plan.config.evaluations[keys["evaluation"]]
        runs_on, split = EVALUATIONS[kind].runs_on, self._split(job)
        modalities, conditions = len(job.settings["modalities"]), max(1, len(options.conditions))
        scores = split.test * 64 * FLOAT * (modalities + 1) * conditions
        embedded = (split.train + split.test) * modalities * 256 * FLOAT
        fixed, memory = table.FIXED["evaluate"], table.BASE_MEMORY + 2.0 * embedded
        if runs_on == "encoder":
            step, subsets = self.steps.of_finetuning(job), max(1, len(options.subset_numbers))
            labeled = split.train * (options.label_fraction or 1.0)
            trained = options.schedule.epochs * labeled / step.clips
            each = self._seconds(job, trained, step.flop, step.gpu_seconds) + self._embed(job, split.test)
            peak = max(step.peak, 2 * self.steps.of_embedding(job)[0].peak)  # 256 clips are tested at a time
            memory = table.TRAINING_MEMORY + table.HEAP * peak + step.state
            memory += (labeled + split.test) * clip_bytes(self._dataset(job))
            return Cost(fixed + subsets * modalities * each, subsets * scores, memory, self.gpu)
        if runs_on == "frozen-encoder":
            seconds = conditions * modalities * self._embed(job, split.test)
        elif hasattr(options, "schedule"):
            seconds = conditions * options.schedule.epochs * split.train * modalities * table.LINEAR
        else:
            seconds = split.train * split.test * modalities * table.NEIGHBOR
        return Cost(fixed + seconds, scores, memory, self.gpu)

    def _seconds(self, job: Job, count: float, flop: float, gpu_seconds: float) -> float:
        """Of `count` steps of so many operations."""
        return count * gpu_seconds if self.gpu else count * flop / rate_of(job, self.rates)

    def _split(self, job: Job) -> Split:
        keys = dict(job.name.keys)
        target = getattr(self.plan.config.evaluations.get(keys.get("evaluation", "")), "target", None)
        dataset, protocol = (target.dataset, target.protocol) if target else (keys["dataset"], keys["protocol"])
        return self.splits[dataset, protocol]

    def _dataset(self, job: Job) -> Dataset:
        return self.plan.config.datasets[dict(job.name.keys)["dataset"]]
