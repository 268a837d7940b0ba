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

from ikem.seeding import epoch_order, seed_for
from ikem.training.optimizers import build_optimizer, learning_rate


@dataclass(frozen=True)
class LinearResult:
    """Test scores of the classifiers after the last epoch, and how they did in each epoch.

    Attributes:
        single: (modalities, n, K) logits of each modality's own classifier.
        fused: (n, K) mean logits of the classifiers trained together; None for a single modality.
        history: (epochs, modalities + 1) top-1 in percent, the fusion last (nan for a single modality).
        classifiers: weights (modalities, width, K) and biases (modalities, 1, K), for `apply_classifiers`.
    """

    single: NDArray[np.float32]
    fused: NDArray[np.float32] | None
    history: NDArray[np.float64]
    classifiers: dict[str, Tensor]


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


class Classifiers:
    """Those of single modalities and those of the fusion, trained on the same batches.

    Args:
        train: (modalities, n, width) float32.
        labels: (n,) int64, on the same device.
        classes: K.
        schedule: settings of a job that `ikem.settings.training.Schedule` gives.
        seed: fixes initial weights and the order of batches.
    """

    def __init__(self, train: Tensor, labels: Tensor, classes: int, schedule: Mapping[str, Any], seed: int) -> None:
        self._train, self._schedule, self._seed = train, schedule, seed
        self._wanted = torch.nn.functional.one_hot(labels, classes).to(train.dtype)
        modalities, _, width = train.shape
        self.single, self.fused = (
            _Softmax(modalities, width, classes, seed_for(seed, purpose), train.device, schedule)
            for purpose in ("linear", "linear fusion")
        )

    def train_epoch(self, epoch: int) -> None:
        """Train all of them; nothing is read from the device, and only the order of the clips is sent to it."""
        modalities, count, _ = self._train.shape
        rate = learning_rate(self._schedule, epoch)
        order = torch.from_numpy(epoch_order(self._seed, epoch, count)).to(self._train.device)
        for index in torch.split(order, int(self._schedule["batch_size"])):
            x, y = self._train.index_select(1, index), self._wanted.index_select(0, index)
            self.single.step(x, (self.single.logits(x).softmax(dim=2) - y) / len(index), rate)
            if modalities > 1:
                residual = (self.fused.logits(x).mean(dim=0).softmax(dim=1) - y) / (len(index) * modalities)
                self.fused.step(x, residual.expand(modalities, -1, -1), rate)

    def top1(self, test: Tensor, labels: Tensor) -> Tensor:
        """Shares of clips whose class is found, float64: of each modality, and of the fusion if there are several."""
        logits = [*self.single.logits(test), *([] if len(test) == 1 else [self.fused.logits(test).mean(dim=0)])]
        return torch.stack([(each.argmax(dim=-1) == labels).double().mean() for each in logits])

    def state(self) -> dict[str, Tensor]:
        """Weights and biases; those of the fusion only if there is one."""
        parts = {"single": self.single} | ({"fused": self.fused} if len(self._train) > 1 else {})
        tensors = {f"{name}.weight": part.weight.detach() for name, part in parts.items()}
        return tensors | {f"{name}.bias": part.bias.detach() for name, part in parts.items()}


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
        after_epoch: called after each epoch with its number; on a GPU, when its work is queued.
    """
    modalities, epochs = len(train), int(schedule["epochs"])
    classifiers = Classifiers(train, train_labels, classes, schedule, seed)
    history = train.new_full((epochs, modalities + 1), torch.nan, dtype=torch.float64)
    for epoch in range(epochs):
        classifiers.train_epoch(epoch)
        found = classifiers.top1(test, test_labels)
        history[epoch, : len(found)] = 100.0 * found
        after_epoch(epoch)
    return LinearResult(*apply_classifiers(classifiers.state(), test), history.cpu().numpy(), classifiers.state())


def apply_classifiers(
    classifiers: Mapping[str, Tensor], embeddings: Tensor
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """`single` and `fused` of a `LinearResult`, for embeddings (modalities, n, width) on the device of both."""
    single = torch.baddbmm(classifiers["single.bias"], embeddings, classifiers["single.weight"])
    if "fused.weight" not in classifiers:
        return single.cpu().numpy(), None
    fused = torch.baddbmm(classifiers["fused.bias"], embeddings, classifiers["fused.weight"]).mean(dim=0)
    return single.cpu().numpy(), fused.cpu().numpy()
