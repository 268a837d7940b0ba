"""Linear evaluation on kept embeddings: all classifiers of a method trained together.

The encoder is frozen and nothing is augmented, so embeddings do not change and the encoder need not run again. The
classifiers of single modalities, and those of the fusion (trained on the mean of their logits), share batches only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ikem.training.optimizers import learning_rate
from ikem.training.seeding import batches, epoch_order, seed_for


@dataclass(frozen=True)
class LinearResult:
    """Test scores of the classifiers after the last epoch, and how they did in each epoch.

    Attributes:
        single: (modalities, n, K) logits of each modality's own classifier.
        fused: (n, K) mean logits of the classifiers trained together; None for a single modality.
        history: (epochs, modalities + 1) top-1 in percent, the fusion last (nan for a single modality).
    """

    single: NDArray[np.float32]
    fused: NDArray[np.float32] | None
    history: NDArray[np.float64]


class _Softmax:
    """Linear classifiers under SGD with momentum; the gradient of the cross-entropy is written out."""

    def __init__(self, modalities: int, width: int, classes: int, seed: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(modalities, width, classes, generator=generator) * 0.02
        self.weight = drawn.to(device)
        self.bias = torch.zeros(modalities, 1, classes, device=device)
        self._moments = [torch.zeros_like(self.weight), torch.zeros_like(self.bias)]

    def logits(self, x: Tensor) -> Tensor:
        """(modalities, B, width) to (modalities, B, classes)."""
        return torch.baddbmm(self.bias, x, self.weight)

    def step(self, x: Tensor, residual: Tensor, rate: float, momentum: float, weight_decay: float) -> None:
        """Descend; `residual` (modalities, B, classes) is the gradient of the loss with respect to the logits."""
        gradients = torch.bmm(x.transpose(1, 2), residual), residual.sum(dim=1, keepdim=True)
        for value, moment, gradient in zip((self.weight, self.bias), self._moments, gradients, strict=True):
            moment.mul_(momentum).add_(gradient).add_(value, alpha=weight_decay)
            value.sub_(moment, alpha=rate)


def linear_evaluation(
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    classes: int,
    schedule: Mapping[str, Any],
    seed: int,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> LinearResult:
    """Train linear classifiers on frozen embeddings.

    Args:
        train, test: (modalities, n, width) float32 on one device.
        train_labels, test_labels: (n,) int64.
        classes: K.
        schedule: keys of `ikem.settings.Schedule`.
        seed: fixes initial weights and the order of batches.
        after_epoch: called after each epoch with its number.
    """
    modalities, _, width = train.shape
    single = _Softmax(modalities, width, classes, seed_for(seed, "linear"), train.device)
    fused = (
        _Softmax(modalities, width, classes, seed_for(seed, "linear fusion"), train.device) if modalities > 1 else None
    )
    wanted = torch.nn.functional.one_hot(train_labels, classes).to(train.dtype)
    history = np.full((int(schedule["epochs"]), modalities + 1), np.nan)
    descent = float(schedule["optimizer"]["momentum"]), float(schedule["weight_decay"])
    for epoch in range(int(schedule["epochs"])):
        rate = learning_rate(schedule, epoch)
        for rows in batches(epoch_order(seed, epoch, train.shape[1]), int(schedule["batch_size"]), drop_last=False):
            index = torch.from_numpy(rows).to(train.device)
            x, y = train.index_select(1, index), wanted.index_select(0, index)
            single.step(x, (single.logits(x).softmax(dim=2) - y) / len(rows), rate, *descent)
            if fused is not None:
                residual = (fused.logits(x).mean(dim=0).softmax(dim=1) - y) / (len(rows) * modalities)
                fused.step(x, residual.expand(modalities, -1, -1), rate, *descent)
        history[epoch, :modalities] = _top1(single.logits(test), test_labels)
        if fused is not None:
            history[epoch, modalities] = _top1(fused.logits(test).mean(dim=0), test_labels)
        after_epoch(epoch)
    return LinearResult(
        single=single.logits(test).cpu().numpy(),
        fused=None if fused is None else fused.logits(test).mean(dim=0).cpu().numpy(),
        history=history,
    )


def _top1(logits: Tensor, labels: Tensor) -> NDArray[np.float64]:
    right: NDArray[np.float64] = (logits.argmax(dim=-1) == labels).double().mean(dim=-1).cpu().numpy()
    return 100.0 * right
