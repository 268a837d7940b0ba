"""Faults, injected for real: each ends in a clear message or goes on, and never in a wrong result."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ikem.errors import InputError
from ikem.training.checkpoint import load_tensors, save_tensors
from ikem.workflow.plan import record_path
from ikem.workflow.status import state_of
from job_support import Workshop, command_of, kill, same, snakemake_environment, until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 700 kB: room for two states and a bit."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"file systems cannot be mounted here: {mounted.stderr!r}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def flip(path: Path, project: int) -> None:
    with path.open("r+b") as file:
        file.seek(project)
        byte = file.read(1)[0]
        file.seek(project)
        file.write(bytes([byte ^ 0x10]))


def test_disk_full(workshop: Workshop, small_disk: Path) -> None:
    """A full disk ends the job; what was saved stays; with more room the same command goes on to the same bits."""
    job = workshop.job("momentum_contrast", modality="joint")
    output = small_disk / "job" / "state.safetensors"
    (small_disk / "filling").write_bytes(b"x" * 100_000)
    process = workshop.start(job, output, log=small_disk / "job.log")
    assert process.wait() == 2, process.printed
    assert "cannot be written" in process.printed
    assert "No space left on device" in process.printed
    assert "Free space on the disk" in process.printed
    assert "Traceback" not in process.printed
    (checkpoint,) = output.parent.glob(".*checkpoint")
    load_tensors(checkpoint)
    assert not output.exists()
    assert not list(output.parent.rglob(".*tmp"))
    remount(small_disk, "size=8m")
    again = workshop.start(job, output)
    assert again.wait() == 0, again.printed
    assert "resuming from" in again.printed
    assert same(job.output, output)


@pytest.mark.parametrize("kind", ["modality", "prepare", "decode", "linear"])
def test_disk_full_for_data(workshop: Workshop, small_disk: Path, kind: str) -> None:
    job = workshop.job(kind)
    output = small_disk / kind / job.output.name
    remount(small_disk, "size=8k")
    process = workshop.start(job, output)
    assert process.wait() == 2, process.printed
    assert "No space left on device" in process.printed
    assert "Traceback" not in process.printed
    assert not record_path(output).exists()


def test_read_only_folder(workshop: Workshop, small_disk: Path) -> None:
    job = workshop.job("momentum_contrast", modality="joint")
    output = small_disk / "job" / "state.safetensors"
    output.parent.mkdir()
    remount(small_disk, "ro")
    for log in (None, small_disk / "job.log"):
        process = workshop.start(job, output, log=log)
        assert process.wait() == 2, process.printed
        assert "cannot be written (Read-only file system)" in process.printed
        assert "Make the folder writable" in process.printed
        assert "Traceback" not in process.printed


@pytest.fixture(scope="module")
def checkpoint(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint of a killed stage 1."""
    folder = tmp_path_factory.mktemp("checkpoint") / "job"
    process = workshop.start(workshop.job("momentum_contrast", modality="joint"), folder / "state.safetensors")
    assert until(lambda: "checkpoint written" in process.printed)
    kill(process)
    return folder


