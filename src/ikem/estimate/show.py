"""An estimate as a table, and as JSON."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from ikem.estimate.estimate import Estimate, estimate
from ikem.files import read_json
from ikem.report.records import duration
from ikem.settings.benchmark import Config
from ikem.workflow.device import usable_devices
from ikem.workflow.plan import Plan


def print_estimate(config: Config, gpus: int | None, cores: int | None, json_wanted: bool) -> None:
    """Estimate a config and print it.

    Args:
        gpus, cores: of the machine; None: those of this one, as far as the config lets jobs use them.
    """
    here = len(usable_devices()) if config.compute.device != "cpu" else 0
    plan = Plan(config)
    found = estimate(plan, here if gpus is None else gpus, cores or len(os.sched_getaffinity(0)))
    if json_wanted:
        print(json.dumps(as_json(found, plan), indent=2))
    else:
        show_estimate(found, plan)


def as_json(found: Estimate, plan: Plan) -> dict[str, Any]:
    """Totals, and each kind of job in the order of the plan; seconds and bytes.

    `recorded_seconds` is what the run.json files of the results folder say, null unless every job of a kind has one.
    """
    kinds: dict[str, list[Any]] = defaultdict(list)
    for job in plan.all_jobs():
        seconds = read_json(job.record)["seconds"] if job.record.exists() else None
        kinds[job.name.kind].append((found.costs[job.name], seconds))
    costs = list(found.costs.values())
    return {
        "jobs": len(costs),
        "gpus": found.gpus,
        "cores": found.cores,
        "source": "modeled for H200 GPUs, not measured" if found.gpus else "measured on this CPU",
        "flop_per_second": sorted(round(rate) for rate in found.rates.values()),
        "job_seconds": sum(cost.seconds for cost in costs),
        "gpu_seconds": sum(cost.seconds for cost in costs if cost.gpu),
        "wall_seconds": found.wall_seconds,
        "disk_bytes": sum(cost.disk for cost in costs),
        "memory_bytes": max(cost.memory for cost in costs),
        "clips": {
            f"{dataset} {protocol}": {"train": split.train, "test": split.test, "source": split.source}
            for (dataset, protocol), split in found.splits.items()
        },
        "kinds": {
            kind: {
                "jobs": len(entries),
                "seconds": sum(cost.seconds for cost, _ in entries),
                "longest_seconds": max(cost.seconds for cost, _ in entries),
                "disk_bytes": sum(cost.disk for cost, _ in entries),
                "memory_bytes": max(cost.memory for cost, _ in entries),
                "recorded_seconds": None if None in (times := [time for _, time in entries]) else sum(times),
            }
            for kind, entries in kinds.items()
        },
    }


def show_estimate(found: Estimate, plan: Plan) -> None:
    """Print a line for each kind of job, and the totals."""
    console, values = Console(), as_json(found, plan)
    recorded = any(kind["recorded_seconds"] is not None for kind in values["kinds"].values())
    table = Table(title=plan.config.results, title_justify="left", box=SIMPLE, collapse_padding=True, pad_edge=False)
    table.add_column("job", no_wrap=True)
    for name in ("jobs", "time", *(["recorded"] if recorded else []), "disk", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, kind in values["kinds"].items():
        done = kind["recorded_seconds"]
        table.add_row(
            name,
            str(kind["jobs"]),
            duration(kind["seconds"]),
            *(["" if done is None else duration(done)] if recorded else []),
            size(kind["disk_bytes"]),
            size(kind["memory_bytes"]),
        )
    console.print(table)
    lines = [f"{split}: {clips['train']} training clips, {clips['test']} test clips ({clips['source']})"
             for split, clips in values["clips"].items()]  # fmt: skip
    if found.gpus:
        lines.append("GPU times are modeled for H200s (docs/performance.md), not measured.")
        machine = f"{found.cores} cores and {found.gpus} GPU{'s' if found.gpus > 1 else ''}"
        gpu_hours = f", {values['gpu_seconds'] / 3600:.1f} GPU hours"
    else:
        speeds = ", ".join(f"{speed / 1e9:.1f}" for speed in values["flop_per_second"])
        lines.append(f"This CPU was measured: {speeds} GFLOP/s a job." if speeds else "Nothing is trained.")
        machine, gpu_hours = f"{found.cores} cores", ""
    lines.append(
        f"{values['jobs']} jobs, {duration(values['job_seconds'])} of jobs{gpu_hours}; with {machine} about "
        f"{duration(values['wall_seconds'])}; disk {size(values['disk_bytes'])}, memory of a job up to "
        f"{size(values['memory_bytes'])}."
    )
    print("\n".join(lines))


def size(count: float) -> str:
    """Bytes as a person says them: `12.3 MiB`, `1.5 GiB`."""
    units = ["bytes", "KiB", "MiB", "GiB"]
    while count >= 1000 and len(units) > 1:
        count, units = count / 1024, units[1:]
    return f"{count:.3g} {units[0]}"
