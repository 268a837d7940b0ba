"""Running one job: its lock, signals, checks, and the run.json that records how its result came about."""

from __future__ import annotations

import contextlib
import datetime
import functools
import glob
import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import filelock

from ikem.errors import InputError
from ikem.files import cannot_write, canonical_json, digest_file, digest_of, read_json, write_json
from ikem.workflow.code_digest import code_digest
from ikem.workflow.crashes import crashes_logged
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.logs import DONE, START, logging_to
from ikem.workflow.plan import record_path
from ikem.workflow.provenance import commit, versions
from ikem.workflow.signals import Leaving

logger = logging.getLogger("ikem")


class RunContext:
    """A job under way.

    Attributes:
        settings: all that shapes the result.
        output: the file that the job ends with.
        digest: SHA-256 of the settings.
        inputs: SHA-256 of every file of each input, by name; they have been compared with what is on the disk.
        device: the device the job computes on, in words.
        arithmetic: see `ikem.training.precision.description`; empty for jobs that train and evaluate nothing.
        title: the job in words, as `status` shows it.
        log: file of its log.
        processes: number of processes that share its training.
        began: when it began by `time.monotonic`; earlier by what it had computed before it was resumed.
        others: files that the job writes next to its output.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        output: Path,
        inputs: Mapping[str, Path],
        leaving: Leaving | None = None,
        title: str = "",
        log: Path | None = None,
    ) -> None:
        # One spelling, whether they come from a command line or from the plan: results follow it to the byte.
        self.settings: dict[str, Any] = json.loads(canonical_json(settings))
        self.output = output
        self.digest = digest_of(self.settings)
        self.device = "cpu"
        self.arithmetic: dict[str, str] = {}
        self.others: list[Path] = []
        self.title, self.log, self.processes = title, log, 1
        self.inputs = {name: _check_input(name, path, self.settings) for name, path in inputs.items()}
        self._leaving = leaving or Leaving()
        self.began = time.monotonic() - self._earlier_seconds()

    @property
    def dataset(self) -> str:
        """The dataset entry that the job belongs to, by its output's path; "NAME" if that is no path of a plan."""
        words = self.title.split(" ")
        return words[1] if len(words) > 1 and os.sep not in words[1] else "NAME"

    @property
    def seconds(self) -> float:
        """How long it has computed, with what it did before it was resumed."""
        return time.monotonic() - self.began

    def _earlier_seconds(self) -> float:
        """What its checkpoints say; the latest of several parts counts from the start of the job."""
        found = [checkpoint_about(path) for path in checkpoints_of(self.output)]
        usable = [each for each in found if isinstance(each, dict) and each.get("digest") == self.checkpoint_digest]
        return max((float(each["seconds"]) for each in usable), default=0.0)

    def checkpoint(self, part: str = "") -> Path:
        """Where the job keeps a checkpoint while it runs: no output of a rule, so nothing deletes it."""
        return self.output.with_name(f".{self.output.name}.{part}.checkpoint")

    @functools.cached_property
    def checkpoint_digest(self) -> str:
        """The digest that a checkpoint must carry to be used."""
        return checkpoint_digest(self.settings, self.inputs)

    def saving(self) -> AbstractContextManager[None]:
        """While the block runs, a signal does not end the job at once: the block sees `asked_to_leave` and saves."""
        return self._leaving.saving()

    def leave_if_asked(self) -> None:
        """Raise `Interrupted` if a signal has asked the process to leave."""
        self._leaving.leave_if_asked()

    @property
    def asked_to_leave(self) -> bool:
        """Whether a signal has asked the process to leave."""
        return self._leaving.asked is not None


def checkpoint_digest(settings: Mapping[str, Any], inputs: Mapping[str, Mapping[str, str]]) -> str:
    """What a checkpoint was written under: digest of the settings, content of the inputs, training code."""
    return digest_of({"settings": digest_of(settings), "inputs": inputs, "code": code_digest(settings)})


