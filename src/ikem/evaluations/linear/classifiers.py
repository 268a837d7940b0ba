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
from torch import Tensor, nn

from ikem.seeding import batches, epoch_order, seed_for
from ikem.training.optimizers import build_optimizer, learning_rate


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
    """Linear classifiers; the gradient of the cross-entropy is written out, which costs less than autograd."""

    def __init__(
        self,
        modalities: int,
        width: int,
        classes: int,
        seed: int,
        device: torch.device,
        schedule: Mapping[str, Any],
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(modalities, width, classes, generator=generator) * 0.02
        self.weight = nn.Parameter(drawn.to(device), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(modalities, 1, classes, device=device), requires_grad=False)
        self._optimizer = build_optimizer([self.weight, self.bias], schedule)

    def logits(self, x: Tensor) -> Tensor:
        """(modalities, B, width) to (modalities, B, classes)."""
        return torch.baddbmm(self.bias, x, self.weight)

    def step(self, x: Tensor, residual: Tensor, rate: float) -> None:
        """Descend; `residual` (modalities, B, classes) is the gradient of the loss with respect to the logits."""
        self.weight.grad, self.bias.grad = torch.bmm(x.transpose(1, 2), residual), residual.sum(dim=1, keepdim=True)
        self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.step()


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
        schedule: settings of a job that `ikem.settings.training.Schedule` gives.
        seed: fixes initial weights and the order of batches.
        after_epoch: called after each epoch with its number.
    """
    modalities, _, width = train.shape
    single, fused = (
        _Softmax(modalities, width, classes, seed_for(seed, purpose), train.device, schedule)
        for purpose in ("linear", "linear fusion")
    )
    wanted = torch.nn.functional.one_hot(train_labels, classes).to(train.dtype)
    history = np.full((int(schedule["epochs"]), modalities + 1), np.nan)
    for epoch in range(int(schedule["epochs"])):
        rate = learning_rate(schedule, epoch)
        for rows in batches(epoch_order(seed, epoch, train.shape[1]), int(schedule["batch_size"]), drop_last=False):
            index = torch.from_numpy(rows).to(train.device)
            x, y = train.index_select(1, index), wanted.index_select(0, index)
            single.step(x, (single.logits(x).softmax(dim=2) - y) / len(rows), rate)
            if modalities > 1:
                residual = (fused.logits(x).mean(dim=0).softmax(dim=1) - y) / (len(rows) * modalities)
                fused.step(x, residual.expand(modalities, -1, -1), rate)
        history[epoch, :modalities] = _top1(single.logits(test), test_labels)
        if modalities > 1:
            history[epoch, modalities] = _top1(fused.logits(test).mean(dim=0), test_labels)
        after_epoch(epoch)
    return LinearResult(
        single=single.logits(test).cpu().numpy(),
        fused=None if modalities == 1 else fused.logits(test).mean(dim=0).cpu().numpy(),
        history=history,
    )


def _top1(logits: Tensor, labels: Tensor) -> NDArray[np.float64]:
    right: NDArray[np.float64] = (logits.argmax(dim=-1) == labels).double().mean(dim=-1).cpu().numpy()
    return 100.0 * right
