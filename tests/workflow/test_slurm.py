"""The demo through a real SLURM: jobs are cancelled, requeued and asked to leave, and the results stay the same."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from demo_support import LONGEST, Demo
from slurm_cluster import Cluster, obstacle

pytestmark = pytest.mark.slurm

SUBMIT = [
    *("--profile", "profiles/slurm", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3", "--latency-wait", "10"),
    *("--default-resources", "slurm_account=none", "slurm_partition=gpu", "slurm_extra='--signal=TERM@120'"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A SLURM with four GPUs."""
    if obstacle():
        pytest.skip(obstacle())
    with Cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started


class Interference:
    """Meddles once with the job of each rule, as soon as it has written a checkpoint."""

    def __init__(self, cluster: Cluster, demo: Demo) -> None:
        run = demo.results / "demo" / "xsub" / "seed0"
        stage1, leave = run / "momentum_contrast" / "demo", ["scancel", "--signal=TERM"]
        self.todo = {
            "cancelled": ("_demo_xsub_0_ikem-6", run / "ikem" / "ikem-6", ["scancel"]),
            "asked to leave": ("_demo_xsub_0_demo_joint", stage1 / "joint", leave),
            "requeued": ("_demo_xsub_0_demo_motion", stage1 / "motion", ["scontrol", "requeue"]),
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


def test_the_demo_through_slurm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("demo")
    local, remote = Demo(folder / "local"), Demo(folder / "remote")
    local.run("--cores", "2")

    interference = Interference(cluster, remote)
    with remote.running(*SUBMIT, IKEM_PRETEND_DEVICES="4") as process:
        end = time.monotonic() + LONGEST
        while process.poll() is None and time.monotonic() < end:
            interference.look()
            time.sleep(0.1)
        assert process.poll() == 0, f"{remote.printed[-6000:]}\n{cluster.log()}"
    assert sorted(interference.done) == ["asked to leave", "cancelled", "requeued"], remote.printed[-4000:]
    assert interference.most_at_once >= 2

    logs = remote.results / "logs" / "demo" / "xsub" / "seed0"
    for name in ("ikem/ikem-6", "momentum_contrast/demo/joint", "momentum_contrast/demo/motion"):
        (log,) = (logs / name).glob("*.safetensors.log")
        assert "resuming from epoch" in log.read_text()
        assert re.search(r"device \d, as the scheduler gave it", log.read_text())
    # Snakemake removes the log of a job that it submits again; SLURM keeps what the job said.
    kept = "".join(
        path.read_text() for path in (remote.folder / ".snakemake" / "slurm_logs").rglob("*demo_joint/*.log")
    )
    assert "left: SIGTERM; the same command resumes from here" in kept
    (record,) = (remote.results / "demo" / "xsub" / "seed0" / "ikem" / "ikem-6").glob("*.run.json")
    assert json.loads(record.read_text())["device"].startswith("cpu (pretended device ")

    assert remote.differing_from(local) == []