@pytest.mark.parametrize("harm", ["header", "middle", "end", "cut", "empty", "foreign"])
def test_corrupted_checkpoint(workshop: Workshop, checkpoint: Path, tmp_path: Path, harm: str) -> None:
    job = workshop.job("momentum_contrast", modality="joint")
    shutil.copytree(checkpoint, tmp_path / "job")
    (path,) = (tmp_path / "job").glob(".*checkpoint")
    size = path.stat().st_size
    if harm in ("header", "middle", "end"):
        flip(path, {"header": 40, "middle": size // 2, "end": size - 1}[harm])
    else:
        path.write_bytes({"cut": path.read_bytes()[:-1], "empty": b"", "foreign": b"PK\x03\x04" * 50}[harm])
    process = workshop.start(job, tmp_path / "job" / "state.safetensors")
    assert process.wait() == 0, process.printed
    assert f"starting from scratch: {path}" in process.printed
    assert same(job.output, tmp_path / "job" / "state.safetensors")


def test_every_flipped_bit_of_a_state_is_found(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_tensors(path, {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(True)}, {"digest": "x"})
    whole = path.read_bytes()
    for project in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:project] + bytes([whole[project] ^ 1 << bit]) + whole[project + 1 :])
            with contextlib.suppress(InputError):
                tensors, about = load_tensors(path)
                # Spaces of the header may become others that mean as little.
                assert about == {"digest": "x"}
                assert torch.equal(tensors["a"], torch.arange(6.0).reshape(2, 3))
                assert torch.equal(tensors["b"], torch.tensor(True))


@pytest.mark.parametrize(
    "kind, name",
    [
        ("momentum_contrast", "prepared"),
        ("modality", "prepared"),
        ("prepare", "decoded"),
        ("ikem", "joint"),
        ("embed", "modality_joint"),
        ("embed", "state_joint"),
        ("linear", "embeddings"),
        ("linear", "split"),
        ("finetune", "prepared"),
    ],
)
def test_corrupted_input(workshop: Workshop, tmp_path: Path, kind: str, name: str) -> None:
    """One flipped byte anywhere in the files of an input: the job does not begin."""
    job = workshop.job(kind)
    inputs = {key: part.output for key, part in job.inputs.items()}
    folder = tmp_path / "input"
    shutil.copytree(inputs[name].parent, folder)
    inputs[name] = folder / inputs[name].name
    files = json.loads(record_path(inputs[name]).read_text())["outputs"]
    for file in files:
        path = folder / file
        project = random.Random(f"{kind} {name} {file}").randrange(path.stat().st_size)
        flip(path, project)
        process = workshop.start_with(job.settings, inputs, tmp_path / "output" / job.output.name)
        assert process.wait() == 2, process.printed
        assert f"{path}: has changed since it was written" in process.printed
        assert "run again; it will be computed again" in process.printed
        flip(path, project)
    assert not (tmp_path / "output" / job.output.name).exists()


def test_more_memory_than_there_is(workshop: Workshop, tmp_path: Path) -> None:
    job = workshop.job("momentum_contrast", modality="joint")
    inputs = {name: part.output for name, part in job.inputs.items()}
    settings = job.settings | {
        "contrast": job.settings["contrast"] | {"queue_size": 1_000_000},
        "encoder": job.settings["encoder"] | {"feature_dim": 65_536},
    }
    process = workshop.start_with(settings, inputs, tmp_path / "state.safetensors")
    assert process.wait() == 2, process.printed
    assert "memory ran out" in process.printed
    assert "compute.train.mem_mb" in process.printed


@pytest.fixture
def tight_memory() -> Iterator[Path]:
    """A control group whose processes may not have a single further page."""
    root = next((root for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")) if root.is_dir()), Path("/"))
    group = root / f"ikem-test-{os.getpid()}"
    limit = group / ("memory.limit_in_bytes" if root.name == "memory" else "memory.max")
    try:
        group.mkdir()
        limit.write_text("65536")
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"control groups cannot be made here: {error}")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text(), 10, 0.01)
    group.rmdir()


def test_killed_by_the_kernel_for_memory(workshop: Workshop, tmp_path: Path, tight_memory: Path) -> None:
    """The kernel's kill loses nothing: `status` reports it, and the same command resumes."""
    job = workshop.job("ikem")
    output, log = tmp_path / "state.safetensors", tmp_path / "job.log"
    process = workshop.start(job, output, log=log)
    assert until(lambda: bool(list(tmp_path.glob(".*checkpoint"))))
    (tight_memory / "cgroup.procs").write_text(str(process.pid))
    assert process.wait() == -signal.SIGKILL
    killed = type(job)(job.name, output, log, job.settings, job.inputs)
    state = state_of(killed)
    assert state.word == "interrupted"
    assert state.remark.startswith("killed by SIGKILL")
    assert "memory ran out" in state.remark
    assert "; resumes from epoch " in state.remark
    again = workshop.start(job, output, log=log)
    assert again.wait() == 0, again.printed
    assert "resuming from" in again.printed
    assert same(job.output, output)
    assert state_of(killed).word == "done"


JUMPING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
/* The wall clock jumps by up to a year, forth and back, each time it is read; the monotonic clock goes on. */
static long jump(void) { static unsigned seed = 1; return (long)(rand_r(&seed) % 63072000) - 31536000; }
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, at);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) at->tv_sec += jump();
    return status;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def test_a_clock_that_jumps(workshop: Workshop, tmp_path: Path) -> None:
    """Checkpoints and durations follow the monotonic clock; results follow none."""
    if not shutil.which("cc") or sys.platform != "linux":
        pytest.skip("no C compiler to make a jumping clock")
    (tmp_path / "jump.c").write_text(JUMPING)
    library = tmp_path / "jump.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "jump.c"), "-ldl"], check=True)
    environment = snakemake_environment(LD_PRELOAD=str(library))
    seen = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time(), time.time())"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = map(float, seen.stdout.split())
    assert abs(second - first) > 3600
    job = workshop.job("momentum_contrast", modality="joint")
    inputs = {name: part.output for name, part in job.inputs.items()}
    output = tmp_path / "job" / "state.safetensors"
    command = [sys.executable, "-m", "ikem", *command_of(job.settings, inputs, output, minutes=60)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "checkpoint written" not in ran.stderr
    assert same(job.output, output)
    assert 0 < json.loads(record_path(output).read_text())["seconds"] < 120


@pytest.mark.parametrize("rate", [1e9, 1e30])
def test_a_loss_that_is_no_number(workshop: Workshop, tmp_path: Path, rate: float) -> None:
    """Training stops with a message; what was saved before has finite numbers only."""
    job = workshop.job("supervised")
    inputs = {name: part.output for name, part in job.inputs.items()}
    settings = job.settings | {"schedule": job.settings["schedule"] | {"learning_rate": rate}}
    output = tmp_path / "state.safetensors"
    process = workshop.start_with(settings, inputs, output)
    assert process.wait() == 2, process.printed
    assert "the loss of joint is nan" in process.printed or "numbers that are not finite" in process.printed
    assert "Lower the learning rate, or look at the data; the last checkpoint has not been touched" in process.printed
    assert not output.exists()
    for path in tmp_path.glob(".*checkpoint"):
        tensors, _ = load_tensors(path)
        assert all(bool(value.isfinite().all()) for value in tensors.values())
