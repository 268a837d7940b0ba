"""Real job processes for the tests of resuming, devices, faults: started, killed, compared."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ikem.files import canonical_json
from ikem.settings.loading import load_config
from ikem.workflow.plan import Job, Plan

HERE = Path(__file__).parent
ROOT = HERE.parent
TINY = HERE / "configs" / "tiny.yaml"

LONGER = {
    "recipes": {"tiny": {"schedule": {"epochs": 8, "decay": {"epoch": 6}}, "stage1_epochs": 4}},
    "methods": {"student": {"schedule": {"epochs": 4}}, "supervised": {"schedule": {"epochs": 6}}},
    "evaluations": {"finetune": {"schedule": {"epochs": 3}}},
    "benchmark": [
        {
            "dataset": "tiny",
            "protocols": ["xsub"],
            "methods": ["skeletonclr", "ikem-3", "student", "supervised"],
            "evaluations": ["linear", "knn-1"],
        },
        {"dataset": "tiny", "protocols": ["xsub"], "methods": ["ikem-3"], "evaluations": ["finetune"]},
    ],
}
"""Laid over tiny.yaml: training long enough to be killed in many places."""


@dataclass
class Process:
    """A job process that a `Warm` forked."""

    pid: int
    warm: Warm
    log: Path
    status: int | None = None
    output: Path | None = None

    def send(self, number: int) -> None:
        """Send a signal; the process must not have been waited for."""
        assert self.status is None
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for the end: the exit status, or minus the signal."""
        if self.status is None:
            self.status = self.warm.ask({"wait": self.pid})["status"]
        return self.status

    @property
    def alive(self) -> bool:
        """Whether it still runs (an ended one that was not waited for is a zombie)."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
        return False

    @property
    def printed(self) -> str:
        """Everything it wrote to standard output and standard error."""
        return self.log.read_text(encoding="utf-8", errors="replace")


class Warm:
    """A warm process (see warm.py)."""

    def __init__(self, folder: Path) -> None:
        self._count, self.folder = 0, folder
        with (folder / "warm.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "warm.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def ask(self, what: dict) -> dict:
        """One question, one answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, (self.folder / "warm.log").read_text()[-4000:]
        return json.loads(line)

    def start(self, *arguments: str, folder: Path | None = None, **environment: str) -> Process:
        """Start `python -m ikem ARGUMENTS`."""
        self._count += 1
        log = self.folder / f"process{self._count}.log"
        log.touch()
        printed = {
            "arguments": arguments,
            "folder": str(folder or self.folder),
            "environment": environment,
            "log": str(log),
        }
        return Process(self.ask(printed)["pid"], self, log)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


@dataclass
class Workshop:
    """A tiny benchmark that has run without a break, and what starts its jobs again elsewhere.

    Attributes:
        folder: where everything lies.
        config: the config file; its results are at `folder / "results"`.
    """

    folder: Path
    config: Path
    warm: Warm
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self.plan = Plan(load_config(self.config))

    @property
    def results(self) -> Path:
        """The results of the unbroken run."""
        return self.folder / "results"

    def job(self, kind: str, **keys: str) -> Job:
        """The first job of a kind whose wildcards are these."""
        return next(
            job for job in self.plan.all_jobs() if job.name.kind == kind and keys.items() <= dict(job.name.keys).items()
        )

    def start(
        self, job: Job, output: Path, minutes: float = 0.0, log: Path | None = None, **environment: str
    ) -> Process:
        """Start a job of the plan that ends with a file elsewhere; its inputs are those of the unbroken run."""
        inputs = {name: part.output for name, part in job.inputs.items()}
        return self.start_with(job.settings, inputs, output, minutes, log, **environment)

    def start_with(
        self,
        settings: dict,
        inputs: dict[str, Path],
        output: Path,
        minutes: float = 0.0,
        log: Path | None = None,
        *options: str,
        **environment: str,
    ) -> Process:
        """Start a job with settings, inputs and options of one's own."""
        return self.warm.start(*command_of(settings, inputs, output, minutes, log), *options, **environment)


def command_of(
    settings: dict, inputs: dict[str, Path], output: Path, minutes: float = 0.0, log: Path | None = None
) -> list[str]:
    """The arguments of `python -m ikem` that run a job."""
    return [
        *("job", "--settings", canonical_json(settings), "--output", str(output)),
        *[f"--input={name}={path}" for name, path in inputs.items()],
        *("--checkpoint-minutes", str(minutes)),
        *(("--log", str(log)) if log else ()),
    ]


def with_workflow(workshop: Workshop, folder: Path) -> Path:
    """A folder with the workflow and the workshop's prepared data in it."""
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("rules", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    for part in ("raw", "archives", "decoded", "prepared", "modalities", "splits"):
        shutil.copytree(workshop.results / "tiny" / part, folder / "results" / "tiny" / part)
    return folder


def write_config(folder: Path, *over: dict, name: str = "config.yaml") -> Path:
    """Write tiny.yaml, with more laid over it, its results in the same folder."""
    files = []
    for number, part in enumerate([*over, {"results": str(folder / "results"), "data": str(folder / "data")}]):
        files.append(folder / f".{name}.{number}")
        files[-1].write_text(yaml.safe_dump(part), encoding="utf-8")
    config = load_config(TINY, *files)
    path = folder / name
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    for file in files:
        file.unlink()
    return path


@contextlib.contextmanager
def opened_workshop(folder: Path) -> Iterator[Workshop]:
    """Run the tiny benchmark once, unbroken."""
    warm = Warm(folder)
    try:
        config = write_config(folder, LONGER)
        warm.ask({"run": str(config)})
        yield Workshop(folder, config, warm)
    finally:
        warm.close()


def until(condition, seconds: float = 60.0, pause: float = 0.0) -> bool:
    """Wait until a condition holds; whether it did in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(pause)
    return False


def processes_of(output: Path) -> list[int]:
    """The numbers of the processes that run the job of this output (found in /proc)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"--output={output}".encode() in words and words[1:3] == [b"-m", b"ikem"]:
            found.append(int(entry.parent.name))
    return found


def kill(process: Process) -> bool:
    """`kill -9`; whether the process was killed, and had not just ended by itself."""
    process.send(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def same(one: Path, other: Path) -> bool:
    """Whether two files have the same bytes."""
    return one.read_bytes() == other.read_bytes()


def differing(one: Path, other: Path, parts: Iterable[str]) -> list[str]:
    """The files below these parts of two results folders that differ, or that only one of them has.

    Hidden ones are left out, and what shows how long training took: `run.json`, and most tables.
    """
    names = {
        path.relative_to(results)
        for results in (one, other)
        for part in parts
        for path in (results / part).rglob("*")
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith("run.json")
        if part != "tables" or path.name in ("results.csv", "comparisons.csv", "data.md", "references.bib")
    }
    assert names
    return sorted(
        str(name)
        for name in names
        if not ((one / name).is_file() and (other / name).is_file() and same(one / name, other / name))
    )


def snakemake_environment(**more: str) -> dict[str, str]:
    """The environment of a Snakemake of ours: its jobs find the Python of the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {
        "PATH": path,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]),
        **more,
    }
