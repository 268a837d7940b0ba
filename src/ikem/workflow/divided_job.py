"""A training job that several processes share, a device each; see `ikem.training.process_group`.

The process of the job starts them by `torch.multiprocessing`, which torchrun is built on, and waits for them. It keeps
what a job has: lock, devices, signals, errors, run.json. When one of its processes ends with an error, all end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing

from ikem.errors import InputError, Interrupted
from ikem.kernels.dispatch import use_backend
from ikem.process import keep_memory, use_threads
from ikem.training.precision import arithmetic
from ikem.training.process_group import first_says
from ikem.workflow.crashes import crashes_logged, report_crashes
from ikem.workflow.logs import logging_to
from ikem.workflow.run_context import RunContext, faults_in_words
from ikem.workflow.signals import SIGNALS, Leaving

logger = logging.getLogger("ikem")

mp: Any = torch.multiprocessing  # its type stubs lack most of it

_GRACE = 1.0
"""Seconds that the other processes have to end when one has ended with an error."""


@dataclass
class JobPart:
    """The job as one of its processes sees it; see `ikem.running_job.RunningJob`."""

    settings: dict[str, Any]
    output: Path
    digest: str
    title: str
    checkpoint_digest: str
    checkpoint_path: Path
    began: float
    leaving: Leaving

    @property
    def seconds(self) -> float:
        """How long the job has computed; the clock is that of the machine."""
        return time.monotonic() - self.began

    @property
    def asked_to_leave(self) -> bool:
        """Whether a signal has asked this process to leave; only the first process listens to them."""
        return self.leaving.asked is not None

    def checkpoint(self, part: str = "") -> Path:
        """Where the job keeps a checkpoint; it has no parts."""
        assert not part
        return self.checkpoint_path

    def saving(self) -> AbstractContextManager[None]:
        """While the block runs, a signal does not end the process at once."""
        return self.leaving.saving()

    def leave_if_asked(self) -> None:
        """Raise `Interrupted`, in all processes, if a signal has asked the first one to leave."""
        if first_says(self.asked_to_leave):
            raise Interrupted("a signal asked its first process to leave; the same command resumes from here")


Work = Callable[[JobPart, torch.device], object]


def run_divided(job: RunContext, work: Work, devices: Sequence[torch.device]) -> None:
    """Run `work`, a function that can be pickled, in a process for each device, and wait until all have ended.

    If a signal ends one of them, it ends this process too, as if the job were one process.

    Raises:
        InputError, Interrupted: what the first process that failed raised.
        RuntimeError: it failed with another error; the text has its traceback.
    """
    part = JobPart(
        job.settings, job.output, job.digest, job.title, job.checkpoint_digest, job.checkpoint(), job.began, Leaving()
    )  # fmt: skip
    logging.getLogger(mp.spawn.__module__).setLevel(logging.ERROR)  # it names each process that it ends
    reports = mp.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="ikem-job-") as folder, job.saving():
        store = f"file://{folder}/store"
        context = mp.start_processes(
            _process, (work, part, job.log, devices, store, reports), len(devices), join=False, daemon=True
        )
        try:
            asked = False
            while not context.join(timeout=0.1, grace_period=_GRACE):
                if job.asked_to_leave and not asked:
                    asked = True
                    os.kill(context.pids()[0], signal.SIGTERM)
        except (mp.ProcessExitedException, mp.ProcessRaisedException) as error:
            if isinstance(error, mp.ProcessExitedException) and error.signal_name:
                _end_as(error, job)
            if reports.empty():
                raise
            reported = reports.get()  # the first one is the cause of others
            if isinstance(reported, Interrupted):
                job.leave_if_asked()
            raise reported from None
        finally:
            for process in context.processes:
                process.kill()


def _end_as(error: Any, job: RunContext) -> None:
    """End by the signal that ended one of the processes; raise `Interrupted` if it was one that asks to leave."""
    logger.warning("%s", error)
    number = signal.Signals[error.signal_name]
    if number in SIGNALS:  # it came before the process listened to it
        job.leave_if_asked()
        raise Interrupted(f"{error}; the same command resumes from here")
    with contextlib.suppress(OSError):  # SIGKILL has no handler
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _process(
    rank: int,
    work: Work,
    part: JobPart,
    log: Path | None,
    devices: Sequence[torch.device],
    store: str,
    reports: Any,
) -> None:
    """One of the processes: its error goes to `reports`, and it exits with 1."""
    mp._prctl_pr_set_pdeathsig(signal.SIGKILL)  # if the process of the job is killed, so is this one
    use_threads(int(part.settings["threads"]))
    keep_memory()
    use_backend(part.settings["backend"])
    report_crashes()
    with contextlib.ExitStack() as stack:
        stack.enter_context(crashes_logged(log))
        if rank == 0:
            stack.enter_context(logging_to(log, part.title))
            part.leaving = stack.enter_context(Leaving.heeding())
        else:
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - the first process shows what there is to see
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
        try:
            with faults_in_words(part.settings):
                _work(rank, work, part, devices, store)
        except (InputError, Interrupted) as error:
            reports.put(error)
            sys.exit(1)
        except Exception:
            reports.put(RuntimeError(f"process {rank} of {len(devices)} failed:\n{traceback.format_exc()}"))
            sys.exit(1)


def _work(rank: int, work: Work, part: JobPart, devices: Sequence[torch.device], store: str) -> None:
    device = devices[rank]
    if "lo" in (name for _, name in socket.if_nameindex()):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all processes are on one machine
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=store, rank=rank, world_size=len(devices))
    with (
        torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext(),
        arithmetic(device, part.settings["precision"]),
    ):
        work(part, device)
    dist.destroy_process_group()
