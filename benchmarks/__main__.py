"""`python -m benchmarks`: time every part against its plain transcription, print one table, write it as CSV."""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.measure import Row, measure
from benchmarks.pair import TINY, Sizes
from benchmarks.parts import PARTS
from benchmarks.table import show, surroundings, write_rows, write_surroundings

# Of the time, what goes to rounds; the rest is for setting up, first calls and the memory of each side.
_FOR_ROUNDS = 0.45


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    parser.add_argument("--threads", type=int, default=2, help="threads of a CPU (decode and prepare: always one)")
    parser.add_argument("--batch", type=int, default=32, help="clips of a step")
    parser.add_argument("--minutes", type=float, default=15.0, help="about how long all parts may take together")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path, default=Path("results/bench/bench.csv"))
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: shows that it runs, not how fast")
    chosen = parser.parse_args(arguments)
    sizes = TINY if chosen.tiny else Sizes(batch=chosen.batch)
    began, load = time.perf_counter(), os.getloadavg()[0]
    if load > 0.5 and not chosen.tiny:
        print(f"Load is {load:.1f}: something else is running, and times will not be steady.")
    # Shares are of a full run: fewer parts do not take longer each. What is late leaves less to the parts that follow.
    budget, total = 60 * chosen.minutes, sum(part.share for part in PARTS.values())
    rows: list[Row] = []
    for place, name in enumerate(chosen.parts):
        share = PARTS[name].share
        left = (budget - (time.perf_counter() - began)) / sum(PARTS[other].share for other in chosen.parts[place:])
        seconds = max(0.0, _FOR_ROUNDS * share * min(left, budget / total))
        row = measure(name, sizes, torch.device(chosen.device), chosen.threads, seconds)
        rows.append(row)
        print(f"{name}: {row.ratio:.1f}x ({time.perf_counter() - began:.0f} s)", flush=True)
        write_rows(rows, chosen.output)
    told = ["python -m benchmarks"]
    for field, value in vars(chosen).items():
        if value != parser.get_default(field) and field != "output":
            told.append(f"--{field} {' '.join(map(str, value)) if isinstance(value, list) else value}")
    about = surroundings(told, time.perf_counter() - began, load)
    write_surroundings(about | {"sizes": dataclasses.asdict(sizes)}, chosen.output)
    print(f"\n{show(rows)}\n\nMedians (quartiles); {chosen.output}")


if __name__ == "__main__":
    main()
