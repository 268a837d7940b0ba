"""Training steps as published code takes them: a sample at a time where it loops, everything stored that autograd asks.

States have the names of `MomentumContrast` and `RelationalDistillation` in `ikem`, so the same parameters can be loaded
into both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.plain import augment, losses, modalities
from benchmarks.plain.stgcn import PlainSTGCN
from ikem.skeleton import Skeleton

Draw = tuple[int, NDArray[np.float64]]
"""First frame of the crop, and shear matrix, of a clip."""

MakeEncoder = Callable[[], PlainSTGCN]
Views = Sequence[Sequence[Draw]]


class PlainBranch(nn.Module):
    """Encoder and two-layer head."""

    def __init__(self, encoder: PlainSTGCN, inputs: int, between: int, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = _head(inputs, between, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) to unit features (N, outputs)."""
        return F.normalize(self.head(self.encoder(x)), dim=1)


def _head(inputs: int, between: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, between), nn.ReLU(), nn.Linear(between, outputs))


class PlainQueues(nn.Module):
    """A queue (D, K) for each name, and their common pointer."""

    pointer: Tensor

    def __init__(self, names: Sequence[str], feature_dim: int, size: int) -> None:
        super().__init__()
        for name in names:
            self.register_buffer(name, F.normalize(torch.randn(feature_dim, size), dim=0))
        self.register_buffer("pointer", torch.tensor(0))

    @torch.no_grad()
    def put(self, keys: dict[str, Tensor]) -> None:
        """Write keys (B, D) over the oldest ones; the size is a multiple of the batch."""
        pointer = int(self.pointer)
        for name, key in keys.items():
            queue: Tensor = getattr(self, name)
            queue[:, pointer : pointer + len(key)] = key.t()
        count, size = len(key), queue.shape[1]
        self.pointer.fill_((pointer + count) % size)


class PlainContrast(nn.Module):
    """Query and key encoders, exchange heads and queues of some modalities."""

    def __init__(
        self,
        names: Sequence[str],
        encoder: MakeEncoder,
        hidden_dim: int,
        feature_dim: int,
        queue_size: int,
        key_momentum: float,
        temperature: float,
    ) -> None:
        super().__init__()
        self.names, self.key_momentum, self.temperature = tuple(names), key_momentum, temperature
        joined = len(self.names) * feature_dim
        self.query, self.key, self.exchange_head = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for name in self.names:
            self.query[name] = PlainBranch(encoder(), hidden_dim, hidden_dim, feature_dim)
            self.key[name] = PlainBranch(encoder(), hidden_dim, hidden_dim, feature_dim)
            if len(self.names) > 1:
                self.exchange_head[name] = _head(hidden_dim, joined, joined)
        self.key.requires_grad_(False)
        self.queue = PlainQueues(self.names, feature_dim, queue_size)

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        query: dict[str, Tensor],
        key: dict[str, Tensor],
        stage: str,
        follow: Sequence[str],
    ) -> Tensor:
        """One step on the modalities of both views, (N, C, T, V, M) each; returns the losses (A,)."""
        embedded = {name: self.query[name].encoder(query[name]) for name in self.names}
        queries = {name: F.normalize(self.query[name].head(embedded[name]), dim=1) for name in self.names}
        with torch.no_grad():
            for name in follow:
                for theirs, mine in zip(self.query[name].parameters(), self.key[name].parameters(), strict=True):
                    mine.data = mine.data * self.key_momentum + theirs.data * (1.0 - self.key_momentum)
            keys = {name: self.key[name](key[name]) for name in self.names}
        queues = {name: getattr(self.queue, name).clone().detach() for name in self.names}
        if stage == "contrast":
            each = [losses.info_nce(queries[name], keys[name], queues[name], self.temperature) for name in self.names]
            loss = torch.stack(each)
        else:
            exchanged = [F.normalize(self.exchange_head[name](embedded[name]), dim=1) for name in self.names]
            loss = losses.exchange_losses(
                *(torch.stack(list(part)) for part in (queries.values(), exchanged, keys.values(), queues.values())),
                self.temperature,
            )
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        self.queue.put(keys)
        return loss.detach()


class PlainDistillation(nn.Module):
    """A frozen teacher of some modalities, and students."""

    def __init__(
        self,
        teachers: Sequence[str],
        students: Sequence[str],
        encoder: MakeEncoder,
        hidden_dim: int,
        feature_dim: int,
        queue_size: int,
        temperature: float,
    ) -> None:
        super().__init__()
        self.teachers, self.students, self.temperature = tuple(teachers), tuple(students), temperature
        joined = len(self.teachers) * feature_dim
        self.teacher = nn.ModuleDict(
            {name: PlainBranch(encoder(), hidden_dim, hidden_dim, feature_dim) for name in self.teachers}
        )
        self.student = nn.ModuleDict(
            {name: PlainBranch(encoder(), hidden_dim, joined, joined) for name in self.students}
        )
        self.teacher.requires_grad_(False)
        self.teacher.eval()
        self.queue = PlainQueues(self.teachers, feature_dim, queue_size)
        self.joined_queue = PlainQueues(["all"], joined, queue_size)

    def step(self, optimizer: torch.optim.Optimizer, teacher: dict[str, Tensor], student: dict[str, Tensor]) -> Tensor:
        """One step; returns the losses (S,)."""
        with torch.no_grad():
            features = {name: self.teacher[name](teacher[name]) for name in self.teachers}
        embedded = torch.stack([self.student[name](student[name]) for name in self.students])
        queues = torch.stack([getattr(self.queue, name) for name in self.teachers])
        joined: Tensor = self.joined_queue.all  # type: ignore[assignment]
        loss = losses.distillation_losses(
            embedded, torch.stack(list(features.values())), queues, joined, self.temperature
        )
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        self.queue.put(features)
        self.joined_queue.put({"all": F.normalize(torch.cat(list(features.values()), dim=1), dim=1)})
        return loss.detach()


def view(clips: NDArray[np.float32], draws: Sequence[Draw], device: torch.device) -> Tensor:
    """A view of clips (N, C, T, V, M), a clip at a time, on the device."""
    made = [augment.view(clip, *each) for clip, each in zip(clips, draws, strict=True)]
    return torch.from_numpy(np.stack(made)).to(device)


def of(names: Sequence[str], position: Tensor, frames: Tensor, skeleton: Skeleton) -> dict[str, Tensor]:
    """Some of the six modalities; published code computes those it is asked for, each by itself."""
    make: dict[str, Callable[[], Tensor]] = {
        "joint": lambda: position,
        "motion": lambda: modalities.motion(position, frames),
        "bone": lambda: modalities.bone(position, skeleton),
        "acceleration": lambda: modalities.acceleration(position, frames),
        "rotation_axis": lambda: modalities.rotation_axis(position, skeleton),
        "angular_velocity": lambda: modalities.angular_velocity(position, frames, skeleton),
    }
    return {name: make[name]() for name in names}
