"""Which devices a job computes on, and that no two jobs of a machine share one.

A job holds a file lock for each of its devices until its process ends, however it ends. Devices named in
CUDA_VISIBLE_DEVICES are the only ones considered; a device that a scheduler gave to the job alone is taken as it is.

IKEM_PRETEND_DEVICES=n simulates n devices where there are none: they are handed out like real ones, and the job
computes on the CPU.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import torch

from ikem.errors import InputError
from ikem.training.precision import arithmetic, description
from ikem.workflow.run_context import RunContext

logger = logging.getLogger("ikem")

_SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "KUBERNETES_SERVICE_HOST")


@contextlib.contextmanager
def one_device(wanted: str, job: RunContext) -> Iterator[torch.device]:
    """Yield the device to compute on; see `own_devices`."""
    with own_devices(wanted, 1, job) as (device,):
        yield device


@contextlib.contextmanager
def own_devices(wanted: str, count: int, job: RunContext) -> Iterator[list[torch.device]]:
    """Yield the devices to compute on; GPUs are this job's own while the block runs.

    In the block the process computes with the precision of the job (float32 if its settings have none), and on a GPU
    with deterministic algorithms.

    Args:
        wanted: "cpu", "cuda", or "auto" (a GPU where there is one).
        count: of devices. The CPU counts as often as it is needed.
        job: gets the names of the devices in words, and their arithmetic.

    Raises:
        InputError: "cuda" is wanted and there is none, there are fewer GPUs, or the device lacks the precision.
    """
    names = [] if wanted == "cpu" else usable_devices()
    if not names:
        if wanted == "cuda":
            raise InputError("no GPU can be used here", location="compute.device: cuda", hint="Set it to auto or cpu")
        if wanted == "auto":
            logger.info("no GPU can be used here: computing on the CPU")
        with _use(torch.device("cpu"), "cpu", job) as device:
            yield [device] * count
        return
    if len(names) < count:
        raise InputError(
            f"{count} GPUs are needed for one job, and {len(names)} can be used here",
            location="compute.processes_per_job",
            hint="Ask for fewer, or set compute.device to cpu",
        )
    scheduler = _scheduler()
    if scheduler and len(names) == count:
        logger.info("device %s, as the scheduler gave it", ", ".join(names))
        with _use_gpus(list(range(count)), names, job) as devices:
            yield devices
        return
    with _lease(names, os.environ[scheduler] if scheduler else "", count) as indices:
        logger.info("device %s of %s", ", ".join(names[index] for index in indices), ", ".join(names))
        with _use_gpus(indices, names, job) as devices:
            yield devices


def usable_devices() -> list[str]:
    """Names of the GPUs that this process may use, in CUDA's order."""
    pretended = os.environ.get("IKEM_PRETEND_DEVICES")
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if _scheduler() == "SLURM_JOB_ID" and named is None and not os.environ.get("SLURM_GPUS_ON_NODE"):
        return []  # SLURM names the devices that it gives; where it gave none, those of the machine are others'
    count = int(pretended) if pretended else torch.cuda.device_count()
    if named is None:
        return [str(number) for number in range(count)]
    names = [name.strip() for name in named.split(",")]
    bad = [index for index, name in enumerate(names) if name in ("", "-1", "NoDevFiles")]  # CUDA stops at the first one
    return names[: bad[0] if bad else count]


def _scheduler() -> str | None:
    """The variable by which a scheduler's job is known, if this is one."""
    return next((name for name in _SCHEDULERS if os.environ.get(name)), None)


@contextlib.contextmanager
def _use_gpus(indices: list[int], names: list[str], job: RunContext) -> Iterator[list[torch.device]]:
    if os.environ.get("IKEM_PRETEND_DEVICES"):
        pretended = ", ".join(names[index] for index in indices)
        with _use(torch.device("cpu"), f"cpu (pretended device {pretended})", job) as device:
            yield [device] * len(indices)
        return
    devices = [torch.device("cuda", index) for index in indices]
    title = torch.cuda.get_device_name(devices[0])
    with torch.cuda.device(devices[0]), _use(devices[0], f"{len(devices)} x {title}" if devices[1:] else title, job):
        yield devices


@contextlib.contextmanager
def _use(device: torch.device, name: str, job: RunContext) -> Iterator[torch.device]:
    precision = str(job.settings.get("precision", "float32"))
    with arithmetic(device, precision):
        job.device, job.arithmetic = name, description(device, precision)
        yield device


@contextlib.contextmanager
def _lease(names: list[str], allocation: str, count: int) -> Iterator[list[int]]:
    """Yield the indices in `names` of `count` devices whose locks are held; wait while fewer are free.

    Args:
        allocation: of the scheduler; the numbers of devices may count within it.
    """
    folder = _lock_folder()
    reported = False
    while True:
        with contextlib.ExitStack() as locks:  # all or none: two jobs that each hold a part would wait for one another
            found: list[int] = []
            for index, name in enumerate(names):
                lock = filelock.FileLock(folder / f"{_lock_name(index, name, allocation)}.lock")
                with contextlib.suppress(filelock.Timeout):
                    locks.enter_context(lock.acquire(timeout=0))
                    found.append(index)
                if len(found) == count:
                    yield found
                    return
        if not reported:
            taken = "all" if count == 1 else f"all but {len(found)}"
            wanted = "one" if count == 1 else f"{count}"
            logger.info("%s of the devices %s are taken: waiting for %s", taken, ", ".join(names), wanted)
            reported = True
        time.sleep(random.uniform(0.3, 0.7))  # noqa: S311 - so that two jobs that want several do not meet every time


def _lock_name(index: int, name: str, allocation: str) -> str:
    """What all processes of the machine call the device: one may know it by number, another by its long name."""
    if os.environ.get("IKEM_PRETEND_DEVICES"):
        name = f"{allocation}.{name}" if allocation else name
    else:
        name = str(getattr(torch.cuda.get_device_properties(index), "uuid", name))
    return "".join(sign if sign.isalnum() or sign in "-." else "_" for sign in name)


def _lock_folder() -> Path:
    """The user's folder of locks on this machine.

    Raises:
        InputError: it is someone else's, or cannot be created.
    """
    named = os.environ.get("IKEM_LOCK_FOLDER")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"ikem-devices-{os.getuid()}"
    hint = "Set IKEM_LOCK_FOLDER to a folder of your own, the same for all runs of the machine"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror or error})", location=str(folder), hint=hint) from error
    if folder.stat().st_uid != os.getuid():
        raise InputError("is another user's folder", location=str(folder), hint=hint)
    return folder
