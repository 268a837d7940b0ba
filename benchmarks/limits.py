"""`python -m benchmarks.limits`: how far each part stands from what the machine can do.

Two limits a part: the bytes that must at least pass (inputs read once, results written once, what the backward pass
needs written and read again) at the bandwidth of a copy, and the products and sums at the speed of a large matrix
product. Both speeds are measured here, on as many threads.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tabulate import tabulate

from benchmarks.measure import ROOT
from benchmarks.pair import Sizes
from ikem.encoders.stgcn.network import SUBSETS, TEMPORAL_KERNEL, block_widths
from ikem.kernels.product import times_transposed
from ikem.process import keep_memory, use_threads

JOINTS, BODIES, AXES, FLOAT = 25, 2, 3, 4
Cost = tuple[float, float]
"""Bytes, operations (a product and a sum are two)."""


def clip_bytes(sizes: Sizes, batch: int) -> float:
    """Of a batch of clips in one modality."""
    return batch * AXES * sizes.frames * JOINTS * BODIES * FLOAT


def augmentation(sizes: Sizes) -> Cost:
    """Read and written once; two products with 3 x 3 matrices' worth of operations."""
    passed = sizes.batches * clip_bytes(sizes, sizes.batch)
    return 2 * passed, passed / FLOAT * 8


def modalities(sizes: Sizes) -> Cost:
    """The position read, the others written; about thirty operations a value (differences, norms, one arc cosine)."""
    each = clip_bytes(sizes, sizes.batch)
    return sizes.modalities * each, (sizes.modalities - 1) * each / FLOAT * 30


def encoder(sizes: Sizes, batch: int | None = None, backward: bool = True) -> Cost:
    """Of each block its input is read, what comes before the last normalization and its output are written, and all are
    read in the backward pass; the rest can be computed again. Each convolution costs once forward, twice backward."""
    widths = [(AXES, sizes.hidden_channels, 1), *block_widths(sizes.hidden_channels, sizes.hidden_dim)]
    frames, clips = sizes.frames, (batch or sizes.batch) * BODIES
    moved, done = 0.0, 0.0
    for inputs, outputs, stride in widths:
        before = clips * frames * JOINTS
        frames = (frames - 1) // stride + 1
        after = clips * frames * JOINTS
        moved += FLOAT * (before * inputs + 2 * after * outputs)
        done += 2 * before * inputs * outputs * SUBSETS + 2 * after * outputs * outputs * TEMPORAL_KERNEL
        if inputs != outputs and inputs != AXES:  # a shortcut of another shape; the first block has none
            done += 2 * after * inputs * outputs
    return (2 * moved, 3 * done) if backward else (moved, done)


def exchange_losses(sizes: Sizes) -> Cost:
    """Queues read by the explicit and by the implicit loss, forward and backward; the products with them likewise; and
    an exponential (twelve operations) of each similarity and of each product of two, twice."""
    count, rows = sizes.modalities, sizes.modalities * sizes.batch
    queues = count * sizes.feature_dim * sizes.queue * FLOAT
    similar = rows * sizes.queue
    products = 2 * similar * sizes.feature_dim * (1 + count)
    exponentials = 12 * similar * (2 * (1 + (count - 1) / 2) + 1)
    return 3 * queues + 2 * similar * FLOAT, 2 * products + exponentials


def distillation_losses(sizes: Sizes) -> Cost:
    """The same for students: one product with the joined queue, one with each teacher's."""
    count, similar = sizes.modalities, sizes.batch * sizes.queue
    queues = 2 * count * sizes.feature_dim * sizes.queue * FLOAT
    products = 2 * similar * sizes.feature_dim * (2 * sizes.students * count + count)
    exponentials = 12 * similar * 2 * sizes.students * (1 + count)
    return 1.5 * queues, products + exponentials


def _sum(*parts: Cost) -> Cost:
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


def _times(count: float, part: Cost) -> Cost:
    return count * part[0], count * part[1]


