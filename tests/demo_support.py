"""The whole demo in a folder of its own, as its users run it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from job_support import ROOT, differing, snakemake_environment

OFTEN = {
    "compute": {
        "checkpoint_minutes": 0.02,
        "data": {"mem_mb": 800, "runtime": 30},
        "pretrain": {"mem_mb": 1000, "runtime": 30, "gpu": 1},
        "evaluate": {"mem_mb": 1000, "runtime": 30, "gpu": 1},
        "report": {"mem_mb": 800, "runtime": 30},
    },
}
"""Laid over the demo: a checkpoint every second or so, and what a small machine has. None of it shapes a result."""

CONFIGS = ["config/config.yaml", "often.yaml"]


@dataclass
class Demo:
    """A copy of the workflow and of its default config, run in `folder`."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        shutil.copy(ROOT / "Snakefile", self.folder)
        for name in ("rules", "profiles", "config"):
            shutil.copytree(ROOT / name, self.folder / name)
        (self.folder / "often.yaml").write_text(yaml.safe_dump(OFTEN), encoding="utf-8")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start Snakemake, the leader of a group of processes; `told` has what it says."""
        with (self.folder / "told.log").open("ab") as log:
            return subprocess.Popen(
                ["snakemake", "--configfile", *CONFIGS, "--quiet", "rules", "host", *arguments],
                cwd=self.folder,
                env=snakemake_environment(IKEM_LOCK_FOLDER=str(self.folder / "locks"), **environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def told(self) -> str:
        """All that Snakemake said."""
        return (self.folder / "told.log").read_text(encoding="utf-8", errors="replace")

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.folder / "results"

    def jobs(self) -> list[int]:
        """The numbers of the processes that run a job of this folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words, place = (entry / "cmdline").read_bytes().split(b"\0"), (entry / "cwd").readlink()
            except OSError:
                continue
            if place == self.folder.resolve() and words[1:4] == [b"-m", b"ikem", b"job"]:
                found.append(int(entry.name))
        return found

    def differing_from(self, other: Demo) -> list[str]:
        """The files of the results that are not the same, or not there, in both."""
        return differing(self.results, other.results, ["demo", "demo-pkummd", "tables"])


def run_with_kills(demo: Demo, generator: random.Random, kills: int, seconds: float) -> tuple[int, int]:
    """Run the demo a job at a time until it is whole, while jobs, and at times all processes at once, are killed.

    Args:
        demo: what is run.
        generator: draws moments and victims.
        kills: how many of either.
        seconds: between two of them, on average.

    Returns:
        How many jobs, and how many whole runs, were killed.
    """
    jobs = runs = 0
    while True:
        process = demo.start("--cores", "1")
        while process.poll() is None and jobs + runs < kills:
            end = time.monotonic() + generator.uniform(0.2, 2 * seconds)
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            running = demo.jobs()
            if process.poll() is not None or not running:
                continue
            if generator.random() < 0.3:
                os.killpg(process.pid, signal.SIGKILL)
                runs += 1
            else:
                os.kill(generator.choice(running), signal.SIGKILL)
                jobs += 1
        if process.wait() == 0:
            return jobs, runs
        while demo.jobs():  # what outlived its Snakemake was killed with it, and is about to be gone
            time.sleep(0.1)
