"""`python -m benchmarks.scale`: time and memory against clips, modalities and queue, as CSV and as plots.

Each point is measured in a process of its own, so that its memory is its own: what a first call adds
to the resident memory at its peak, and the seconds of a second one.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.measure import ROOT, seconds_and_peak, timed
from benchmarks.pair import TINY, Call, Sizes
from benchmarks.parts_data import SEED, SKELETON
from benchmarks.parts_losses import exchange_losses
from benchmarks.parts_steps import stage_1_step, stage_2_step
from benchmarks.table import surroundings, write_surroundings
from ikem.data.store import generate_modalities, prepare
from ikem.evaluations.knn.scores import knn_scores
from ikem.evaluations.linear import linear_evaluation
from ikem.modalities import MODALITIES
from ikem.process import keep_memory, use_threads
from ikem.seeding import batches, epoch_order
from ikem.settings.data import Prepare
from ikem.skeleton import load_skeleton
from ikem.training.loader import Clips

COLUMNS = ("series", "along", "value", "seconds", "peak_mib", "threads")
RAW_FRAMES, FRAMES, WIDTH, CLASSES = 80, 50, 256, 60
CPU = torch.device("cpu")


def prepare_clips(clips: int, folder: Path) -> Call:
    """Decoded clips on disk to prepared ones on disk."""
    block = np.random.default_rng(SEED).normal(size=(RAW_FRAMES, 2, 25, 3)).astype(np.float32)
    _repeat(folder / "coordinates.npy", block, clips)
    _samples(clips).assign(start=np.arange(clips) * RAW_FRAMES).to_csv(folder / "samples.csv", index=False)
    return lambda: prepare(folder, folder / "prepared", SKELETON, Prepare(frames=FRAMES))


def one_modality(clips: int, folder: Path) -> Call:
    """The dearest modality of prepared clips, disk to disk."""
    _prepared(clips, folder)
    return lambda: generate_modalities(folder, "angular_velocity", folder / "made.npy", load_skeleton("ntu25"))


def epoch_of_batches(clips: int, folder: Path) -> Call:
    """All batches of an epoch, streamed from the memory map."""
    stored = Clips(_prepared(clips, folder), np.arange(clips), CPU, resident=False)
    cut = batches(epoch_order(SEED, 0, clips), 128, drop_last=False)
    return lambda: [batch.position.shape for batch in stored.batches(cut)]


def _prepared(clips: int, folder: Path) -> Path:
    block = np.random.default_rng(SEED).normal(size=(3, FRAMES, 25, 2)).astype(np.float32)
    _repeat(folder / "position.npy", block[None], clips)
    _samples(clips).to_csv(folder / "samples.csv", index=False)
    return folder / "position.npy"


def _repeat(path: Path, block: NDArray[np.float32], times: int) -> None:
    """An array on disk that is `block` again and again."""
    shape = (times * len(block), *block.shape[1:])
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for first in range(0, len(array), len(block)):
        array[first : first + len(block)] = block


def _samples(clips: int) -> pd.DataFrame:
    columns = {"label": np.arange(clips) % CLASSES, "frames": RAW_FRAMES, "bodies": 2}
    return pd.DataFrame({"name": [f"clip{n}" for n in range(clips)]} | columns)


def _embedded(clips: int, modalities: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(modalities, clips, WIDTH, generator=generator), torch.arange(clips) % CLASSES


def linear(clips: int, folder: Path) -> Call:
    """Two epochs of six classifiers and of their fusion on kept embeddings, a quarter of them tested on."""
    held, labels = _embedded(clips, len(MODALITIES))
    train = clips - clips // 4
    schedule = {"epochs": 2, "decay": {"epoch": None}, "batch_size": 128, "learning_rate": 0.1}
    schedule |= {"momentum": 0.9, "weight_decay": 0.0}
    parts = held[:, :train].contiguous(), labels[:train], held[:, train:].contiguous(), labels[train:]
    del held
    return lambda: linear_evaluation(*parts, CLASSES, schedule, SEED)


def nearest(clips: int, folder: Path) -> Call:
    """Nearest neighbors of 1,000 clips among the rest, one modality."""
    held, labels = _embedded(clips, 1)
    queries = min(1000, clips // 4)
    return lambda: knn_scores(held[:, queries:], labels[queries:], held[:, :queries], CLASSES, 1)


BY_CLIPS: dict[str, Callable[[int, Path], Call]] = {
    "prepare": prepare_clips,
    "one modality": one_modality,
    "batches of an epoch": epoch_of_batches,
    "linear evaluation, 2 epochs": linear,
    "nearest neighbors of 1,000 clips": nearest,
}
LOSSES, STEP = "losses of stage 2", "step (of stage 1 for one modality, else of stage 2)"


def build(series: str, along: str, value: int, sizes: Sizes, folder: Path) -> Call:
    """The call of a point. (A step of one modality is one of stage 1: it has none to exchange with.)"""
    if along == "clips":
        return BY_CLIPS[series](value, folder)
    sizes = replace(sizes, **{along: value})
    if series == LOSSES:
        return exchange_losses(sizes, CPU).ours
    return (stage_1_step if sizes.modalities == 1 else stage_2_step)(sizes, CPU).ours


def points(share: float) -> list[tuple[str, str, int]]:
    """What is measured: (series, along, value). `share` scales clips and queue down."""
    clips = [max(8, round(share * count)) for count in (1000, 3000, 10_000, 30_000, 100_000)]
    queues = [max(32, round(share * size)) for size in (4096, 8192, 16384, 32768, 65536, 131072)]
    found = [(name, "clips", count) for name in BY_CLIPS for count in clips]
    found += [(LOSSES, "queue", size) for size in queues]
    found += [(LOSSES, "modalities", count) for count in range(2, 7)]
    return [*found, *((STEP, "modalities", count) for count in range(1, 7))]


def point(series: str, along: str, value: int, sizes: Sizes) -> tuple[float, float]:
    """Seconds and MiB of a point, in this process."""
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        # What is compiled is loaded by a small call.
        build(series, along, {"clips": min(value, 8), "queue": 64}.get(along, value), TINY, Path(first))()
        call = build(series, along, value, sizes, Path(second))
        peak = seconds_and_peak(call, CPU)[1]
        return timed(call, CPU), peak


def plot(rows: Sequence[dict[str, object]], path: Path) -> None:
    """Seconds and MiB against what grows, on logarithmic axes, with a line of slope one to compare with."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    sns.set_theme(style="whitegrid", context="paper")
    table = pd.DataFrame(rows)
    alongs = [along for along in ("clips", "modalities", "queue") if along in set(table["along"])]
    size = 4 * len(alongs), 7
    figure, axes = plt.subplots(2, len(alongs), figsize=size, layout="constrained", squeeze=False)
    for column, along in enumerate(alongs):
        part = table[table["along"] == along]
        for axis, what, label in zip(axes[:, column], ("seconds", "peak_mib"), ("seconds", "peak, MiB"), strict=True):
            shown = part[part[what] > 0]
            sns.lineplot(shown, x="value", y=what, hue="series", style="series", markers=True, dashes=False, ax=axis)
            ends = np.array([part["value"].min(), part["value"].max()], dtype=float)
            if len(shown):
                middle = np.exp(np.log(shown[what]).mean()) / np.sqrt(ends.prod())
                axis.plot(ends, middle * ends, color="0.6", linestyle=":", label="linear")
                axis.set(xscale="log", yscale="log")
            axis.set(xlabel=along, ylabel=label)
            axis.legend(fontsize="x-small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"), dpi=150)
    figure.savefig(path.with_suffix(".svg"))
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all points, each in a process of its own, until the time is up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the published numbers of clips and queue")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10.0, help="after which no point is begun")
    parser.add_argument("--tiny", action="store_true", help="tiny encoders and batches: shows that it runs")
    parser.add_argument("--only", nargs="+", choices=["clips", "modalities", "queue"], help="what grows")
    parser.add_argument("--output", type=Path, default=Path("results/bench/scale.csv"))
    parser.add_argument("--point", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    use_threads(chosen.threads)
    keep_memory()
    torch.set_num_threads(chosen.threads)
    sizes = TINY if chosen.tiny else Sizes()
    if chosen.point:
        series, along, value = chosen.point
        print(json.dumps(point(series, along, int(value), sizes)))
        return
    began, load = time.perf_counter(), os.getloadavg()[0]
    rows: list[dict[str, object]] = []
    left_out = []
    for series, along, number in points(chosen.share):
        if chosen.only and along not in chosen.only:
            continue
        if time.perf_counter() - began > 60 * chosen.minutes:
            left_out.append(f"{series}, {along} {number}")
            continue
        command = [sys.executable, "-m", "benchmarks.scale", "--threads", str(chosen.threads)]
        command += [*(["--tiny"] if chosen.tiny else []), "--point", series, along, str(number)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{series}, {along} {number}:\n{done.stderr}")
        seconds, peak = json.loads(done.stdout.splitlines()[-1])
        values = (series, along, number, f"{seconds:.4g}", f"{peak:.4g}", chosen.threads)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
        print(f"{series}: {along} {number}: {seconds:.3g} s, {peak:.0f} MiB", flush=True)
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    with chosen.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    about = surroundings(["python -m benchmarks.scale"], time.perf_counter() - began, load)
    write_surroundings(about | {"sizes": asdict(sizes), "share": chosen.share, "left_out": left_out}, chosen.output)
    plot(
        [row | {"seconds": float(str(row["seconds"])), "peak_mib": float(str(row["peak_mib"]))} for row in rows],
        chosen.output,
    )
    if left_out:
        print(f"Left out for want of time: {'; '.join(left_out)}")


if __name__ == "__main__":
    main()
