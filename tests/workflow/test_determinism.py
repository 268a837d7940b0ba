"""The same seed gives the same bits: whatever --cores says, interrupted or not, whichever jobs run beside it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ikem.training.loader import Clips
from job_support import (
    Workshop,
    command_of,
    differing,
    processes_of,
    same,
    snakemake_environment,
    with_workflow,
    write_config,
)

XSUB = {"dataset": "tiny", "protocols": ["xsub"]}

SMALL = {
    "recipes": {"tiny": {"drop_last": False}},
    "methods": {
        "pair": {"kind": "ikem", "recipe": "tiny", "modalities": ["joint", "motion"]},
        "diverging": {
            "kind": "supervised",
            "recipe": "tiny",
            "modalities": ["joint"],
            "schedule": {
                "epochs": 4,
                "decay": {"epoch": None},
                "batch_size": 8,
                "learning_rate": 1e3,
                "weight_decay": 1.0,
            },
        },
    },
    "benchmark": [
        {
            "dataset": "tiny",
            "protocols": ["xsub"],
            "methods": ["pair", "diverging"],
            "evaluations": ["linear", "knn-1"],
        },
        {"dataset": "tiny", "protocols": ["xsub"], "methods": ["pair"], "evaluations": ["finetune"]},
    ],
    "compute": {"threads": 2, "checkpoint_minutes": 0.0},
}
"""Two jobs of stage 1, one of stage 2, its evaluations; and a training that must fail."""


def place_of(workshop: Workshop, folder: Path) -> tuple[Path, Path]:
    """A folder with the workflow and the prepared data in it; and its config."""
    return with_workflow(workshop, folder), write_config(folder, SMALL)


def snakemake(project: Path, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["snakemake", *arguments, "--configfile", str(config)]
    environment = snakemake_environment(OMP_WAIT_POLICY="PASSIVE")  # two threads may have to share a core
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=500)


class Killer(threading.Thread):
    """Kills the process of stage 2 in `project`, without mercy, as soon as it has written a checkpoint."""

    def __init__(self, project: Path) -> None:
        super().__init__(daemon=True)
        self.output = project / "results" / "tiny" / "xsub" / "seed0" / "ikem" / "pair" / "state.safetensors"
        self.killed, self.stop = 0, False

    def run(self) -> None:
        while not self.killed and not self.stop:
            if list(self.output.parent.glob(".*checkpoint")):
                for number in processes_of(self.output):
                    os.kill(number, signal.SIGKILL)
                    self.killed += 1
            time.sleep(0.002)


@pytest.fixture(scope="module")
def both(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """One benchmark twice: a job at a time on one core; several at a time, one of them killed, and called again."""
    if not Path("/proc").is_dir():
        pytest.skip("processes are found in /proc")
    folder = tmp_path_factory.mktemp("determinism")
    printed = []
    calm, calm_config = place_of(workshop, folder / "calm")
    first = snakemake(calm, calm_config, "--cores", "1")
    assert first.returncode == 1
    wild, wild_config = place_of(workshop, folder / "wild")
    killer = Killer(wild)
    killer.start()
    second = snakemake(wild, wild_config, "--cores", "4")
    killer.stop = True
    killer.join()
    assert second.returncode == 1
    assert killer.killed == 1, second.stderr
    again = snakemake(wild, wild_config, "--cores", "4")
    assert again.returncode == 1
    tables = snakemake(calm, calm_config, "--cores", "1", "tables_so_far")
    assert tables.returncode == 0, tables.stderr
    plan, folder = wild / "results" / "plan.json", wild / "results" / "tables"
    assert workshop.warm.start("gather", str(plan), str(folder), "--partial", folder=wild).wait() == 0
    printed = [run.stdout + run.stderr for run in (first, second, again)]
    return calm, wild, printed


def test_results_are_equal_to_the_byte(both: tuple[Path, Path, list[str]]) -> None:
    calm, wild, printed = both
    assert "resuming from epoch" in printed[2]
    names = list((calm / "results").rglob("*"))
    kinds = {name.name for name in names}
    assert {"state.safetensors", "metrics.csv", "embeddings.safetensors", "linear.json", "results.csv"} <= kinds
    assert {"finetune.json", "linear.confusion.npz", "linear.md"} <= kinds
    assert len([name for name in names if name.name == "state.safetensors"]) == 3
    # The one file with the folder's own name in it.
    named = {"tiny/archives/skeletons.json", "tiny/archives/missing_list.json"}
    assert set(differing(calm / "results", wild / "results", ["tiny", "tables"])) <= named


def test_what_can_go_on_goes_on(both: tuple[Path, Path, list[str]]) -> None:
    """A training that fails leaves an empty cell that says why; all others are there."""
    for project in both[:2]:
        table = pd.read_csv(project / "results" / "tables" / "results.csv")
        there = table[table["method"] == "pair"]
        assert set(there["evaluation"]) == {"linear", "knn-1", "finetune"}
        assert there.loc[there["metric"] == "top1", "value"].notna().sum() == 9
        empty = table[table["method"] == "diverging"]
        assert len(empty) and empty["value"].isna().all()
        (reason,) = set(empty["note"])
        assert "nan in epoch 1" in reason or "not finite" in reason
        assert "Lower the learning rate" in reason
        assert "Lower the learning rate" in (project / "results" / "report.html").read_text()


def test_the_tables_refuse_what_is_missing(both: tuple[Path, Path, list[str]]) -> None:
    assert "the loss of joint is nan" in both[2][0] or "not finite" in both[2][0]
    assert (
        not (both[0] / "results" / "tiny" / "xsub" / "seed0" / "supervised" / "diverging" / "joint")
        .joinpath("state.safetensors")
        .exists()
    )


def test_threads_follow_the_settings(workshop: Workshop, tmp_path: Path) -> None:
    """Whatever a scheduler says about threads, and however many cores there are."""
    job = workshop.job("momentum_contrast", modality="joint")
    inputs = {name: part.output for name, part in job.inputs.items()}
    outputs = []
    for said, prefix in (("1", []), ("7", ["taskset", "-c", "0"] if shutil.which("taskset") else [])):
        outputs.append(tmp_path / said / "state.safetensors")
        command = [sys.executable, "-m", "ikem", *command_of(job.settings | {"threads": 2}, inputs, outputs[-1], 60)]
        environment = os.environ | {"OMP_NUM_THREADS": said, "MKL_NUM_THREADS": said, "OMP_WAIT_POLICY": "PASSIVE"}
        subprocess.run([*prefix, *command], env=environment, check=True, capture_output=True, timeout=200)
    assert same(*outputs)


def test_clips_read_ahead_are_those_in_memory(workshop: Workshop) -> None:
    """Whether the clips fit into memory depends on what runs beside; the batches do not."""
    position = workshop.job("prepare").output
    cut = [np.array([3, 1, 4]), np.array([0, 2]), np.array([5])]
    clips = [Clips(position, [7, 3, 9, 1, 0, 12], torch.device("cpu"), resident) for resident in (True, False)]
    for one, other in zip(*(part.batches(cut) for part in clips), strict=True):
        assert torch.equal(one.position, other.position)
        assert torch.equal(one.frames, other.frames)
        assert one.position.stride() == other.position.stride()
