"""The workflow through a real SLURM: jobs are cancelled, requeued and asked to leave, and the results stay the same."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from job_support import Workshop, same, snakemake_environment, with_workflow, write_config
from slurm_cluster import Cluster, obstacle

pytestmark = pytest.mark.slurm

TRAINING = {
    "recipes": {"tiny": {"schedule": {"epochs": 120, "decay_after": None}, "exchange_after": 60}},
    "methods": {"pair": {"kind": "ikem", "recipe": "tiny", "modalities": ["joint", "motion"]}},
    "evaluations": {"finetune": {"schedule": {"epochs": 40}}},
    "benchmark": [
        {
            "dataset": "tiny",
            "protocols": ["xsub"],
            "methods": ["pair"],
            "evaluations": ["linear", "knn-1", "finetune"],
        }
    ],
    "compute": {
        "checkpoint_minutes": 0.0,
        **{name: {"mem_mb": 400, "runtime": 10} for name in ("data", "report")},
        **{name: {"mem_mb": 400, "runtime": 10, "gpu": 1} for name in ("pretrain", "evaluate")},
    },
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A SLURM with four GPUs."""
    if obstacle():
        pytest.skip(obstacle())
    with Cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started


class Interference:
    """Meddles once with the job of each rule, as soon as it has written a checkpoint."""

    def __init__(self, cluster: Cluster, place: Path) -> None:
        run = place / "results" / "tiny" / "xsub" / "seed0"
        self.todo = {
            "cancelled": ("rule_pretrain_exchange", run / "exchange" / "pair", ["scancel"]),
            "asked to leave": ("_tiny_joint", run / "stage1" / "tiny" / "joint", ["scancel", "--signal=TERM"]),
            "requeued": ("_tiny_motion", run / "stage1" / "tiny" / "motion", ["scontrol", "requeue"]),
        }
        self.done: list[str] = []
        self.most_at_once = 0
        self._cluster = cluster

    def look(self) -> None:
        running = self._cluster.call("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()
        self.most_at_once = max(self.most_at_once, len(running))
        for name, (words, folder, command) in list(self.todo.items()):
            if list(folder.glob(".*checkpoint")) and (number := self._cluster.job_of(words)):
                subprocess.run([*command, number], check=True, timeout=30)
                self.done.append(name)
                del self.todo[name]


def test_a_benchmark_through_slurm(workshop: Workshop, cluster: Cluster, tmp_path: Path) -> None:
    local, remote = (with_workflow(workshop, tmp_path / name) for name in ("local", "remote"))
    write_config(local, TRAINING), write_config(remote, TRAINING)
    environment = snakemake_environment(IKEM_PRETEND_DEVICES="4", IKEM_LOCK_FOLDER=str(tmp_path / "locks"))
    ran = subprocess.run(
        ["snakemake", "--cores", "2", "--configfile", "config.yaml"],
        cwd=local,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    interference = Interference(cluster, remote)
    with (tmp_path / "snakemake.log").open("w+") as log:
        process = subprocess.Popen(
            [
                *("snakemake", "--profile", "profiles/slurm", "--configfile", "config.yaml"),
                *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3"),
                *(
                    "--default-resources",
                    "slurm_account=none",
                    "slurm_partition=gpu",
                    "slurm_extra='--signal=TERM@120'",
                ),
                *("--latency-wait", "10", "--seconds-between-status-checks", "3"),
            ],
            cwd=remote,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        end = time.monotonic() + 900
        while process.poll() is None and time.monotonic() < end:
            interference.look()
            time.sleep(0.1)
        process.kill() if process.poll() is None else None
        log.seek(0)
        told = log.read()
    assert process.returncode == 0, f"{told[-6000:]}\n{cluster.log()}"
    assert sorted(interference.done) == ["asked to leave", "cancelled", "requeued"], told[-4000:]
    assert interference.most_at_once >= 2

    run = remote / "results" / "logs" / "tiny" / "xsub" / "seed0"
    logs = {
        path.relative_to(run).parts[0] + path.parent.name: path.read_text() for path in run.rglob("*.safetensors.log")
    }
    assert "going on from epoch" in logs["exchangepair"]
    for modality in ("joint", "motion"):
        assert "going on from epoch" in logs[f"stage1{modality}"]
    # Snakemake removes the log of a job that it submits again; SLURM keeps what the job said.
    kept = "".join(path.read_text() for path in (remote / ".snakemake" / "slurm_logs").rglob("*tiny_joint/*.log"))
    assert "left: SIGTERM; the same command goes on from here" in kept
    assert all(re.search(r"device \d, as the scheduler gave it", text) for text in logs.values() if "epoch" in text)
    record = json.loads(next(remote.rglob("exchange/pair/*.run.json")).read_text())
    assert record["device"].startswith("cpu (pretended device ")

    names = [
        path.relative_to(local / "results")
        for part in ("tiny", "tables")
        for path in (local / "results" / part).rglob("*")
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith("run.json")
    ]
    assert sum(name.name == "state.safetensors" for name in names) == 3
    assert all(same(local / "results" / name, remote / "results" / name) for name in names)
