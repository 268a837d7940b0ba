"""Parts of the benchmark that are half a step: the losses, and one encoder; forward and backward each."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.pair import Pair, Sizes, in_memory, largest_difference, positions, units
from benchmarks.parts_data import SEED, SKELETON
from benchmarks.plain import losses as plain_losses
from benchmarks.plain.stgcn import PlainSTGCN
from ikem.encoders.initialization import initialize
from ikem.encoders.stgcn.network import STGCN
from ikem.losses.cross_modal import implicit_losses, mined_losses
from ikem.losses.relational_distillation import relational_losses

TEMPERATURE = 0.07


def exchange_losses(sizes: Sizes, device: torch.device) -> Pair:
    """The losses of stage 2."""
    count, batch, dim, queue = sizes.modalities, sizes.batch, sizes.feature_dim, sizes.queue
    queries = units(count, batch, dim, seed=1, device=device)
    exchanged = units(count, batch, count * dim, seed=2, device=device)
    keys = units(count, batch, dim, seed=3, device=device)
    queues = units(count, dim, queue, seed=4, device=device, dim=1)

    def plain(query: Tensor, joined: Tensor) -> Tensor:
        return plain_losses.exchange_losses(query, joined, keys, queues, TEMPERATURE)

    def ours(query: Tensor, joined: Tensor) -> Tensor:
        pairs = mined_losses(query, keys, queues, TEMPERATURE).sum(dim=1) / (count - 1)
        return pairs + implicit_losses(joined, keys, queues, TEMPERATURE)

    size = f"{count} modalities, batch {batch}, queue {queue}"
    return _differentiated(plain, ours, (queries, exchanged), size)


def distillation_losses(sizes: Sizes, device: torch.device) -> Pair:
    """The losses of some students."""
    count, batch, dim, queue = sizes.modalities, sizes.batch, sizes.feature_dim, sizes.queue
    students = units(sizes.students, batch, count * dim, seed=1, device=device)
    features = units(count, batch, dim, seed=2, device=device)
    queues = units(count, dim, queue, seed=3, device=device, dim=1)
    joined = F.normalize(queues.reshape(count * dim, queue), dim=0)
    teacher = F.normalize(torch.cat(list(features), dim=1), dim=1)

    def plain(z: Tensor) -> Tensor:
        return plain_losses.distillation_losses(z, features, queues, joined, TEMPERATURE)

    def ours(z: Tensor) -> Tensor:
        return relational_losses(z, teacher, features, queues, joined, TEMPERATURE).mean(dim=1)

    size = f"{sizes.students} students, {count} teachers, batch {batch}, queue {queue}"
    return _differentiated(plain, ours, (students,), size)


def _differentiated(
    plain: Callable[..., Tensor], ours: Callable[..., Tensor], inputs: tuple[Tensor, ...], size: str
) -> Pair:
    def run(losses: Callable[..., Tensor]) -> list[Tensor]:
        leaves = [value.clone().requires_grad_() for value in inputs]
        value = losses(*leaves)
        value.sum().backward()
        return [value, *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    return Pair(
        plain=lambda: run(plain),
        ours=lambda: run(ours),
        difference=lambda: largest_difference(zip(run(plain), run(ours), strict=True)),
        size=size,
        note="difference: losses and gradients",
    )


def encoders(sizes: Sizes, device: torch.device, dropout: float, kind: str = "published") -> tuple[PlainSTGCN, STGCN]:
    """The plain encoder and ours with the same parameters, in training mode."""
    widths = sizes.hidden_channels, sizes.hidden_dim, dropout
    plain, ours = PlainSTGCN(SKELETON, *widths), STGCN(SKELETON, *widths)
    initialize(ours, SEED, "published" if kind == "published" else "pytorch")
    plain.load_state_dict(ours.state_dict())
    return plain.to(device), ours.to(device)


def encoder(sizes: Sizes, device: torch.device) -> Pair:
    """One encoder in training mode, with dropout."""
    disk = positions(sizes.batch, sizes.frames, SEED, device)
    batch = in_memory(disk)
    plain, ours = encoders(sizes, device, sizes.dropout)

    def run_plain() -> None:
        plain.zero_grad(set_to_none=True)
        plain(disk).sum().backward()

    def run_ours() -> None:
        ours.zero_grad(set_to_none=True)
        ours(batch, SEED).sum().backward()

    def difference() -> float:
        theirs, mine = encoders(sizes, device, 0.0)
        return largest_difference([(theirs(disk), mine(batch, SEED))])

    return Pair(
        run_plain,
        run_ours,
        difference,
        size=f"batch {sizes.batch}, width {sizes.hidden_channels}/{sizes.hidden_dim}",
        note="difference: embeddings, without dropout",
    )
