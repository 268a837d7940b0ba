"""`python -m benchmarks.counts`: operations, bytes and FLOP of a training step of each stage, counted without a GPU.

A whole step runs on device "meta", which has shapes but no values, in float32 and with PyTorch's own operations, as on
a GPU. Each operation that is no view counts: what it reads and writes, and the FLOP of its products and convolutions.
Times are a model of one H200, not measurements: an operation takes what its bytes take at 4.3 TB/s or its FLOP at 50
(float32) or 200 TFLOP/s (TF32), 2 microseconds at least; launching it from Python takes 8.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.gpu import STEPS, Setup, stepper
from benchmarks.pair import TINY, Sizes

BANDWIDTH, SHORTEST, LAUNCH = 4.3e12, 2e-6, 8e-6
RATES = {"float32": 50e12, "tf32": 200e12}
MEMORY_ONLY = (
    "empty",
    "new_empty",
    "empty_like",
    "empty_strided",
    "new_empty_strided",
    "_unsafe_view",
    "detach",
    "alias",
)


class Counts(TorchDispatchMode):
    """Counts what passes through it.

    Attributes:
        operations, moved, done: operations that are no views, bytes that they read and write, FLOP.
        seconds: modeled time of their kernels, by precision.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations, self.moved, self.done, self.seconds = 0, 0.0, 0.0, dict.fromkeys(RATES, 0.0)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        packet = function.overloadpacket
        if function.is_view or packet.__name__ in MEMORY_ONLY:
            return result
        read, written = ([each for each in tree_leaves(part) if isinstance(each, Tensor)]
                         for part in ((args, kwargs), result))  # fmt: skip
        moved = sum(map(_bytes, read)) + sum(map(_bytes, written))
        done = float(flop_registry[packet](*args, **kwargs, out_val=result)) if packet in flop_registry else 0.0
        self.operations, self.moved, self.done = self.operations + 1, self.moved + moved, self.done + done
        for precision, rate in RATES.items():
            self.seconds[precision] += max(moved / BANDWIDTH, done / rate, SHORTEST)
        return result


def _bytes(value: Tensor) -> int:
    """Of memory: a dimension that is expanded has one entry."""
    entries = 1
    for size, stride in zip(value.shape, value.stride(), strict=True):
        entries *= size if stride or not size else 1
    return entries * value.element_size()


def count_step(stage: str, sizes: Sizes, folder: Path) -> Counts:
    """A step of a stage, when the optimizer has its state and the epoch's draws are on the device."""
    setup = Setup(torch.device("meta"), sizes, False, 4 * sizes.batch, folder, 0.0, [stage], ["float32"], ["eager"])
    trainer, step = stepper(setup, stage, "float32", "eager")
    for group in trainer.optimizer.param_groups:
        group["foreach"] = True  # as by default on a GPU
    step()
    with Counts() as counts:
        step()
    return counts


def main(arguments: Sequence[str] | None = None) -> None:
    """Count all stages and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts", description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: shows that it runs")
    chosen = parser.parse_args(arguments)
    sizes = TINY if chosen.tiny else replace(Sizes(), batch=chosen.batch)
    rows = []
    for stage, modalities in STEPS.items():
        with TemporaryDirectory() as folder:
            found = count_step(stage, sizes, Path(folder))
        milliseconds = found.moved / BANDWIDTH, *found.seconds.values(), found.operations * LAUNCH
        counted = f"{found.operations:,}", f"{found.moved / 1e9:.3g}", f"{found.done / 1e12:.3g}"
        rows.append([f"`{stage}`", modalities, *counted, *(f"{1e3 * value:.1f}" for value in milliseconds)])
    head = [
        "step",
        "modalities",
        "operations",
        "GB",
        "TFLOP",
        "bytes, ms",
        *(f"{name}, ms" for name in RATES),
        "launches, ms",
    ]
    print(tabulate(rows, head, tablefmt="github", disable_numparse=True, colalign=("left", *["right"] * 8)))
    print(f"Counted: batch {sizes.batch}, queue {sizes.queue}, float32. The times are a model of one H200.")


if __name__ == "__main__":
    main()
