"""Which device a job computes on, and that no two jobs of a machine share one.

A job holds a file lock for its device until its process ends, however it ends. Devices named in CUDA_VISIBLE_DEVICES are
the only ones considered; under a scheduler, which hands each job its own, nothing is locked.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import torch

from ikem.errors import InputError

logger = logging.getLogger("ikem")

_SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "KUBERNETES_SERVICE_HOST")


@contextlib.contextmanager
def one_device(wanted: str) -> Iterator[torch.device]:
    """Yield the device to compute on; a GPU is this process's own while the block runs.

    Args:
        wanted: "cpu", "cuda", or "auto" (a GPU where there is one).

    Raises:
        InputError: "cuda" is wanted and there is none.
    """
    count = 0 if wanted == "cpu" else device_count()
    if wanted == "cuda" and count == 0:
        raise InputError("no GPU can be used here", where="compute.device: cuda", mend="Set it to auto or cpu")
    if count == 0:
        if wanted == "auto":
            logger.info("no GPU can be used here: computing on the CPU")
        yield torch.device("cpu")
        return
    names = _visible(count)
    if any(os.environ.get(variable) for variable in _SCHEDULERS):
        logger.info("device %s, as the scheduler gave it", names[0])
        yield torch.device("cuda", 0)
        return
    with _lease(names) as place:
        logger.info("device %s of %s", names[place], ", ".join(names))
        yield torch.device("cuda", place)


def device_count() -> int:
    """Number of GPUs that this process may use."""
    pretended = os.environ.get("IKEM_PRETEND_DEVICES")
    return len(_visible(int(pretended))) if pretended else torch.cuda.device_count()


def _visible(count: int) -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number in range(count)]
    return [name.strip() for name in named.split(",") if name.strip()]


@contextlib.contextmanager
def _lease(names: list[str]) -> Iterator[int]:
    """Yield the place in `names` of a device whose lock is held; wait for one if all are taken."""
    folder = Path(os.environ.get("IKEM_LOCK_FOLDER") or Path(tempfile.gettempdir()) / f"ikem-devices-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = False
    while True:
        for place, name in enumerate(names):
            lock = filelock.FileLock(folder / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                continue
            try:
                yield place
            finally:
                lock.release()
            return
        if not told:
            logger.info("all of the devices %s are taken: waiting for one", ", ".join(names))
            told = True
        time.sleep(0.5)
