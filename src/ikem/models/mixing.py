"""The graph's part of the encoder: each joint gathers what its neighbours hold, subset by subset."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


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
    if x.device.type == "cpu" and x.dtype == weight.dtype and not torch.is_autocast_enabled("cpu"):
        result = _GatherJoints.apply(x, weight, linked)  # type: ignore[no-untyped-call]
    else:
        result = torch.matmul(_by_receiver(weight).to(x.dtype), x)
    return result.view(x.shape[0], x.shape[1], -1)


def _by_receiver(weight: Tensor) -> Tensor:
    """(3, source, receiver) to a matrix (receiver x 3, source)."""
    joints = weight.shape[-1]
    return weight.permute(2, 0, 1).reshape(3 * joints, joints)


class _GatherJoints(torch.autograd.Function):
    """A product with one small matrix; its gradient is summed only where the matrix can differ from zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, linked: Tensor) -> Tensor:
        matrix = _by_receiver(weight)
        ctx.save_for_backward(x, matrix, linked)
        return torch.matmul(matrix, x)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, matrix, linked = ctx.saved_tensors
        rows, joints, channels = x.shape
        gradient = gradient.contiguous()
        x_gradient = torch.matmul(matrix.t(), gradient) if ctx.needs_input_grad[0] else None
        weight_gradient = None
        if ctx.needs_input_grad[1]:
            received = gradient.view(rows, joints, 3, channels)
            sums = [(x[:, v] * received[:, w, k]).sum() for k, v, w in linked.tolist()]
            weight_gradient = x.new_zeros(3, joints, joints)
            weight_gradient[linked.unbind(1)] = torch.stack(sums)
        return x_gradient, weight_gradient, None
