"""`python -m benchmarks.options`: ways to run six encoders forward and backward, each against plain eager float32.

All run in one process, set up as a job is, and take turns; the first turn (which compiles) is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from tabulate import tabulate
from torch import Tensor, nn

from benchmarks.measure import timed
from benchmarks.pair import TINY, Sizes, in_memory, positions
from benchmarks.parts_data import SEED
from benchmarks.parts_losses import encoders
from ikem.parallel import plain
from ikem.side_by_side import call_at_once
from ikem.threads import keep_memory, use_threads

Call = Callable[[], object]


class _InTuple(nn.Module):
    """What `call_at_once` expects: a tuple of results."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, seed: int) -> tuple[Tensor]:
        return (self.encoder(x, seed),)


def options(sizes: Sizes, device: torch.device) -> dict[str, Call]:
    """Each way by name: a step of `sizes.modalities` encoders, to the gradients of all parameters."""
    disk = positions(sizes.batch, sizes.frames, SEED, device)
    batch = in_memory(disk)
    pairs = [encoders(sizes, device, sizes.dropout) for _ in range(sizes.modalities)]
    theirs, mine = ([pair[side] for pair in pairs] for side in (0, 1))
    compiled = [torch.compile(encoder) for encoder in theirs]
    tuples = [_InTuple(encoder) for encoder in mine]

    def eager(models: Sequence[Callable[[Tensor], Tensor]], cast: bool = False) -> Call:
        def call() -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=cast):
                made = [model(disk) for model in models]
            torch.autograd.backward([value.float().sum() for value in made])

        return call

    def joints_first(cast: bool = False, kernels: bool = False) -> Call:
        def call() -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=cast):
                made = [model(batch, SEED) for model in mine]
            torch.autograd.backward([value.float().sum() for value in made])

        def without_kernels() -> None:
            with plain():
                call()

        return call if kernels else without_kernels

    def side_by_side() -> None:
        made = call_at_once(tuples, [(batch, SEED)] * len(tuples))
        torch.autograd.backward([value.sum() for (value,) in made])

    chosen = {
        "plain eager float32": eager(theirs),
        "plain, torch.compile": eager(compiled),
        "plain, bfloat16 autocast": eager(theirs, cast=True),
        "joints first, PyTorch's operations": joints_first(),
        "joints first, bfloat16 autocast": joints_first(cast=True),
    }
    if device.type == "cpu":
        chosen |= {
            "joints first, compiled kernels": joints_first(kernels=True),
            "the same, encoders side by side": side_by_side,
        }
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all options and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.options", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, default=Sizes.batch)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="tiny encoders: shows that it runs")
    chosen = parser.parse_args(arguments)
    use_threads(chosen.threads)
    keep_memory()
    torch.set_num_threads(chosen.threads)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no workers that stay and take a core
    device = torch.device(chosen.device)
    calls = options(TINY if chosen.tiny else replace(Sizes(), batch=chosen.batch), device)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(chosen.rounds + 1):
        for name, call in calls.items():
            seconds = timed(call, device)
            if number:
                times[name].append(seconds)
    first = statistics.median(times["plain eager float32"])
    rows = [
        [
            name,
            f"{statistics.median(taken):.3g} s ({min(taken):.3g}-{max(taken):.3g})",
            f"{first / statistics.median(taken):.2f}",
        ]
        for name, taken in times.items()
    ]
    print(tabulate(rows, ["option", "six encoders, forward and backward", "times as fast"], tablefmt="github"))


if __name__ == "__main__":
    main()
