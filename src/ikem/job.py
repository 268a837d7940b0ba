"""Running one job: its log, lock, signals, checks, and the run.json that tells how its result came about."""

from __future__ import annotations

import contextlib
import datetime
import functools
import glob
import hashlib
import importlib.metadata
import logging
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from ikem.errors import InputError, Interrupted
from ikem.files import digest_file, digest_of, read_json, write_json
from ikem.plan import record_path

logger = logging.getLogger("ikem")

_SHAPES_NUMBERS = ("train", "contrast", "models", "evaluate", "augment.py", "modalities.py", "skeleton.py", "skeletons")
_PACKAGES = ("torch", "numpy", "pandas", "numba", "safetensors", "pydantic", "snakemake")


class Job:
    """A job under way.

    Attributes:
        settings: all that shapes the result.
        output: the file that the job ends with.
        digest: SHA-256 of the settings.
        device: the device the job computes on, in words.
        others: files that the job writes beside its output.
    """

    def __init__(self, settings: Mapping[str, Any], output: Path, inputs: Mapping[str, Path]) -> None:
        self.settings = dict(settings)
        self.output = output
        self.digest = digest_of(self.settings)
        self.device = "cpu"
        self.others: list[Path] = []
        self.inputs = {name: _check_input(name, path, self.settings) for name, path in inputs.items()}
        self._asked_to_leave: str | None = None

    def checkpoint(self, part: str = "") -> Path:
        """Where the job keeps a checkpoint while it runs: no output of a rule, so nothing deletes it."""
        return self.output.with_name(f".{self.output.name}.{part}.checkpoint")

    @functools.cached_property
    def checkpoint_digest(self) -> str:
        """What a checkpoint must have been made under to be used: settings, content of the inputs, training code."""
        return digest_of({"settings": self.digest, "inputs": self.inputs, "code": code_digest()})

    def leave_if_asked(self) -> None:
        """Raise `Interrupted` if a signal has asked the process to leave."""
        if self._asked_to_leave:
            raise Interrupted(f"{self._asked_to_leave}: left; the same command goes on from here")

    @property
    def asked_to_leave(self) -> bool:
        """Whether a signal has asked the process to leave."""
        return self._asked_to_leave is not None

    def _on_signal(self, number: int, _frame: object) -> None:
        self._asked_to_leave = signal.Signals(number).name


def _check_input(name: str, path: Path, settings: Mapping[str, Any]) -> str:
    """The content digest of an input, after a look at whether it is the one that the settings mean."""
    record = record_path(path)
    if not path.exists():
        raise InputError("is missing", where=str(path), mend="Run the workflow again; it makes what is missing")
    expected = settings.get("upstream", {}).get(name)
    if not record.exists():
        if expected is not None:
            raise InputError(
                "has no run.json beside it, so nothing tells how it was made",
                where=str(path),
                mend="Delete it and run again",
            )
        return digest_file(path)
    known = read_json(record)
    if expected is not None and known.get("digest") != expected:
        raise InputError(
            "was made under other settings than the config asks for",
            where=str(path),
            mend="Delete it (or run snakemake with --forcerun) and run again",
        )
    content: str | None = known.get("outputs", {}).get(path.name)
    if content is None:
        raise InputError("its run.json does not tell its content", where=str(record), mend="Delete both and run again")
    return content


@contextlib.contextmanager
def running(
    settings: Mapping[str, Any],
    output: Path,
    inputs: Mapping[str, Path],
    log: Path | None = None,
) -> Iterator[Job]:
    """Run a job in the block; when it ends well, write `run.json` beside the output.

    Args:
        settings: all that shapes the result; JSON values.
        output: the file that the job ends with; the block writes it (atomically).
        inputs: what it reads, by name.
        log: file for the log, beside standard error.

    Raises:
        InputError: an input is missing or was made under other settings, or another process runs this job.
        Interrupted: SIGTERM or SIGUSR1 came; what had to be saved was.
    """
    title = f"{settings.get('kind', output.name)} {output.parent}"
    with logging_to(log), _locked(output):
        job = Job(settings, output, inputs)
        started, clock = datetime.datetime.now(datetime.UTC), time.monotonic()
        previous = {number: signal.signal(number, job._on_signal) for number in (signal.SIGTERM, signal.SIGUSR1)}
        try:
            logger.info("start: %s", title)
            yield job
            finished = time.monotonic() - clock
            write_json(
                record_path(output),
                {
                    "settings": job.settings,
                    "digest": job.digest,
                    "seed": job.settings.get("seed"),
                    "inputs": job.inputs,
                    "outputs": {path.name: digest_file(path) for path in (output, *job.others)},
                    "device": job.device,
                    "versions": versions(),
                    "commit": commit(),
                    "code": code_digest(),
                    "started": started.isoformat(timespec="seconds"),
                    "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                    "seconds": round(finished, 3),
                },
            )
            for path in output.parent.glob(f".{glob.escape(output.name)}.*checkpoint"):
                path.unlink(missing_ok=True)
            logger.info("done in %.1f s: %s", finished, output)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def logging_to(log: Path | None) -> Iterator[None]:
    """Log to standard error, and to a file if one is given; what ends the block with an error is logged."""
    formatter = logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log, mode="a", encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    except Interrupted as error:
        logger.warning("%s", error)
        raise
    except InputError as error:
        logger.error("error: %s", error)
        raise
    except Exception:
        logger.exception("failed")
        raise
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


@contextlib.contextmanager
def _locked(output: Path) -> Iterator[None]:
    """One process at a time runs a job; the lock goes with the process that holds it, however it ends."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(output.with_name(f".{output.name}.lock"))
        with lock.acquire(timeout=0):
            yield
    except filelock.Timeout:
        raise InputError(
            "another process is working on this very job",
            where=str(output),
            mend="Wait until it has ended, then run again",
        ) from None
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror or error})", where=str(output)) from error


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python, of the platform and of the packages that shape results."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "ikem": _version("ikem-bench")}
    return found | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@functools.cache
def commit() -> str:
    """The git commit of the code, with "+" where the working tree differs from it; "unknown" outside a repository."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--abbrev=40",
        "--dirty=+",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"


@functools.cache
def code_digest() -> str:
    """SHA-256 of the source of all code that shapes numbers in training and evaluation."""
    root = Path(__file__).parent
    collected = hashlib.sha256()
    for entry in _SHAPES_NUMBERS:
        path = root / entry
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in (".py", ".yaml"):
                collected.update(os.fsencode(file.relative_to(root)) + b"\0" + file.read_bytes())
    return collected.hexdigest()
