"""`python -m benchmarks.options`: ways to run six encoders forward and backward, each against plain eager float32.

Each runs in a process of its own, set up as a job is; its first step, which compiles, counts for the memory only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from tabulate import tabulate
from torch import Tensor, nn

from benchmarks.measure import ROOT, seconds_and_peak, timed
from benchmarks.pair import TINY, Sizes, in_memory, positions
from benchmarks.parts_data import SEED
from benchmarks.parts_losses import encoders
from benchmarks.plain.stgcn import PlainSTGCN
from ikem.encoders.stgcn.network import STGCN
from ikem.parallel_apply import parallel_apply
from ikem.process import keep_memory, use_threads
from ikem.training.precision import arithmetic

Call = Callable[[], object]


class _InTuple(nn.Module):
    """What `parallel_apply` expects: a tuple of results."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, seed: int) -> tuple[Tensor]:
        return (self.encoder(x, seed),)


@dataclass(frozen=True)
class _Encoders:
    """Plain ones and ours, with the same parameters, and a batch of clips in the form of each."""

    plain: list[PlainSTGCN]
    ours: list[STGCN]
    disk: Tensor
    batch: Tensor


def _encoders(sizes: Sizes, device: torch.device) -> _Encoders:
    disk = positions(sizes.batch, sizes.frames, SEED, device)
    pairs = [encoders(sizes, device, sizes.dropout) for _ in range(sizes.modalities)]
    return _Encoders([plain for plain, _ in pairs], [ours for _, ours in pairs], disk, in_memory(disk))


def _backward(made: Iterable[Tensor]) -> None:
    torch.autograd.backward([value.float().sum() for value in made])


def _one_by_one(models: Sequence[Callable[..., Tensor]], x: Tensor, *seed: int, cast: bool = False) -> Call:
    def call() -> None:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=cast):
            made = [model(x, *seed) for model in models]
        _backward(made)

    return call


def _in_parallel(some: _Encoders, cast: bool = False) -> Call:
    modules = [_InTuple(encoder) for encoder in some.ours]

    def call() -> None:
        with torch.autocast(some.batch.device.type, torch.bfloat16, enabled=cast):
            embedded = parallel_apply(modules, [(some.batch, SEED)] * len(modules))
        _backward(value for (value,) in embedded)

    return call


def _checkpointed(some: _Encoders) -> Call:
    for encoder in some.ours:
        encoder.activation_checkpointing = True
    return _in_parallel(some)


OPTIONS: dict[str, Callable[[_Encoders], Call]] = {
    "plain eager float32": lambda some: _one_by_one(some.plain, some.disk),
    "plain, torch.compile": lambda some: _one_by_one([torch.compile(encoder) for encoder in some.plain], some.disk),
    "plain, bfloat16": lambda some: _one_by_one(some.plain, some.disk, cast=True),
    "joints first": lambda some: _one_by_one(some.ours, some.batch, SEED),
    "joints first, encoders in parallel": _in_parallel,
    "joints first, encoders in parallel, bfloat16": lambda some: _in_parallel(some, cast=True),
    "joints first, encoders in parallel, activation checkpointing": _checkpointed,
}
"""Ways to run the encoders, by name."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all options, each in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.options", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, default=Sizes.batch)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="tiny encoders: shows that it runs")
    parser.add_argument("--option", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    device = torch.device(chosen.device)
    if chosen.option:
        use_threads(chosen.threads)
        keep_memory()
        torch.set_num_threads(chosen.threads)
        with arithmetic(device, "float32"):  # what a job sets on a GPU
            call = OPTIONS[chosen.option](
                _encoders(TINY if chosen.tiny else replace(Sizes(), batch=chosen.batch), device)
            )
            _, peak = seconds_and_peak(call, device)
            print(json.dumps([peak, [timed(call, device) for _ in range(chosen.rounds)]]))
        return
    rows = []
    first = None
    for name in OPTIONS:
        command = [sys.executable, "-m", "benchmarks.options", *(arguments or sys.argv[1:]), "--option", name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{name}:\n{done.stderr}")
        peak, times = json.loads(done.stdout.splitlines()[-1])
        middle = statistics.median(times)
        first = first or middle
        rows.append(
            [name, f"{middle:.2f} s ({min(times):.2f}-{max(times):.2f})", f"{first / middle:.1f}", f"{peak:.0f}"]
        )
        print(f"{name}: {middle:.2f} s", flush=True)
    head = ["option", "six encoders, forward and backward", "times as fast", "MiB"]
    print("\n" + tabulate(rows, head, tablefmt="github", colalign=("left", "right", "right", "right")))


if __name__ == "__main__":
    main()
