"""What the processes of a divided job run in tests: functions of a module that they can import."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ikem.errors import InputError
from ikem.methods.registry import STAGES
from ikem.registry import load
from ikem.running_job import RunningJob
from ikem.training.checkpoint import save_tensors
from ikem.training.loader import Clips
from ikem.training.loop import training_tensors
from ikem.training.process_group import first_says, gather, is_first, merge, own
from ikem.workflow.signals import Leaving

STEPS = 2


def job_in(folder: Path) -> Any:
    """A job that nothing but `run_divided` looks at."""
    leaving = Leaving()
    return SimpleNamespace(
        settings={"kind": "ikem", "threads": 1, "backend": "auto", "precision": "float32"}, output=folder / "state",
        digest="", title="test", checkpoint_digest="", checkpoint=lambda: folder / "checkpoint", log=None,
        asked_to_leave=False, saving=leaving.saving, leave_if_asked=leaving.leave_if_asked,
        began=0.0,
    )  # fmt: skip


def steps(part: RunningJob, device: torch.device, jobs: dict[str, Any], prepared: Path, count: int) -> None:
    """Some steps of each stage; the first process writes the losses and all tensors."""
    for name, (settings, inputs) in jobs.items():
        clips = Clips(prepared, np.arange(count), device, resident=True)
        trainer = load(STAGES[name].trainer)(settings, clips, device, inputs)
        epoch = settings["first_epoch"]
        trainer.begin_epoch(epoch)
        (batch,) = clips.batches([np.arange(count)])
        losses = [trainer.step(batch, epoch, step) for step in range(STEPS)]
        tensors = merge(training_tensors(trainer))
        if is_first():
            tensors |= {f"loss.{step}.{key}": loss for step in range(STEPS) for key, loss in losses[step].items()}
            save_tensors(part.output.with_name(f"{name}.safetensors"), tensors, {})


def gathered(part: RunningJob, device: torch.device) -> None:
    """Each function of the group, with five items of which process number n has the n-th part."""
    everything = torch.arange(5.0).square()[:, None] + torch.tensor([0.5, 1.5])
    mine = torch.stack([everything[index] for index in own(range(5))]).requires_grad_()
    found = gather(mine, 5)
    found.square().sum().backward()
    correct = torch.equal(found, everything) and mine.grad is not None and torch.equal(mine.grad, 2 * mine)
    correct &= first_says(is_first()) and not first_says(not is_first())
    names = set(merge({f"{index}": everything[index] for index in own(range(5))}))
    correct &= names == ({*"01234"} if is_first() else {str(index) for index in own(range(5))})
    if not correct:
        raise InputError("the processes did not agree")


def fails_in_the_second(part: RunningJob, device: torch.device) -> None:
    """The first waits for the second, which has found a fault."""
    if not is_first():
        raise InputError("a fault", location="there", hint="Look")
    gather(torch.zeros(1), 2)


def raises_in_the_second(part: RunningJob, device: torch.device) -> None:
    """A mistake in the code."""
    if not is_first():
        raise ZeroDivisionError("a mistake")
    gather(torch.zeros(1), 2)
