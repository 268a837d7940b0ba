"""Trained methods whose embeddings tell clips apart, which those of the workshop, drawn as published, do not yet."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from job_support import Workshop, write_config

_METHODS = {
    "recipes": {
        "tiny": {
            "encoder": {"hidden_channels": 4, "hidden_dim": 32, "initialization": "pytorch"},
            "schedule": {"epochs": 2, "decay": {"epoch": None}},
            "stage1_epochs": 1,
        }
    },
    "evaluations": {"linear": {"schedule": {"epochs": 20, "decay": {"epoch": None}, "learning_rate": 20.0}}},
    "benchmark": [
        {
            "dataset": "tiny",
            "protocols": ["xsub"],
            "methods": ["random", "skeletonclr", "ikem-3"],
            "evaluations": ["linear", "knn-1"],
        },
        {"dataset": "tiny", "protocols": ["xsub"], "methods": ["random"], "evaluations": ["transfer"]},
    ],
}


@pytest.fixture(scope="session")
def results(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder; its data are those of the workshop."""
    folder = tmp_path_factory.mktemp("trained")
    for part in ("raw", "archives", "decoded", "prepared", "modalities", "splits"):
        shutil.copytree(workshop.results / "tiny" / part, folder / "results" / "tiny" / part)
    workshop.warm.ask({"run": str(write_config(folder, _METHODS))})
    return folder / "results"
