"""What a method costs: parameters and operations of its encoders, time of its training, and where it was trained."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ikem.encoders.registry import build_encoder
from ikem.errors import InputError
from ikem.files import spreadsheet_cell, text_of_cell, write_text
from ikem.report.records import Record, read_records
from ikem.report.results import clean
from ikem.report.summary import Cell
from ikem.report.traces import training_jobs
from ikem.skeleton import load_skeleton
from ikem.workflow.plan import Plan

FILE = "costs.csv"
COLUMNS = ("dataset", "protocol", "method", "streams", "parameters", "gflops", "train_seconds", "device")


@dataclass(frozen=True)
class Cost:
    """Cost of a method with some streams.

    Attributes:
        parameters: of the encoders of the streams together, without projection heads and classifiers.
        gflops: 10^9 floating point operations (a multiplication and an addition are two) of embedding one body.
        train_seconds: wall time of all training that the encoders need, a teacher's too, mean over seeds; null: there
            is none, or its records are gone.
        device: where it was trained.
    """

    parameters: int
    gflops: float
    train_seconds: float | None
    device: str


def costs_of(plan: Plan, cells: Iterator[Cell] | list[Cell]) -> dict[Cell, Cost]:
    """The costs of cells of the tables."""
    counted: dict[tuple[Any, ...], tuple[int, float]] = {}
    found = {}
    for cell in dict.fromkeys(cells):
        method, dataset = plan.config.methods[cell.method], plan.config.datasets[cell.dataset]
        key = (method.recipe, dataset.skeleton, dataset.prepare.frames)
        if key not in counted:
            counted[key] = count(plan.config.recipes[method.recipe].encoder, dataset.skeleton, dataset.prepare.frames)
        streams = cell.streams.split("+")
        seconds, device = _training(plan, cell, streams)
        found[cell] = Cost(len(streams) * counted[key][0], len(streams) * counted[key][1], seconds, device)
    return found


def count(encoder: Any, skeleton: str, frames: int) -> tuple[int, float]:
    """Parameters of an encoder, and its GFLOPs for a body of (3, frames, joints), counted by PyTorch."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    definition = load_skeleton(skeleton)
    network = build_encoder(encoder, definition).eval()
    bodies = getattr(encoder, "bodies", 1)  # of an encoder that sees all bodies at once
    # The counter does not know the fused operator by which a CPU computes attention.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, bodies, 3, frames, definition.joint_count))
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() / 1e9


def _training(plan: Plan, cell: Cell, streams: list[str]) -> tuple[float | None, str]:
    """Mean over seeds of the time of all training jobs that the streams' encoders need, and their devices."""
    totals, devices = [], set()
    for seed in _seeds(plan, cell):
        keys = {"dataset": cell.dataset, "protocol": cell.protocol, "seed": seed, "method": cell.method}
        jobs = training_jobs(plan, keys, streams)
        records, _ = read_records(job.record for job in jobs)
        if jobs and len(records) == len(jobs):
            totals.append(sum(record.seconds for record in records))
            devices |= {_device(record) for record in records}
    return (fmean(totals) if totals else None), ", ".join(sorted(devices))


def _seeds(plan: Plan, cell: Cell) -> list[str]:
    wanted = (cell.dataset, cell.protocol, cell.method)
    names = ("dataset", "protocol", "method")
    asked = {keys["seed"] for _, keys, _ in plan.cells() if tuple(keys[name] for name in names) == wanted}
    return sorted(asked, key=int)


def _device(record: Record) -> str:
    return "CPU" if record.device == "cpu" else record.device


def write_costs(costs: Mapping[Cell, Cost], path: Path) -> None:
    """Write the costs as a table; see `COLUMNS`."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell, cost in sorted(costs.items(), key=lambda pair: _names(pair[0])):
        seconds = "" if cost.train_seconds is None else f"{cost.train_seconds:.1f}"
        writer.writerow([*_names(cell), cost.parameters, f"{cost.gflops:.6f}", seconds, spreadsheet_cell(cost.device)])
    write_text(path, stream.getvalue())


def read_costs(path: Path) -> dict[Cell, Cost]:
    """The costs that `write_costs` wrote; none if there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return {}
    costs = {}
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            for line in csv.DictReader(stream, strict=True):
                cell = Cell(line["method"], line["streams"], line["dataset"], line["protocol"])
                seconds = float(line["train_seconds"]) if line["train_seconds"] else None
                device = clean(text_of_cell(line["device"]))
                costs[cell] = Cost(int(line["parameters"]), float(line["gflops"]), seconds, device)
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        hint = "Gather the results again; it needs no training"
        raise InputError(f"is not a table of costs ({error})", location=str(path), hint=hint) from error
    return costs


def _names(cell: Cell) -> tuple[str, str, str, str]:
    return cell.dataset, cell.protocol, cell.method, cell.streams
