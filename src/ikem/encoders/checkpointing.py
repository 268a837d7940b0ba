"""Activation checkpointing that leaves a module as it would be without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.utils import checkpoint as torch_checkpoint


def checkpoint(module: nn.Module, *inputs: Any) -> Tensor:
    """module(*inputs), of which only the inputs are kept; the backward pass computes it again.

    Chen et al. 2016 (arXiv 1604.06174). BatchNorm statistics move once, and results have the same bits as without it.
    The module must not draw random numbers from a generator.
    """
    result: Tensor = torch_checkpoint.checkpoint(
        module,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), _fixed_statistics(module)),
    )
    return result


@contextmanager
def _fixed_statistics(module: nn.Module) -> Iterator[None]:
    """Within it no BatchNorm of the module moves its running statistics."""
    norms = [norm for norm in module.modules() if isinstance(norm, nn.modules.batchnorm._BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None  # not counted, and the statistics keep their values
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
