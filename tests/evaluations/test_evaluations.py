"""Evaluations against plain transcriptions and cases with a known answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from ikem.evaluations.embed import Standardization
from ikem.evaluations.knn.scores import knn_scores
from ikem.evaluations.linear.classifiers import linear_evaluation
from ikem.evaluations.metrics import classification, confusion_matrix
from ikem.evaluations.rows import streams
from ikem.seeding import batches, epoch_order, seed_for
from ikem.training.optimizers import learning_rate

SCHEDULE: dict[str, Any] = {
    "epochs": 4,
    "decay": {"kind": "step", "epoch": 3, "factor": 0.1},
    "batch_size": 7,
    "learning_rate": 0.5,
    "weight_decay": 1e-3,
    "optimizer": {"kind": "sgd", "momentum": 0.9},
}


def test_metrics_of_a_known_case() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    labels = np.array([0, 1, 1, 2])
    mean = pytest.approx(100 * (1 + 0.5 + 1) / 3)
    assert classification(scores, labels) == {"top1": 75.0, "top5": 100.0, "mean_class_accuracy": mean}
    assert confusion_matrix(scores, labels).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_top5_counts_the_five_highest() -> None:
    scores = -np.arange(8.0)[None].repeat(8, axis=0)
    assert classification(scores, np.arange(8))["top5"] == 100 * 5 / 8


def test_classes_without_test_clips_are_left_out_of_the_mean() -> None:
    assert classification(np.eye(4)[[0, 1]], np.array([0, 1]))["mean_class_accuracy"] == 100.0


def plain_linear(train: torch.Tensor, labels: torch.Tensor, fused: bool, name: str, seed: int) -> torch.Tensor:
    """One classifier for each modality under torch's own SGD and cross-entropy; returns weights (A, width, K)."""
    modalities, count, width = train.shape
    generator = torch.Generator().manual_seed(seed_for(seed, name))
    weight = torch.nn.Parameter((torch.randn(modalities, width, 3, generator=generator) * 0.02).double())
    bias = torch.nn.Parameter(torch.zeros(modalities, 1, 3, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight, bias], lr=0.5, momentum=0.9, weight_decay=1e-3)
    for epoch in range(4):
        optimizer.param_groups[0]["lr"] = learning_rate(SCHEDULE, epoch)
        for rows in batches(epoch_order(seed, epoch, count), 7, drop_last=False):
            logits = train[:, rows].double() @ weight + bias
            wanted = labels[rows]
            if fused:
                loss = functional.cross_entropy(logits.mean(dim=0), wanted)
            else:
                loss = torch.stack([functional.cross_entropy(each, wanted) for each in logits]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return (train.double() @ weight + bias).detach()


def test_linear_is_what_autograd_and_sgd_give() -> None:
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(2, 30, 5, generator=generator)
    labels = torch.arange(30) % 3
    result = linear_evaluation(train, labels, train, labels, 3, SCHEDULE, seed=4)
    single = plain_linear(train, labels, False, "linear", 4)
    fused = plain_linear(train, labels, True, "linear fusion", 4).mean(dim=0)
    np.testing.assert_allclose(result.single, single, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.fused, fused, rtol=1e-4, atol=1e-5)
    assert result.history[-1, 0] == pytest.approx(100 * (single[0].argmax(1) == labels).double().mean().item())


def test_linear_separates_what_is_separable_and_a_single_modality_has_no_fusion() -> None:
    labels = torch.arange(40) % 4
    train = functional.one_hot(labels, 4).float()[None]
    result = linear_evaluation(train, labels, train, labels, 4, SCHEDULE | {"epochs": 30}, seed=0)
    assert result.history[-1, 0] == 100.0
    assert result.fused is None


def plain_knn(train: np.ndarray, labels: np.ndarray, test: np.ndarray, k: int, classes: int) -> list[int]:
    answers = []
    for query in test:
        cosines = [float(query @ key / np.linalg.norm(query) / np.linalg.norm(key)) for key in train]
        order = sorted(range(len(train)), key=lambda position: -cosines[position])[:k]
        votes = {c: sum(int(labels[position]) == c for position in order) for c in range(classes)}
        top = max(votes.values())
        answers.append(next(int(labels[position]) for position in order if votes[int(labels[position])] == top))
    return answers


@pytest.mark.parametrize("k", [1, 4, 5])
def test_knn_is_a_vote_of_the_nearest(k: int) -> None:
    rng = np.random.default_rng(k)
    train, test = rng.normal(size=(40, 6)), rng.normal(size=(25, 6))
    labels = rng.integers(0, 5, 40)
    as_tensor = torch.from_numpy
    scores = knn_scores(as_tensor(train)[None], as_tensor(labels), as_tensor(test)[None], 5, k, chunk=7)
    assert scores.argmax(axis=1).tolist() == plain_knn(train, labels, test, k, 5)


def test_knn_of_fewer_clips_than_neighbors() -> None:
    train = torch.eye(3)[None]
    assert knn_scores(train, torch.arange(3), train, 3, k=10).argmax(axis=1).tolist() == [0, 1, 2]


def test_standardized_over_the_chosen_rows() -> None:
    values = torch.randn(50, 4, generator=torch.Generator().manual_seed(1)) * 1e-5 + 3
    values[:, 3] = 7
    rows = np.arange(0, 50, 2)
    made = Standardization.over(values, rows)(values)
    np.testing.assert_allclose(made[rows, :3].mean(dim=0), 0, atol=1e-5)
    np.testing.assert_allclose(made[rows, :3].std(dim=0, correction=0), 1, atol=1e-5)
    assert (made[:, 3] == 0).all()


def test_streams_are_in_published_order() -> None:
    assert streams(["bone", "joint"]) == "joint+bone"


def test_order_of_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    assert (epoch_order(1, 2, 50) == epoch_order(1, 2, 50)).all()
    assert (epoch_order(1, 2, 50) != epoch_order(1, 3, 50)).any()
    assert sorted(epoch_order(1, 2, 50)) == list(range(50))


def test_last_batch() -> None:
    order = np.arange(10)
    assert [len(cut) for cut in batches(order, 4, drop_last=True)] == [4, 4]
    assert [len(cut) for cut in batches(order, 4, drop_last=False)] == [4, 4, 2]
    assert [len(cut) for cut in batches(order, 16, drop_last=True)] == [10]
