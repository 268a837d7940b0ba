"""The graph's part of the encoder: each joint gathers what its neighbours hold, subset by subset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ikem.encoders import mixing_cpu as _compiled
from ikem.kernels.dispatch import compiled, over_rows

mixing_cpu: Any = _compiled  # compiled functions have no signature that a type checker could read


@dataclass(frozen=True)
class Entries:
    """The entries of a graph (3, V, V) that may differ from zero, by what they lead to and by what they come from."""

    linked: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    by_source: NDArray[np.int64]
    fresh_target: NDArray[np.bool_]
    fresh_source: NDArray[np.bool_]
    bare_targets: NDArray[np.int64]
    bare_sources: NDArray[np.int64]

    @classmethod
    def of(cls, linked: Tensor, joints: int) -> Entries:
        """From (E, 3) int64 on the CPU, rows (k, source, receiver)."""
        rows = linked.numpy()
        target = rows[:, 2] * 3 + rows[:, 0]
        order = np.argsort(target, kind="stable")
        rows, target = rows[order], target[order]
        source = np.ascontiguousarray(rows[:, 1])
        by_source = np.argsort(source, kind="stable")
        fresh = _fresh(target), _fresh(source[by_source])
        bare = np.setdiff1d(np.arange(3 * joints), target), np.setdiff1d(np.arange(joints), source)
        return cls(rows, source, target, by_source, *fresh, *bare)


def _fresh(places: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.append(True, places[1:] != places[:-1])


def graph_convolution(x: Tensor, weight: Tensor, kernel: Tensor, entries: Entries) -> Tensor:
    """Each joint gathers what its neighbours hold, subset by subset; one matrix follows for all joints.

    Args:
        x: (N, C, T, V), best with channels last.
        weight: (3, V, V): entry (k, source, receiver) is what `receiver` takes of `source` in subset k.
        kernel: (out, 3 * C): for each subset in turn, what becomes of the C channels.
        entries: those of `weight` that may differ from zero; only these get a gradient.

    Returns:
        (N, out, T, V).
    """
    if compiled(x, weight, kernel):
        result: Tensor = _GraphConvolution.apply(x, weight, kernel, entries)  # type: ignore[no-untyped-call]
        return result
    samples, channels, frames, joints = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(samples * frames, joints, channels)
    gathered = torch.matmul(_by_receiver(weight).to(x.dtype), rows)
    return F.conv2d(_as_image(gathered, samples, frames), kernel[:, :, None, None])


def _as_image(gathered: Tensor, samples: int, frames: int) -> Tensor:
    """(N * T, V * 3, C) to (N, 3 * C, T, V), channels last."""
    return gathered.view(samples, frames, gathered.shape[1] // 3, -1).permute(0, 3, 1, 2)


def _by_receiver(weight: Tensor) -> Tensor:
    """(3, source, receiver) to a matrix (receiver x 3, source)."""
    joints = weight.shape[-1]
    return weight.permute(2, 0, 1).reshape(3 * joints, joints)


class _GraphConvolution(torch.autograd.Function):
    """Only the entries that can differ from zero take part, in the product and in its gradients. What was gathered is
    three times as large as the input, and cheap: it is gathered again in the backward pass, not kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, kernel: Tensor, entries: Entries) -> Tensor:
        ctx.save_for_backward(x, weight, kernel)
        ctx.entries = entries
        return F.conv2d(Gathering(weight, entries).gather(x), kernel[:, :, None, None])

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, kernel = ctx.saved_tensors
        gathering = Gathering(weight, ctx.entries)
        return *gathering.slopes(gradient, x, gathering.gather(x), kernel), None


@dataclass(frozen=True)
class Gathering:
    """What each joint gathers of its neighbours, with compiled kernels.

    Attributes:
        weight: (3, V, V).
        entries: those of `weight` that may differ from zero.
    """

    weight: Tensor
    entries: Entries

    def gather(self, x: Tensor) -> Tensor:
        """(N, C, T, V) to (N, 3 * C, T, V), subset by subset."""
        rows = _by_joint(x)
        count, joints, channels = rows.shape
        made, entries = rows.new_empty(count, 3 * joints, channels), self.entries
        arrays = (rows.numpy(), self._factors, entries.source, entries.target, entries.fresh_target)
        more = (entries.bare_targets, made.numpy())
        over_rows(lambda start, stop: mixing_cpu.combine(*arrays, *more, start, stop), count)
        return _as_image(made, x.shape[0], x.shape[2])

    def slopes(self, gradient: Tensor, x: Tensor, gathered: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of x, weight and kernel from that of the 1x1 convolution of what was gathered.

        Args:
            gradient: (N, out, T, V).
            x: (N, C, T, V).
            gathered: what `gather` makes of it.
            kernel: (out, 3 * C).
        """
        entries, rows = self.entries, _by_joint(x)
        location = None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (True, True, False)
        back = torch.ops.aten.convolution_backward
        given, kernel_slope, _ = back(gradient, gathered, kernel[:, :, None, None], *location)
        slopes = given.permute(0, 2, 3, 1).contiguous().view(len(rows), 3 * rows.shape[1], -1).numpy()
        sums = np.empty((mixing_cpu.SLABS, len(entries.source)))
        pairs = (rows.numpy(), slopes, entries.source, entries.target, sums)
        over_rows(lambda start, stop: mixing_cpu.entry_products(*pairs, start, stop), mixing_cpu.SLABS)
        slope, order = torch.empty_like(rows), entries.by_source
        arrays = (slopes, self._factors[order], entries.target[order], entries.source[order], entries.fresh_source)
        more = (entries.bare_sources, slope.numpy())
        over_rows(lambda start, stop: mixing_cpu.combine(*arrays, *more, start, stop), len(rows))
        weight_slope = torch.zeros_like(self.weight)
        weight_slope[self._places] = torch.from_numpy(sums.sum(axis=0).astype(np.float32))
        samples, _, frames, joints = x.shape
        return slope.view(samples, frames, joints, -1).permute(0, 3, 1, 2), weight_slope, kernel_slope[:, :, 0, 0]

    @property
    def _places(self) -> tuple[NDArray[np.int64], ...]:
        return tuple(self.entries.linked[:, column] for column in (0, 1, 2))

    @property
    def _factors(self) -> NDArray[np.float32]:
        factors: NDArray[np.float32] = self.weight.detach().numpy()[self._places]
        return factors


def _by_joint(x: Tensor) -> Tensor:
    """(N, C, T, V) to (N * T, V, C)."""
    last = x.permute(0, 2, 3, 1).contiguous()
    return last.view(-1, *last.shape[2:])
