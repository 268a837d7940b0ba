"""A product of matrices by oneDNN: it uses the whole vector unit where PyTorch's default library may use half of it."""

from __future__ import annotations

import torch
from torch import Tensor

_LINEAR = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None  # type: ignore[no-untyped-call]


def fast_product() -> bool:
    """Whether `times_transposed` has a faster product than PyTorch's own."""
    return _LINEAR is not None


def times_transposed(left: Tensor, right: Tensor) -> Tensor:
    """left (R, K) times the transpose of right (C, K): (R, C), float32 on a CPU."""
    if _LINEAR is None:
        return left @ right.t()
    product: Tensor = _LINEAR(left.contiguous(), right.contiguous(), None, "none", [], "")
    return product
