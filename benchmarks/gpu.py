"""`python -m benchmarks.gpu`: what a GPU makes of this code, a line of JSON for each figure as it is measured.

It needs torch, numpy, pandas, numba, safetensors, and pydantic and PyYAML with what they need (docs/performance.md
says how to carry them to a machine without a network). What matters most comes first; what the time does not allow is
written as skipped. `--tiny` shows that it runs, on a CPU too, where nothing is captured and nothing compiled.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.pair import TINY, Sizes, units
from ikem.augmentations.registry import PUBLISHED
from ikem.encoders.initialization import initialize
from ikem.encoders.stgcn.network import STGCN
from ikem.evaluations.embed import embed_clips
from ikem.evaluations.knn.scores import knn_scores
from ikem.evaluations.linear.classifiers import linear_evaluation
from ikem.kernels.dispatch import backend
from ikem.losses.cross_modal import implicit_losses, mined_losses
from ikem.methods.registry import STAGES
from ikem.modalities import MODALITIES, generate_all
from ikem.registry import load
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import save_tensors
from ikem.training.graph import fewer_launches
from ikem.training.loader import Clips
from ikem.training.loop import Trainer, training_tensors
from ikem.training.precision import arithmetic, autocast

ROOT = Path(__file__).resolve().parents[1]
SKELETON, SEED, TEMPERATURE = load_skeleton("ntu25"), 0, 0.07
PRECISIONS = ("float32", "tf32", "bfloat16")
WAYS = {"eager": (False, False), "graph": (False, True), "compiled": (True, False), "compiled, graph": (True, True)}
"""How a step runs: (encoders compiled, replayed from a CUDA graph)."""
STEPS = {"ikem": 6, "supervised": 1, "momentum_contrast": 1, "relational_distillation": 3, "crossclr": 3}
"""Stages, with their number of modalities."""
COMPILES = 150.0
"""Seconds that compiling the encoders of a step may take."""

Row = dict[str, Any]


@dataclass
class Setup:
    """What the figures are measured with.

    Attributes:
        device, sizes, tiny: where, how large, and whether only to show that it runs.
        clips: of the prepared array that is generated.
        folder: for files, removed at the end.
        end: of the time, on `time.perf_counter`.
        stages, precisions, ways: of steps.
    """

    device: torch.device
    sizes: Sizes
    tiny: bool
    clips: int
    folder: Path
    end: float
    stages: Sequence[str]
    precisions: Sequence[str]
    ways: Sequence[str]

    @property
    def gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def left(self) -> float:
        """Seconds."""
        return self.end - time.perf_counter()

    def synchronize(self) -> None:
        if self.gpu:
            torch.cuda.synchronize(self.device)

    def timed(self, call: Callable[[], object], fewest: int = 5, seconds: float = 1.5) -> Row:
        """Milliseconds until the device is done, and until the host is: medians of at least `fewest` calls."""
        call()
        whole, host, end = [], [], time.perf_counter() + (0 if self.tiny else seconds)
        while len(whole) < (1 if self.tiny else fewest) or (time.perf_counter() < end and len(whole) < 200):
            self.synchronize()
            began = time.perf_counter()
            call()
            host.append(time.perf_counter() - began)
            self.synchronize()
            whole.append(time.perf_counter() - began)
        return {"ms": _ms(statistics.median(whole)), "host_ms": _ms(statistics.median(host)), "calls": len(whole)}

    def peak_mib(self, call: Callable[[], object]) -> int | None:
        """Memory of the device that a call needs beyond what was allocated; None on a CPU."""
        if not self.gpu:
            return None
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        call()
        self.synchronize()
        return round((torch.cuda.max_memory_allocated(self.device) - before) / 2**20)

    def prepared(self) -> Path:
        """A prepared array of random clips, of which a fifth have two bodies."""
        path = self.folder / "position.npy"
        if not path.exists():
            random = np.random.default_rng(SEED)
            array = random.standard_normal((self.clips, 3, self.sizes.frames, SKELETON.joint_count, 2), np.float32)
            array[random.random(self.clips) < 0.8, ..., 1] = 0
            np.save(path, array)
            table = {"name": [f"clip{number}" for number in range(self.clips)], "bodies": 2}
            frames, labels = random.integers(20, 300, self.clips), np.arange(self.clips) % self.sizes.classes
            pd.DataFrame(table | {"frames": frames, "label": labels}).to_csv(path.with_name("samples.csv"), index=False)
        return path

    def encoder(self, dropout: float) -> STGCN:
        built = STGCN(SKELETON, self.sizes.hidden_channels, self.sizes.hidden_dim, dropout)
        initialize(built, SEED, "pytorch")
        return built


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 3)


def machine(setup: Setup) -> Iterator[Row]:
    """Bandwidth of a copy, products of each precision, the time of a small operation."""
    values = 1 << (10 if setup.tiny else 28)
    source = torch.empty(values, device=setup.device)
    target = torch.empty_like(source)
    ms = setup.timed(lambda: target.copy_(source))["ms"]
    name = torch.cuda.get_device_name(setup.device) if setup.gpu else "CPU"
    yield {"device": name, "torch": torch.__version__, "copy_tb_s": round(2 * source.nbytes / ms / 1e9, 4)}
    size = 64 if setup.tiny else 8192
    for precision in setup.precisions:
        with arithmetic(setup.device, precision), autocast(setup.device, precision):
            left, right = (torch.randn(size, size, device=setup.device) for _ in range(2))
            if precision == "bfloat16":
                left, right = left.bfloat16(), right.bfloat16()
            ms = setup.timed(lambda left=left, right=right: left @ right)["ms"]  # type: ignore[misc]
        yield {"precision": precision, "product_tflop_s": round(2 * size**3 / ms / 1e9, 4)}
    small = torch.zeros(1, device=setup.device)

    def many() -> None:
        for _ in range(1000):
            small.add_(1)

    yield {"host_us_an_operation": setup.timed(many)["host_ms"]}


def errors(setup: Setup) -> Iterator[Row]:
    """Relative errors against float64 on the CPU, of each precision: encoder, losses, modalities."""
    generator, cpu = torch.Generator().manual_seed(SEED), torch.device("cpu")
    x = torch.randn(8, 2, 3, setup.sizes.frames, SKELETON.joint_count, generator=generator)
    queries, keys = (units(6, 8, 16, seed=seed, device=cpu) for seed in (1, 2))
    exchanged, queues = units(6, 8, 96, seed=3, device=cpu), units(6, 16, 512, seed=4, device=cpu, dim=1)

    def encoded(device: torch.device, dtype: torch.dtype, precision: str) -> list[Tensor]:
        model = setup.encoder(0.0).to(device, dtype)
        with autocast(device, precision):
            embedding = model(x.to(device, dtype))
        embedding.double().square().sum().backward()
        gradients = [value.grad.flatten() for value in model.parameters() if value.grad is not None]
        return [embedding, torch.cat(gradients)]

    def losses(device: torch.device, dtype: torch.dtype, precision: str) -> list[Tensor]:
        leaves = [value.to(device, dtype).clone().requires_grad_() for value in (queries, exchanged)]
        others = keys.to(device, dtype), queues.to(device, dtype), TEMPERATURE
        value = mined_losses(leaves[0], *others).sum(dim=1) + implicit_losses(leaves[1], *others)
        value.sum().backward()
        return [value, *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    def modalities(device: torch.device, dtype: torch.dtype, precision: str) -> list[Tensor]:
        frames = torch.arange(20, 28, device=device)
        return list(generate_all(list(MODALITIES), x.to(device, dtype), frames, SKELETON).values())

    for what in (encoded, losses, modalities):
        with backend("reference"):
            exact = what(cpu, torch.float64, "float32")
            for precision in setup.precisions:
                with arithmetic(setup.device, precision):
                    found = [value.detach().double().cpu() for value in what(setup.device, torch.float32, precision)]
                distances = [
                    f"{float((a - b.detach()).norm() / b.detach().norm()):.1e}"
                    for a, b in zip(found, exact, strict=True)
                ]
                yield {"of": what.__name__, "precision": precision, "errors": distances}


def trainer(setup: Setup, stage: str, precision: str) -> tuple[Trainer, Clips]:
    """A trainer of a stage with the published values, and the clips that it trains on."""
    sizes = setup.sizes
    names = list(MODALITIES)[: STEPS[stage]]
    encoder = {"kind": "stgcn", "hidden_channels": sizes.hidden_channels, "hidden_dim": sizes.hidden_dim}
    encoder |= {"feature_dim": sizes.feature_dim, "dropout": sizes.dropout, "initialization": "published"}
    settings: dict[str, Any] = {
        "skeleton": "ntu25", "seed": SEED, "modalities": names, "encoder": encoder, "precision": precision, "top_k": 1,
        "contrast": {"queue_size": sizes.queue, "temperature": TEMPERATURE},
        "schedule": {"learning_rate": 0.01, "weight_decay": 1e-4, "optimizer": {"kind": "sgd", "momentum": 0.9}},
        "augmentations": [options.model_dump() for options in PUBLISHED],
        "momentum_modalities": names[1::2], "explicit": True, "implicit": stage == "ikem",
    }  # fmt: skip
    clips = Clips(setup.prepared(), np.arange(setup.clips), setup.device)
    inputs: dict[str, Path] = {}
    if stage == "relational_distillation":
        teachers = list(MODALITIES)[:6]
        settings |= {"teacher_modalities": teachers, "teacher_encoder": encoder, "mining_queue": "corrected"}
        settings |= {"teacher_mode": "evaluation", "relations": True}
        inputs = dict.fromkeys((f"teacher_{name}" for name in teachers), setup.folder / "teacher.safetensors")
        teacher = load(STAGES["ikem"].trainer)(settings | {"modalities": teachers}, clips, torch.device("cpu"), {})
        save_tensors(setup.folder / "teacher.safetensors", teacher.model.state_dict(), {})
    return load(STAGES[stage].trainer)(settings, clips, setup.device, inputs), clips


def stepper(setup: Setup, stage: str, precision: str, way: str) -> tuple[Trainer, Callable[[], object]]:
    """A trainer, and a call that makes its next step."""
    built, clips = trainer(setup, stage, precision)
    launched = fewer_launches(built, setup.device, 10**6, *WAYS[way])
    launched.begin_epoch(0)
    rows = np.random.default_rng(SEED).permutation(setup.clips)
    cut = [rows[start : start + setup.sizes.batch] for start in range(0, 4 * setup.sizes.batch, setup.sizes.batch)]
    batches, number = list(clips.batches(cut)), [0]

    def step() -> object:
        number[0] += 1
        return launched.step(batches[number[0] % len(batches)], 0, number[0])

    return built, step


def step(setup: Setup) -> Iterator[Row]:
    """A step of each stage, precision and way: times, memory, kernels."""
    for way in setup.ways:
        compiled, graph = WAYS[way]
        for stage in setup.stages:
            for precision in setup.precisions:
                row = {"stage": stage, "precision": precision, "way": way}
                if not setup.gpu and (graph or compiled):
                    yield row | {"skipped": "no GPU"}
                    continue
                if setup.left < (COMPILES if compiled else 10):
                    yield row | {"skipped": "no time left"}
                    continue
                try:
                    with arithmetic(setup.device, precision):
                        yield row | measured_step(setup, stage, precision, way)
                except Exception as error:  # the next one may work
                    yield row | {"failed": repr(error)[:300]}


def measured_step(setup: Setup, stage: str, precision: str, way: str) -> Row:
    """Of one kind."""
    began = time.perf_counter()
    _, call = stepper(setup, stage, precision, way)
    call(), call()  # a graph is captured in the second
    setup.synchronize()
    row = {"first_s": round(time.perf_counter() - began, 2)} | setup.timed(call)
    row["peak_mib"] = setup.peak_mib(call)
    return row | (kernels(setup, call) if setup.gpu else {})


def kernels(setup: Setup, call: Callable[[], object]) -> Row:
    """How many kernels a call runs, their time, the largest ones, and how often the host waits for the device."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        call()
        setup.synchronize()
    by_name: dict[str, list[float]] = {}
    waits = -1  # for the line above
    for event in profiled.events() or []:
        if "CUDA" in str(event.device_type):
            by_name.setdefault(event.name[:60], []).append(event.device_time_total / 1e3)
        waits += event.name in ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaMemcpy")
    largest = sorted(by_name.items(), key=lambda item: -sum(item[1]))[:10]
    return {
        "kernels": sum(map(len, by_name.values())),
        "kernel_ms": round(sum(map(sum, by_name.values())), 3),
        "waits": waits,
        "largest": [(name, len(times), round(sum(times), 3)) for name, times in largest],
    }


