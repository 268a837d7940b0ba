"""What evaluations ask of a device, on device "meta": values are read at the end, and no batch is waited for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ikem.evaluations.embed import embed_clips
from ikem.evaluations.finetune.run import _logits
from ikem.evaluations.knn.scores import knn_scores
from ikem.evaluations.linear.classifiers import Classifiers, linear_evaluation
from ikem.skeleton import load_skeleton
from ikem.training.loader import Clips
from operation_counts import META, Counting, reads  # noqa: F401
from stage_support import write_prepared

CLIPS, WIDTH, CLASSES, BATCH = 1000, 8, 5, 16
OPERATIONS_A_BATCH = 28
"""Of the linear evaluation of several modalities; each costs a kernel launch on a GPU."""
SCHEDULE = {
    "epochs": 2,
    "decay": {"kind": "step", "epoch": None},
    "batch_size": BATCH,
    "learning_rate": 1.0,
    "weight_decay": 0.0,
    "optimizer": {"kind": "sgd", "momentum": 0.9},
}


def embeddings(modalities):
    return torch.empty(modalities, CLIPS, WIDTH, device=META), torch.empty(CLIPS, dtype=torch.int64, device=META)


def test_an_epoch_of_linear_evaluation_reads_no_value():
    classifiers = Classifiers(*embeddings(3), CLASSES, SCHEDULE, seed=0)
    classifiers.train_epoch(0)
    with Counting() as counting:
        classifiers.train_epoch(1)
    assert counting.total_sent == 1, f"the order of the clips alone is sent: {+counting.sent}"
    each = counting.total / -(-CLIPS // BATCH)
    assert 0.9 * OPERATIONS_A_BATCH < each <= OPERATIONS_A_BATCH, (each, counting.calls)


@pytest.mark.parametrize("epochs", [1, 3])
def test_linear_evaluation_reads_its_results_only(reads, epochs):  # noqa: F811
    train, labels = embeddings(2)
    linear_evaluation(train, labels, train, labels, CLASSES, SCHEDULE | {"epochs": epochs}, seed=0)
    assert reads == [(2, CLIPS, CLASSES), (CLIPS, CLASSES), (epochs, 3)]


def test_nearest_neighbors_are_read_once(reads):  # noqa: F811
    train, labels = embeddings(2)
    knn_scores(train, labels, train, CLASSES, 3, chunk=100)
    assert reads == [(CLIPS, CLASSES)]


class Mean(torch.nn.Module):
    """An encoder of one number."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, dropout_seed=None):
        return x.flatten(1).mean(dim=1, keepdim=True) * self.scale


def test_embeddings_are_read_once(reads):  # noqa: F811
    array = np.ones((300, 3, 4, 25, 2), np.float32)
    assert embed_clips(Mean(), array, META, "float32").shape == (300, 1)
    assert reads == [(300, 1)]


def test_logits_are_read_once(reads, tmp_path):  # noqa: F811
    clips = Clips(write_prepared(tmp_path, 600), np.arange(600), META, resident=True)
    trainer = SimpleNamespace(
        model=Mean().to(META), skeleton=load_skeleton("ntu25"), device=META, settings={"precision": "float32"}
    )
    assert _logits(trainer, clips, "joint").shape == (600, 1)
    assert reads == [(600, 1)]