def _check_input(name: str, path: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of the files of an input, after a look at whether they are what the settings mean, and unharmed.

    Raises:
        InputError: they are not.
    """
    record = record_path(path)
    hint = "Delete it and run again; it will be computed again"
    if not path.exists():
        raise InputError("is missing", location=str(path), hint="Run the workflow again; it makes what is missing")
    expected = settings.get("upstream", {}).get(name)
    if not record.exists():
        if expected is not None:
            raise InputError(
                "has no run.json next to it, so nothing says how it was computed", location=str(path), hint=hint
            )
        return {path.name: digest_file(path)}
    known = read_json(record)
    contents = known.get("outputs") if isinstance(known, dict) else None
    if not isinstance(contents, dict) or path.name not in contents:
        raise InputError("does not say what its result contains", location=str(record), hint=hint)
    if expected is not None and known.get("digest") != expected:
        raise InputError(
            "was computed under other settings than the config asks for",
            location=str(path),
            hint="Delete it (or run snakemake with --forcerun) and run again",
        )
    for file, content in contents.items():
        found = path.with_name(file)
        if not found.exists():
            raise InputError("is missing", location=str(found), hint=f"Delete {path} and run again")
        if digest_file(found) != content:
            raise InputError(
                "has changed since it was written: the disk has harmed it, or someone edited it",
                location=str(found),
                hint=f"Delete {path} and run again; it will be computed again",
            )
    return contents


def title_of(kind: str, output: Path) -> str:
    """The title of the job that ends with `output`: its kind, and its wildcards in the order of the path."""
    pattern = re.escape(JOB_TYPES[kind].output) if kind in JOB_TYPES else ""
    groups = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", pattern)
    found = re.search(f"(?:^|/){groups}$", output.as_posix()) if groups else None
    return " ".join([kind, *(found.groups() if found else [str(output.parent)])])


@contextlib.contextmanager
def running(
    settings: Mapping[str, Any],
    output: Path,
    inputs: Mapping[str, Path],
    log: Path | None = None,
) -> Iterator[RunContext]:
    """Run a job in the block; when it ends well, write `run.json` next to the output.

    Args:
        settings: all that shapes the result; JSON values.
        output: the file that the job ends with; the block writes it (atomically).
        inputs: what it reads, by name.
        log: file for the log, besides standard error.

    Raises:
        InputError: an input is missing, harmed or was computed under other settings; memory ran out; or another process
            runs this job.
        Interrupted: SIGTERM, SIGUSR1 or Ctrl-C came; what had to be saved was.
    """
    title = title_of(str(settings.get("kind", output.name)), output)
    with (
        _locked(output),
        logging_to(log, title),
        crashes_logged(log),
        faults_in_words(settings),
        Leaving.heeding() as leaving,
    ):
        logger.info("%s%s", START, title)
        _remove_unfinished(output)
        started = datetime.datetime.now(datetime.UTC)
        job = RunContext(settings, output, inputs, leaving, title, log)
        yield job
        with job.saving():
            _conclude(job, started)


def _conclude(job: RunContext, started: datetime.datetime) -> None:
    """Write run.json, then remove the checkpoints: killed in between, the job has lost nothing."""
    seconds = job.seconds
    files = {path.name: path for path in (job.output, *job.others)}
    write_json(
        record_path(job.output),
        {
            "settings": job.settings,
            "digest": job.digest,
            "seed": job.settings.get("seed"),
            "inputs": job.inputs,
            "outputs": {name: digest_file(path) for name, path in files.items()},
            "stamps": {name: stamp_of(path) for name, path in files.items()},
            "device": job.device,
            "arithmetic": job.arithmetic,
            **({"processes": job.processes} if job.processes > 1 else {}),
            "versions": versions(),
            "commit": commit(),
            "code": code_digest(job.settings),
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
        },
    )
    for path in checkpoints_of(job.output):
        path.unlink(missing_ok=True)
    logger.info("%s%.1f s: %s", DONE, seconds, job.output)


def checkpoints_of(output: Path) -> list[Path]:
    """The checkpoints of a job that has not ended."""
    return sorted(output.parent.glob(f".{glob.escape(output.name)}.*checkpoint"))


def checkpoint_about(path: Path) -> Any:
    """What a checkpoint says of itself; None if it is damaged."""
    from ikem.training.checkpoint import load_tensors  # torch takes seconds; few jobs are interrupted

    try:
        return load_tensors(path)[1]
    except InputError:
        return None


def stamp_of(path: Path) -> list[int]:
    """Size and time of a file: while they stay, a look at the whole grid takes its content to be the same."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _remove_unfinished(output: Path) -> None:
    """Remove what a killed run of this job was writing; the lock is held, so no one else is."""
    name = glob.escape(output.name)
    for pattern in (f".{name}.*.tmp", f"..{name}.*checkpoint.*.tmp"):
        for path in output.parent.glob(pattern):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def faults_in_words(settings: Mapping[str, Any]) -> Iterator[None]:
    """What the machine lacks is reported in words. (A process that the kernel kills says nothing; `status` does.)"""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        words = " ".join(str(error).split())
        if isinstance(error, MemoryError) or re.search("out of memory|allocate memory", words, re.IGNORECASE):
            kind = str(settings.get("kind"))
            group = JOB_TYPES[kind].group if kind in JOB_TYPES else "train"
            raise InputError(
                f"memory ran out ({words[:200] or 'no more could be had'})",
                hint=f"Give jobs more (compute.{group}.mem_mb), run fewer at a time (--cores), or lower batch_size",
            ) from error
        if isinstance(error, OSError):
            raise InputError(error.strerror or words, location=str(error.filename or "a file")) from error
        raise


@contextlib.contextmanager
def _locked(output: Path) -> Iterator[None]:
    """One process at a time runs a job; the lock goes with the process that holds it, however it ends."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(lock_path(output))
        lock.acquire(timeout=1)
    except filelock.Timeout:
        raise InputError(
            "another process is working on this very job",
            location=str(output),
            hint="Wait until it has ended, then run again",
        ) from None
    except (OSError, NotImplementedError) as error:
        raise cannot_write(output, error) from error
    try:
        yield
    finally:
        lock.release()


def lock_path(output: Path) -> Path:
    """The file whose lock is held while a job runs."""
    return output.with_name(f".{output.name}.lock")
