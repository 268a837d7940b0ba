"""Results as a benchmark would have them: synthetic rows for the tests of the report."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ikem.evaluations.metrics import METRICS
from ikem.report.labels import Naming
from ikem.report.results import MODALITIES, Missing, Row

SIX = "+".join(MODALITIES)
THREE = "joint+motion+bone"

METHODS = {
    "random": "Random encoder",
    "skeletonclr": "SkeletonCLR",
    "skeletonclr-joint": "SkeletonCLR, joint",
    "crossclr-3": "CrosSCLR-3",
    "crossclr-6": "CrosSCLR-6",
    "ikem-3": "IKEM-3",
    "ikem-6": "IKEM-6",
    "student": "Student of IKEM-6",
    "supervised": "Supervised",
}
STREAMS = {
    "random": (*MODALITIES, SIX),
    "skeletonclr": (*MODALITIES, SIX),
    "skeletonclr-joint": ("joint",),
    "crossclr-3": ("joint", "motion", "bone", THREE),
    "crossclr-6": (*MODALITIES, SIX),
    "ikem-3": ("joint", "motion", "bone", THREE),
    "ikem-6": (*MODALITIES, SIX),
    "student": ("joint", "motion", "bone", THREE),
    "supervised": (*MODALITIES, SIX),
}
SPLITS = (("nwucla", "xsub"), ("nwucla", "xview"), ("ntu60", "xsub"), ("ntu60", "xview"), ("ntu120", "xset"))
EVALUATIONS = ("linear", "knn-1", "semi-1", "semi-10", "finetune")

NAMING = Naming(
    methods=METHODS,
    datasets={"nwucla": "NW-UCLA", "ntu60": "NTU-60", "ntu120": "NTU-120"},
    protocols={"nwucla": ("xview", "xsub"), "ntu60": ("xsub", "xview"), "ntu120": ("xsub", "xset")},
    evaluations={"linear": "Linear evaluation", "knn-1": "Nearest neighbor", "semi-1": "1 % of the labels",
                 "semi-10": "10 % of the labels", "finetune": "Fine-tuning"},
    published_as={"skeletonclr": "SkeletonCLR", "skeletonclr-joint": "SkeletonCLR",
                  "crossclr-3": "CrosSCLR", "crossclr-6": "CrosSCLR"},
)  # fmt: skip


def row(**changes: Any) -> Row:
    """A row of a linear evaluation with some values and metrics changed; a metric of None is left out."""
    values: dict[str, Any] = {
        "dataset": "demo", "protocol": "xsub", "method": "ikem-6", "streams": "joint", "evaluation": "linear",
        "seed": 0, "label_subset": None, "train_clips": 240, "test_clips": 120, "classes": 10, "complete": True,
    }  # fmt: skip
    metrics: dict[str, Any] = {
        "top1": 50.0, "top5": 90.0, "mean_class_accuracy": 49.0, "best_epoch_top1": 51.0, "best_epoch": 7,
    }  # fmt: skip
    metrics |= {name: changes.pop(name) for name in METRICS if name in changes}
    values["metrics"] = {name: value for name, value in metrics.items() if value is not None}
    return Row.model_validate(values | changes)


def benchmark(
    splits: tuple[tuple[str, str], ...] = SPLITS,
    evaluations: tuple[str, ...] = EVALUATIONS,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> tuple[list[Row], list[Missing]]:
    """Rows of nine methods, and one run that failed."""
    rows, missing = [], []
    classes = {"nwucla": 10, "ntu60": 60, "ntu120": 120, "demo": 12}
    for position, (dataset, protocol) in enumerate(splits):
        for number, method in enumerate(METHODS):
            for evaluation in evaluations:
                for seed in seeds:
                    if (method, evaluation, seed) == ("student", "linear", seeds[-1]) and position == 0:
                        reason = "out of memory (the job was killed by signal 9)"
                        missing.append(Missing(dataset, protocol, method, evaluation, seed, reason))
                        continue
                    for part, streams in enumerate(STREAMS[method]):
                        for subset in range(2) if evaluation.startswith("semi") else (None,):
                            wave = math.sin(7 * number + 3 * part + 5 * seed + position + (subset or 0))
                            top1 = 30 + 5 * number + 2 * position + 4 * streams.count("+") ** 0.5 + 1.5 * wave
                            top1 -= {"semi-1": 15, "semi-10": 6, "knn-1": 4, "finetune": -6}.get(evaluation, 0)
                            rows.append(row(
                                dataset=dataset, protocol=protocol, method=method, streams=streams, label_subset=subset,
                                evaluation=evaluation, seed=seed, top1=top1, top5=min(100.0, top1 + 25),
                                mean_class_accuracy=top1 - 0.7, best_epoch_top1=top1 + 0.4, classes=classes[dataset],
                                complete=(dataset, protocol) != ("nwucla", "xsub"),
                            ))  # fmt: skip
    return rows, missing


def write_rows(path: Path, rows: list[Row]) -> Path:
    """A JSON file of an evaluation job."""
    path.write_text(json.dumps({"rows": [item.model_dump() for item in rows]}))
    return path


def confusion(classes: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A confusion matrix that is mostly right."""
    generator = np.random.default_rng(seed)
    return generator.poisson(0.4, (classes, classes)).astype(np.int64) + 12 * np.eye(classes, dtype=np.int64)


def write_metrics(path: Path, epochs: int, seed: int = 0) -> Path:
    """A metrics.csv of a training job."""
    generator = np.random.default_rng(seed)
    lines = ["epoch,loss,top1,learning_rate,seconds"]
    for epoch in range(1, epochs + 1):
        loss = 7 * math.exp(-epoch / 20) + 1.5 + 0.1 * generator.standard_normal()
        rate = 0.1 if epoch <= 0.8 * epochs else 0.01
        lines.append(f"{epoch},{loss:.4f},{90 - 80 * math.exp(-epoch / 15):.2f},{rate},{2.5:.2f}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def write_run(path: Path, number: int) -> Path:
    """A run.json of a job."""
    run = {
        "settings": {"kind": "ikem", "epochs": 150, "name": "<b>bold</b>"},
        "digest": f"{number:064x}", "seed": number,
        "versions": {"python": "3.11.7", "torch": "2.13.0+cpu", "numpy": "2.4.6"},
        "commit": "0123456789abcdef0123456789abcdef01234567", "device": "cpu",
        "started": "2026-11-01T10:00:00+00:00", "finished": "2026-11-01T10:12:30+00:00", "seconds": 750.0 + number,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run))
    return path
