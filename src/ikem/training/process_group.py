"""What the processes of one training job tell each other; see `ikem.workflow.divided_job`, which starts them.

Each process has the encoders of some modalities (`own`). Features and keys of all modalities are gathered in every
step, so that each process computes the losses of all modalities on queues of its own, which stay equal.

In a job of one process every function here returns what it is given.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")

_PATIENCE = 60
"""Seconds in which a process that has lost another one is ended by the job, which knows why."""


def is_first() -> bool:
    """Whether this is the process that writes files."""
    return _rank() == 0


def processes() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own(items: Sequence[Item]) -> list[Item]:
    """The part of some items that is this process's: neighbors, and as many as others have, give or take one."""
    bounds = _bounds(len(items))
    return list(items[bounds[_rank()] : bounds[_rank() + 1]])


def gather(values: Tensor, count: int) -> Tensor:
    """The values of all items, of which this process has computed those of its `own`.

    Args:
        values: (number of own items, ...), on the device of the process.
        count: number of all items.

    Returns:
        (count, ...), equal in all processes. Gradients reach `values` and no other process: each has to compute
        everything that depends on the result.
    """
    if processes() == 1:
        return values
    bounds = _bounds(count)
    parts = values.new_empty(processes(), -(-count // processes()), *values.shape[1:])
    padded = torch.zeros_like(parts[0])  # all processes send equally much
    padded[: len(values)] = values.detach()
    with _others_needed():
        dist.all_gather(list(parts), padded)
    found = [part[: bounds[rank + 1] - bounds[rank]] for rank, part in enumerate(parts)]
    found[_rank()] = values
    return torch.cat(found)


def first_says(answer: bool) -> bool:
    """What the first process answers."""
    if processes() == 1:
        return answer
    said = torch.tensor(answer)
    with _others_needed():
        dist.broadcast(said, 0)
    return bool(said)


def merge(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of all processes, in the first one; what several have is equal. Others get their own back."""
    merged = dict(tensors)
    if processes() == 1:
        return merged
    with _others_needed():
        if not is_first():
            contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
            content = torch.frombuffer(bytearray(safetensors.torch.save(contiguous)), dtype=torch.uint8)
            dist.send(torch.tensor(len(content)), 0)
            dist.send(content, 0)
            return merged
        for source in range(1, processes()):
            length = torch.tensor(0)
            dist.recv(length, source)
            content = torch.empty(int(length), dtype=torch.uint8)
            dist.recv(content, source)
            merged = safetensors.torch.load(content.numpy().tobytes()) | merged
    return merged


def _rank() -> int:
    return dist.get_rank() if processes() > 1 else 0


def _bounds(count: int) -> list[int]:
    return [count * rank // processes() for rank in range(processes() + 1)]


@contextmanager
def _others_needed() -> Iterator[None]:
    """A process that has lost another one waits to be ended: the other one's error is what a user has to read."""
    try:
        yield
    except RuntimeError:
        time.sleep(_PATIENCE)
        raise
