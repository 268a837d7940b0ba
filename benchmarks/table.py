"""The table of the benchmark: on the screen, as CSV, and what it was measured on beside it."""

from __future__ import annotations

import csv
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path

import numba
import numpy as np
import psutil
import torch
from tabulate import tabulate

from benchmarks.measure import Row

COLUMNS = tuple(field.name for field in fields(Row))


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write the CSV; times and peaks with four significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in asdict(row).items()}
            )


def show(rows: Sequence[Row]) -> str:
    """The table for a reader."""
    body = [
        [
            row.part,
            row.size,
            _time(row.plain_s, row.plain_quartile1_s, row.plain_quartile3_s),
            _time(row.ours_s, row.ours_quartile1_s, row.ours_quartile3_s),
            f"{row.ratio:.1f}",
            f"{row.max_abs_difference:.1e}",
            f"{row.plain_peak_mib:.0f}",
            f"{row.ours_peak_mib:.0f}",
            row.rounds,
        ]
        for row in rows
    ]
    head = ["part", "size", "plain", "ours", "ratio", "difference", "plain MiB", "ours MiB", "rounds"]
    return tabulate(body, head, disable_numparse=True, colalign=("left", "left", *["right"] * 7))


def _time(middle: float, first: float, third: float) -> str:
    unit, factor = ("s", 1.0) if middle >= 1 else ("ms", 1e3)
    return f"{factor * middle:.4g} {unit} ({factor * first:.4g}-{factor * third:.4g})"


def surroundings(command: Sequence[str], seconds: float, load: float) -> dict[str, object]:
    """What the figures depend on beside the code."""
    processor = platform.processor()
    about = Path("/proc/cpuinfo")
    if about.exists():
        names = [
            line.split(":", 1)[1].strip() for line in about.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "command": " ".join(command),
        "seconds": round(seconds),
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load_before": round(load, 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "system": sys.platform,
        "processes": "plain: as Python and PyTorch come; ours: with ikem.process, as a job has it",
    }


def write_surroundings(about: dict[str, object], path: Path) -> None:
    """Beside the CSV, as JSON."""
    path.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")
