"""Linear evaluation with the frozen encoders run over all clips in every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.plain.stgcn import PlainSTGCN


def evaluate(
    encoders: Sequence[PlainSTGCN],
    train: Sequence[Tensor],
    train_labels: Tensor,
    test: Sequence[Tensor],
    test_labels: Tensor,
    orders: Sequence[Tensor],
    weights: tuple[Tensor, Tensor],
    batch_size: int,
    learning_rate: float,
    momentum: float = 0.9,
) -> tuple[Tensor, list[float]]:
    """Train a classifier of each modality, and those of the fusion on the mean of their logits.

    The encoders run once an epoch for all of these classifiers; published code runs them again for each table cell.

    Args:
        encoders: of each modality, in evaluation mode.
        train, test: clips of each modality, (n, C, T, V, M).
        train_labels, test_labels: (n,).
        orders: of the training clips, one for each epoch.
        weights: initial ones (A, width, classes) of the single classifiers, and of those of the fusion.
        batch_size: clips of a step.
        learning_rate, momentum: of stochastic gradient descent.

    Returns:
        Test logits (A, n, classes) of the single classifiers after the last epoch, and the fusion's top-1 in percent
        after each.
    """
    single, fused = ([_classifier(each) for each in given] for given in weights)
    parameters = [parameter for layer in (*single, *fused) for parameter in layer.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum)
    history = []
    for order in orders:
        for rows in order.split(batch_size):
            with torch.no_grad():
                features = [encoder(clips[rows]) for encoder, clips in zip(encoders, train, strict=True)]
            labels = train_labels[rows]
            losses = [F.cross_entropy(layer(feature), labels) for layer, feature in zip(single, features, strict=True)]
            losses.append(F.cross_entropy(_mean(fused, features), labels))
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()
        with torch.no_grad():
            parts = []
            for rows in torch.arange(len(test_labels), device=test_labels.device).split(batch_size):
                features = [encoder(clips[rows]) for encoder, clips in zip(encoders, test, strict=True)]
                each = [layer(feature) for layer, feature in zip(single, features, strict=True)]
                parts.append((torch.stack(each), _mean(fused, features)))
        logits = torch.cat([part for part, _ in parts], dim=1)
        together = torch.cat([part for _, part in parts])
        history.append(100.0 * (together.argmax(dim=1) == test_labels).double().mean().item())
    return logits, history


def _classifier(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(*weight.shape, device=weight.device)
    with torch.no_grad():
        layer.weight.copy_(weight.t())
        layer.bias.zero_()
    return layer


def _mean(layers: Sequence[nn.Linear], features: Sequence[Tensor]) -> Tensor:
    return torch.stack([layer(feature) for layer, feature in zip(layers, features, strict=True)]).mean(dim=0)
