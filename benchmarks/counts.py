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

import torch
from tabulate import tabulate

from benchmarks.gpu import STEPS, Setup, stepper
from benchmarks.pair import TINY, Sizes
from ikem.estimate.counting import BANDWIDTH, LAUNCH, RATES, Counts


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
