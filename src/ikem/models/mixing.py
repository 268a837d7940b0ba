"""The graph's part of the encoder: each joint gathers what its neighbours hold, subset by subset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ikem.models import mixing_cpu as _compiled
from ikem.parallel import compiled, over_rows

mixing_cpu: Any = _compiled  # compiled functions have no signature that a type checker could read


def gather_joints(x: Tensor, weight: Tensor, linked: Tensor) -> Tensor:
    """Sum over source joints of weight[k, source, receiver] x[..., source, :], for each receiver and subset k.

    Args:
        x: (R, V, C), contiguous.
        weight: (3, V, V).
        linked: (E, 3) int64 on the CPU, the entries (k, source, receiver) of `weight` that may differ from zero; only
            these get a gradient.

    Returns:
        (R, V, 3 * C): receivers, and for each the channels of subset after subset.
    """
    result: Tensor
    if compiled(x, weight):
        result = _GatherJoints.apply(x, weight, linked)  # type: ignore[no-untyped-call]
    else:
        result = torch.matmul(_by_receiver(weight).to(x.dtype), x)
    return result.view(x.shape[0], x.shape[1], -1)


def _by_receiver(weight: Tensor) -> Tensor:
    """(3, source, receiver) to a matrix (receiver x 3, source)."""
    joints = weight.shape[-1]
    return weight.permute(2, 0, 1).reshape(3 * joints, joints)


@dataclass(frozen=True)
class _Entries:
    """The entries of a graph (3, V, V), in two orders: by what they lead to, and by what they come from."""

    linked: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    by_source: NDArray[np.int64]
    fresh_target: NDArray[np.bool_]
    fresh_source: NDArray[np.bool_]

    @classmethod
    def of(cls, linked: Tensor) -> _Entries:
        """From (E, 3) rows (k, source, receiver)."""
        rows = linked.numpy()
        target = rows[:, 2] * 3 + rows[:, 0]
        order = np.argsort(target, kind="stable")
        rows, target = rows[order], target[order]
        source = np.ascontiguousarray(rows[:, 1])
        by_source = np.argsort(source, kind="stable")
        return cls(rows, source, target, by_source, _fresh(target), _fresh(source[by_source]))


def _fresh(places: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.append(True, places[1:] != places[:-1])


class _GatherJoints(torch.autograd.Function):
    """Only the entries that can differ from zero take part, in the product and in its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, linked: Tensor) -> Tensor:
        entries = _Entries.of(linked)
        factors = weight.numpy()[tuple(entries.linked[:, column] for column in (0, 1, 2))]
        rows, joints, channels = x.shape
        out = x.new_zeros(rows, 3 * joints, channels)
        arrays = (x.numpy(), factors, entries.source, entries.target, entries.fresh_target, out.numpy())
        over_rows(lambda start, stop: mixing_cpu.combine(*arrays, start, stop), rows)
        ctx.save_for_backward(x)
        ctx.entries, ctx.factors, ctx.like = entries, factors, weight
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x,) = ctx.saved_tensors
        entries, given = ctx.entries, gradient.contiguous().numpy()
        x_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = torch.zeros_like(x)
            order = entries.by_source
            arrays = (given, ctx.factors[order], entries.target[order], entries.source[order], entries.fresh_source)
            slopes = x_gradient.numpy()
            over_rows(lambda start, stop: mixing_cpu.combine(*arrays, slopes, start, stop), len(slopes))
        if ctx.needs_input_grad[1]:
            sums = np.empty((mixing_cpu.SLABS, len(entries.source)))
            pairs = (x.numpy(), given, entries.source, entries.target, sums)
            over_rows(lambda start, stop: mixing_cpu.entry_products(*pairs, start, stop), mixing_cpu.SLABS)
            weight_gradient = torch.zeros_like(ctx.like)
            places = tuple(torch.from_numpy(entries.linked[:, column].copy()) for column in (0, 1, 2))
            weight_gradient[places] = torch.from_numpy(sums.sum(axis=0)).to(weight_gradient.dtype)
        return x_gradient, weight_gradient, None