def same_bits(setup: Setup) -> Iterator[Row]:
    """Whether five steps give the same bits twice, and whether a graph gives those of eager steps."""
    for stage in setup.stages:
        if setup.left < 15:
            yield {"stage": stage, "skipped": "no time left"}
            continue
        states = []
        with arithmetic(setup.device, "float32"):
            for way in ("eager", "eager", *(["graph"] if setup.gpu else [])):
                built, call = stepper(setup, stage, "float32", way)
                for _ in range(5):
                    call()
                states.append({name: value.clone() for name, value in training_tensors(built).items()})
        differing = [[n for n, value in states[0].items() if not torch.equal(value, other[n])] for other in states[1:]]
        words = ("eager twice", "graph and eager")
        yield {"stage": stage} | {word: names[:3] or "same" for word, names in zip(words, differing, strict=False)}


def evaluation(setup: Setup) -> Iterator[Row]:
    """Embedding, two epochs of the linear evaluation, nearest neighbors; at the size of NTU-60."""
    array = np.load(setup.prepared(), mmap_mode="r")
    train, test = (200, 100) if setup.tiny else (40_091, 16_487)
    for precision in setup.precisions:
        with arithmetic(setup.device, precision):
            encoder = setup.encoder(0.5)
            embed_clips(encoder, array[:256], setup.device, precision)
            began = time.perf_counter()
            embed_clips(encoder, array, setup.device, precision)
            yield {"of": "embed", "precision": precision,
                   "clips_a_second": round(len(array) / (time.perf_counter() - began))}  # fmt: skip
    embeddings = torch.randn(6, train + test, setup.sizes.hidden_dim, device=setup.device)
    labels = torch.arange(train + test, device=setup.device) % setup.sizes.classes
    parts = embeddings[:, :train], labels[:train], embeddings[:, train:], labels[train:]
    schedule = {"epochs": 2, "batch_size": 128, "learning_rate": 1.0, "weight_decay": 0.0,
                "decay": {"kind": "step", "epoch": None}, "optimizer": {"kind": "sgd", "momentum": 0.9}}  # fmt: skip
    with arithmetic(setup.device, "float32"):
        for name, call in (
            ("linear, two epochs", lambda: linear_evaluation(*parts, setup.sizes.classes, schedule, SEED)),
            ("nearest neighbors", lambda: knn_scores(*parts[:3], setup.sizes.classes, 1)),
        ):
            yield {"of": name} | setup.timed(call, fewest=1, seconds=0)