def stage_1_step(sizes: Sizes) -> Cost:
    """Two views, queries forward and backward, keys forward, one product with each queue and its gradient."""
    similar = sizes.modalities * sizes.batch * sizes.queue
    queues = sizes.modalities * sizes.feature_dim * sizes.queue * FLOAT
    losses = queues, similar * (4 * sizes.feature_dim + 12)
    both = _sum(encoder(sizes), encoder(sizes, backward=False))
    return _sum(_times(2, modalities(sizes)), _times(sizes.modalities, both), losses)


def stage_2_step(sizes: Sizes) -> Cost:
    """Two views, queries forward and backward, keys forward, the losses of the exchange."""
    both = _sum(encoder(sizes), encoder(sizes, backward=False))
    return _sum(_times(2, modalities(sizes)), _times(sizes.modalities, both), exchange_losses(sizes))


def distillation_step(sizes: Sizes) -> Cost:
    """Two views, teachers forward, students forward and backward, the losses."""
    teachers = _times(sizes.modalities, encoder(sizes, backward=False))
    students = _times(sizes.students, encoder(sizes))
    return _sum(_times(2, modalities(sizes)), teachers, students, distillation_losses(sizes))


def linear_evaluation(sizes: Sizes) -> Cost:
    """Each encoder forward over all clips; the classifiers' products are small beside it."""
    clips = sizes.train_clips + sizes.test_clips
    classifiers = 6 * 2 * sizes.modalities * sizes.train_clips * sizes.hidden_dim * sizes.classes * sizes.epochs
    return _sum(_times(sizes.modalities, encoder(sizes, clips, backward=False)), (0.0, classifiers))


LIMITS: dict[str, Callable[[Sizes], Cost]] = {
    "augment": augmentation,
    "modalities": modalities,
    "exchange-losses": exchange_losses,
    "distillation-losses": distillation_losses,
    "encoder": encoder,
    "stage-1-step": stage_1_step,
    "stage-2-step": stage_2_step,
    "distillation-step": distillation_step,
    "linear-evaluation": linear_evaluation,
}


def speeds() -> Cost:
    """Bytes and operations a second of this machine: a copy of 256 MiB (read and written), and a matrix product."""
    source = torch.ones(64 << 20)
    target = torch.empty_like(source)
    left, right = torch.randn(4096, 1024), torch.randn(1024, 1024)
    copied = _seconds(lambda: target.copy_(source))
    return 2 * FLOAT * source.numel() / copied, 2 * 4096 * 1024 * 1024 / _seconds(lambda: times_transposed(left, right))


def _seconds(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(15):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the limits of each part, and what a table of the benchmark says beside them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bench", type=Path, default=ROOT / "results" / "bench" / "bench.csv")
    chosen = parser.parse_args(arguments)
    use_threads(chosen.threads)
    keep_memory()
    torch.set_num_threads(chosen.threads)
    bandwidth, speed = speeds()
    print(f"{bandwidth / 1e9:.1f} GB/s copied, {speed / 1e9:.0f} GFLOP/s, {chosen.threads} threads\n")
    measured, sizes = {}, Sizes()
    if chosen.bench.exists():
        sizes = Sizes(**json.loads(chosen.bench.with_suffix(".json").read_text())["sizes"])
        with chosen.bench.open(newline="") as file:
            rows = [
                row for row in csv.DictReader(file) if row["device"] == "cpu" and row["threads"] == str(chosen.threads)
            ]
        measured = {row["part"]: float(row["ours_s"]) for row in rows}
    lines = []
    for name, cost in LIMITS.items():
        moved, done = cost(sizes)
        bytes_s, operations_s = moved / bandwidth, done / speed
        took = measured.get(name)
        share = f"{100 * max(bytes_s, operations_s) / took:.0f} %" if took else ""
        values = (moved / 1e6, done / 1e9, 1e3 * bytes_s, 1e3 * operations_s, 1e3 * took if took else "")
        lines.append([name, *(f"{value:.3g}" if isinstance(value, float) else value for value in values), share])
    columns = ["part", "MB", "GFLOP", "bytes, ms", "operations, ms", "ours, ms", "of the nearer limit"]
    print(tabulate(lines, headers=columns, tablefmt="github", disable_numparse=True, colalign=("left", *["right"] * 6)))


if __name__ == "__main__":
    main()
