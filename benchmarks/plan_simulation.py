"""`python -m benchmarks.plan_simulation CONFIG...`: how long a config takes on 1, 4 and 8 GPUs, and how busy they are.

Nothing runs. The jobs are those of the plan; a job starts when what it is built on has ended and a GPU (where it asks
for one) and a core are free, the highest `priority` of its rule first, as the workflow's rules have it. Snakemake's own
choice among jobs of one priority is not simulated: the order of the plan stands in for it.

A job's time is that of its `run.json` with `--recorded` and where there is one; else a model: from the steps that
`python -m benchmarks.gpu` measured (`--figures`), or from `MODELED`, which nobody has measured.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tabulate import tabulate

from ikem.estimate.simulation import longest_paths, simulate
from ikem.files import read_json
from ikem.settings.benchmark import Config
from ikem.settings.loading import load_config
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.plan import Job, Plan

HOUR = 3600.0
BATCH = 128
UNKNOWN_COUNTS = 10_000, 5_000
"""Training and test clips of a protocol whose numbers are not published."""
DATA_SECONDS = {"decode": 90.0, "prepare": 20.0, "modality": 15.0, "acquire": 10.0}
"""Of jobs that need no GPU, for a dataset of NTU-60's size; others take `OTHER_SECONDS`."""
OTHER_SECONDS = 3.0


@dataclass(frozen=True)
class Times:
    """What the times of jobs are computed from, in seconds.

    Attributes:
        start: of each job: interpreter, PyTorch, CUDA, digests of its inputs.
        load: of a clip, from the disk to the device.
        trained: an encoder, forward and backward, on a batch of 128, with its part of the losses and the optimizer.
        forward: an encoder, forward.
        linear: a batch of the linear evaluation, all modalities.
        neighbors: a nearest-neighbor evaluation.
    """

    start: float = 10.0
    load: float = 6e-5
    trained: float = 14.3e-3
    forward: float = 6.1e-3
    linear: float = 0.22e-3
    neighbors: float = 5.0


MODELED = {
    "float32": Times(),
    "tf32": Times(trained=8.0e-3, forward=4.0e-3),
    "bfloat16, compiled, CUDA graphs": Times(trained=3.5e-3, forward=1.5e-3, linear=0.1e-3),
}
"""For one H200: the first two from operations and bytes as counted (`python -m benchmarks.counts`), the third a guess
from the bytes that compiled encoders would move. Models, not measurements."""


def seconds_of(job: Job, config: Config, times: Times) -> float:
    """The modeled time of a job."""
    kind, keys, settings = job.name.kind, dict(job.name.keys), job.settings
    if JOB_TYPES[kind].group == "data":
        return DATA_SECONDS.get(kind, OTHER_SECONDS)
    counts = config.datasets[keys["dataset"]].protocols[keys["protocol"]].counts
    train, test = (counts.train, counts.test) if counts else UNKNOWN_COUNTS
    modalities = len(settings["modalities"])
    if JOB_TYPES[kind].group == "train":
        epochs = settings["last_epoch"] - settings["first_epoch"]
        frozen = len(settings.get("teacher_modalities", settings["modalities"] if "contrast" in settings else ()))
        step = modalities * times.trained + frozen * times.forward
        return times.start + (train * times.load + epochs * train / BATCH * step if epochs else 0.0)
    embedding = times.load + times.forward / BATCH  # of a clip
    if kind == "embed":
        return times.start + modalities * (train + test) * embedding
    options = settings["options"]
    if "schedule" not in options:
        return times.start + times.neighbors
    epochs = options["schedule"]["epochs"]
    if "fraction" not in options:
        return times.start + epochs * train / BATCH * times.linear
    labeled = options["fraction"] * train
    subsets = len(options["label_subsets"]) if options["fraction"] < 1 else 1
    steps = epochs * -(-labeled // BATCH)
    return times.start + subsets * modalities * (labeled * times.load + steps * times.trained + test * embedding)


def from_figures(path: Path, precision: str, way: str, times: Times) -> Times:
    """Times with the steps that `python -m benchmarks.gpu` measured: of a supervised step and of one of stage 1."""
    found = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if row["figure"] == "step" and (row.get("precision"), row.get("way")) == (precision, way) and "ms" in row:
            found[row["stage"]] = row["ms"] / 1e3
    trained = found["supervised"]
    return replace(times, trained=trained, forward=max(found["momentum_contrast"] - trained, 0.0))


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate the plan of a config and print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan_simulation", description=__doc__)
    parser.add_argument("configs", nargs="+", help="files, laid over one another")
    parser.add_argument("--gpus", nargs="+", type=int, default=[1, 4, 8])
    parser.add_argument("--cores", type=int, default=32)
    parser.add_argument("--recorded", action="store_true", help="times of run.json, where there are some")
    parser.add_argument("--figures", type=Path, help="lines that python -m benchmarks.gpu wrote")
    parser.add_argument("--precision", default="float32", help="of the figures")
    parser.add_argument("--way", default="eager", help="of the figures")
    chosen = parser.parse_args(arguments)
    plan = Plan(load_config(*map(Path, chosen.configs)))
    jobs, compute = plan.all_jobs(), plan.config.compute
    cases = dict(MODELED)
    if chosen.figures:
        cases = {
            f"{chosen.precision}, {chosen.way}": from_figures(chosen.figures, chosen.precision, chosen.way, Times())
        }

    def needs_gpu(job: Job) -> bool:
        return getattr(compute, JOB_TYPES[job.name.kind].group).gpu > 0

    for title, times in cases.items():
        seconds = {job.name: seconds_of(job, plan.config, times) for job in jobs}
        recorded = {
            job.name: read_json(job.record)["seconds"] for job in jobs if chosen.recorded and job.record.exists()
        }
        seconds |= recorded
        source = f"steps of {chosen.figures}" if chosen.figures else "modeled, not measured"
        on_gpu = [job for job in jobs if needs_gpu(job)]
        total = sum(seconds[job.name] for job in on_gpu)
        print(f"\n{title} ({source}; {len(recorded)} of {len(jobs)} times recorded): {total / HOUR:.1f} GPU hours")
        by_kind: dict[str, float] = defaultdict(float)
        for job in on_gpu:
            by_kind[job.name.kind] += seconds[job.name] / HOUR
        print("; ".join(f"{kind} {hours:.2f}" for kind, hours in sorted(by_kind.items(), key=lambda item: -item[1])))
        left = longest_paths(jobs, seconds)
        ranks = {
            "in the order of the plan": {job.name: 0.0 for job in jobs},
            "by the rules' priorities": {job.name: -JOB_TYPES[job.name.kind].priority for job in jobs},
            "longest path first": {name: -value for name, value in left.items()},
        }
        rows = []
        for gpus in chosen.gpus:
            row = [str(gpus)]
            for rank in ranks.values():
                found = simulate(jobs, seconds, rank, gpus, chosen.cores, needs_gpu)
                row.append(f"{found.makespan / HOUR:.2f} h, {100 * found.gpu_seconds / gpus / found.makespan:.0f} %")
            rows.append(row)
        print(tabulate(rows, ["GPUs", *ranks], tablefmt="github", colalign=("right",) * 4))
        print(f"longest path: {max(left.values()) / HOUR:.2f} h")


if __name__ == "__main__":
    main()