def streaming(setup: Setup) -> Iterator[Row]:
    """A batch of clips that are kept on the device, and of clips that are read from the memory map."""
    rows = np.random.default_rng(SEED).permutation(setup.clips)
    cut = [rows[start : start + setup.sizes.batch] for start in range(0, setup.clips, setup.sizes.batch)]
    for resident in (True, False):
        clips = Clips(setup.prepared(), np.arange(setup.clips), setup.device, resident=resident)

        def epoch(clips: Clips = clips) -> None:
            for batch in clips.batches(cut):
                assert len(batch.rows)

        yield {"resident": resident, "ms_a_batch": round(setup.timed(epoch, fewest=1)["ms"] / len(cut), 3)}


def sharing(setup: Setup) -> Iterator[Row]:
    """Steps of stage 1 in one, two and three processes at once on one device."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--figures", "step", "--stages", "momentum_contrast"]
    command += ["--precisions", "bfloat16", "--ways", "eager", "--device", setup.device.type, "--minutes", "1"]
    command += ["--tiny"] if setup.tiny else []
    for count in (1,) if setup.tiny else (1, 2, 3):
        if setup.left < 60 and not setup.tiny:
            yield {"processes": count, "skipped": "no time left"}
            continue
        runs = [
            subprocess.Popen(
                [*command, "--output", str(setup.folder / f"{number}.jsonl")],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(count)
        ]
        found = [json.loads(run.communicate()[0].splitlines()[-1]) for run in runs]
        yield {"processes": count, "ms": [row.get("ms", row) for row in found]}


FIGURES: dict[str, Callable[[Setup], Iterator[Row]]] = {
    figure.__name__: figure for figure in (machine, errors, step, same_bits, evaluation, streaming, sharing)
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write each line when it is there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which nothing new is begun")
    parser.add_argument("--figures", nargs="+", choices=list(FIGURES), default=list(FIGURES))
    parser.add_argument("--stages", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--precisions", nargs="+", choices=list(PRECISIONS), default=["bfloat16", "float32", "tf32"])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: shows that it runs")
    parser.add_argument("--output", type=Path, default=Path("results/bench/gpu.jsonl"))
    chosen = parser.parse_args(arguments)
    began = time.perf_counter()
    device = torch.device(chosen.device, *([0] if chosen.device == "cuda" else []))
    precisions = [name for name in chosen.precisions if device.type == "cuda" or name != "tf32"]
    sizes = replace(TINY, classes=3) if chosen.tiny else Sizes(batch=128)
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, chosen.output.open("w") as file:

        def write(figure: str, row: Row) -> None:
            line = json.dumps({"figure": figure, "at_s": round(time.perf_counter() - began, 1), **row})
            print(line, flush=True)
            print(line, file=file, flush=True)

        setup = Setup(
            device, sizes, chosen.tiny, 64 if chosen.tiny else 4096, Path(folder), began + 60 * chosen.minutes,
            chosen.stages, precisions, chosen.ways,
        )  # fmt: skip
        for name in chosen.figures:
            if setup.left <= 0:
                write(name, {"skipped": "no time left"})
                continue
            try:
                for row in FIGURES[name](setup):
                    write(name, row)
            except Exception as error:  # the next figure may work
                write(name, {"failed": repr(error)[:300]})


if __name__ == "__main__":
    main()
