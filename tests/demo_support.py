"""The whole demo in a folder of its own, as its users run it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from job_support import ROOT, differing, snakemake_environment, until

OFTEN = {
    "compute": {
        "checkpoint_minutes": 0.02,
        "data": {"mem_mb": 800, "runtime": 30},
        "train": {"mem_mb": 1000, "runtime": 30, "gpu": 1},
        "evaluate": {"mem_mb": 1000, "runtime": 30, "gpu": 1},
        "report": {"mem_mb": 800, "runtime": 30},
    },
}
"""Laid over the demo: a checkpoint every second or so, and what a small machine has. None of it shapes a result."""

LONGEST = 3600.0  # seconds of a run
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

    @contextlib.contextmanager
    def running(self, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """Snakemake; neither it nor its jobs outlive the context. `printed` has what it says."""
        with (self.folder / "printed.log").open("ab") as log:
            process = subprocess.Popen(
                ["snakemake", "--configfile", *CONFIGS, "--quiet", "rules", "host", *arguments],
                cwd=self.folder,
                env=snakemake_environment(IKEM_LOCK_FOLDER=str(self.folder / "locks"), **environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert until(lambda: not self.jobs(), pause=0.1), "jobs live on"

    def run(self, *arguments: str) -> None:
        """Run Snakemake to its end, which must be a good one."""
        with self.running(*arguments) as process:
            assert process.wait(timeout=LONGEST) == 0, self.printed[-4000:]

    @property
    def printed(self) -> str:
        """All that Snakemake said."""
        return (self.folder / "printed.log").read_text(encoding="utf-8", errors="replace")

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.folder / "results"

    def jobs(self) -> list[int]:
        """The numbers of the processes that run a job of this folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words, project = (entry / "cmdline").read_bytes().split(b"\0"), (entry / "cwd").readlink()
            except OSError:
                continue
            if project == self.folder.resolve() and words[1:4] == [b"-m", b"ikem", b"job"]:
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
    for _ in range(kills + 3):
        with demo.running("--cores", "1") as process:
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
                    with contextlib.suppress(ProcessLookupError):  # it ended by itself
                        os.kill(generator.choice(running), signal.SIGKILL)
                        jobs += 1
            if process.wait(timeout=LONGEST) == 0:
                return jobs, runs
    raise AssertionError(f"it does not end well:\n{demo.printed[-4000:]}")
