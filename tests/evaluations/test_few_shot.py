"""Few-shot and grid evaluations against plain transcriptions."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from config_support import changed
from ikem.errors import InputError
from ikem.evaluations.few_shot import run as few_shot
from ikem.evaluations.few_shot.run import exemplars
from ikem.evaluations.linear.classifiers import linear_evaluation
from ikem.evaluations.linear_grid import run as linear_grid
from ikem.evaluations.rows import Labels, read_labels
from ikem.evaluations.task import EmbeddingTask
from ikem.settings.loading import build_config

NAMES = np.array([f"clip {number}" for number in range(60)], object)
LABELS = np.arange(60) % 5
EMBEDDINGS = torch.randn(2, 60, 6, generator=torch.Generator().manual_seed(0))


def task(options: dict[str, Any], labels: np.ndarray = LABELS, classes: int = 5) -> EmbeddingTask:
    train, test = np.arange(0, 60, 2), np.arange(1, 60, 2)
    train, test = train[labels[train] >= 0], test[labels[test] >= 0]
    found = Labels(train, test, NAMES, labels, np.arange(classes), True)
    return EmbeddingTask(options, ["joint", "bone"], EMBEDDINGS, found, 0, lambda: None)


def plain_exemplars(shots: int, number: int) -> list[int]:
    """Indices among the training clips (the even ones)."""
    chosen = []
    for label in range(5):
        clips = [index for index in range(30) if LABELS[2 * index] == label]
        clips.sort(key=lambda index: hashlib.sha256(f"{number}/clip {2 * index}".encode()).digest())
        chosen += clips[:shots]
    return sorted(chosen)


@pytest.mark.parametrize(("shots", "number"), [(1, 0), (1, 7), (3, 0), (100, 1)])
def test_exemplars(shots: int, number: int) -> None:
    train = np.arange(0, 60, 2)
    assert exemplars(list(NAMES[train]), LABELS[train], shots, number).tolist() == plain_exemplars(shots, number)


def test_exemplars_do_not_depend_on_the_order_of_the_table_and_few_are_among_many() -> None:
    order = np.random.default_rng(0).permutation(60)
    one = {NAMES[index] for index in exemplars(list(NAMES), LABELS, 2, 5)}
    other = {NAMES[order][index] for index in exemplars(list(NAMES[order]), LABELS[order], 2, 5)}
    assert one == other
    assert one < {NAMES[index] for index in exemplars(list(NAMES), LABELS, 4, 5)}
    assert one != {NAMES[index] for index in exemplars(list(NAMES), LABELS, 2, 6)}


def test_the_class_of_the_nearest_exemplar() -> None:
    options = {"kind": "few_shot", "classes": None, "shots": [1, 3], "exemplar_sets": [0, 4], "k": 1}
    found = list(few_shot.evaluate(task(options)))
    assert [(len(each.modalities), each.label_subset, each.condition) for each in found] == [
        (streams, number, condition)
        for condition in ("1 exemplar", "3 exemplars")
        for number in (0, 4)
        for streams in (1, 1, 2)
    ]
    assert {each.train_clips for each in found[:6]} == {5} and found[-1].train_clips == 15
    for outcome, shots in ((found[1], 1), (found[5], 1), (found[-1], 3)):
        assert outcome.label_subset is not None
        known = [2 * index for index in plain_exemplars(shots, outcome.label_subset)]
        streams = [["joint", "bone"].index(name) for name in outcome.modalities]
        for query, scores in zip(range(1, 60, 2), outcome.scores, strict=True):
            cosines = [
                np.mean(
                    [float(torch.cosine_similarity(EMBEDDINGS[s, query], EMBEDDINGS[s, key], dim=0)) for s in streams]
                )
                for key in known
            ]
            assert scores.argmax() == LABELS[known[int(np.argmax(cosines))]]


def test_only_chosen_classes_are_known() -> None:
    """Labels 3 and 1 are columns 0 and 1; clips of others are neither exemplars nor tested."""
    column = np.full(5, -1)
    column[[3, 1]] = [0, 1]
    options = {"kind": "few_shot", "classes": [3, 1], "shots": [2], "exemplar_sets": [0], "k": 1}
    found = list(few_shot.evaluate(task(options, column[LABELS], 2)))
    assert found[0].scores.shape == (12, 2)
    assert found[0].train_clips == 4


@pytest.mark.parametrize("complete", [True, False])
def test_chosen_classes_must_be_there(tmp_path: Path, complete: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Else the task is easier than its title says; of a split that lacks clips, which tables mark, it is a warning."""
    rows = "".join(f"clip{number},{number % 3},1,1\n" for number in range(12))
    (tmp_path / "samples.csv").write_text("name,label,frames,bodies\n" + rows)
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": [*range(6)], "test": [*range(6, 12)], "complete": complete}))
    assert read_labels(tmp_path / "position.npy", split, [2, 0]).classes == 2
    if complete:
        with pytest.raises(InputError, match=r"split\.json: no clip of class 3 trains, or none tests"):
            read_labels(tmp_path / "position.npy", split, [2, 3])
    else:
        assert read_labels(tmp_path / "position.npy", split, [2, 3]).classes == 2
        assert "classes without a training or a test clip: 3" in caplog.text


def test_each_probe_of_a_grid_is_a_linear_evaluation() -> None:
    schedule = {
        "epochs": 3, "decay": {"kind": "step", "epoch": None, "factor": 0.1}, "batch_size": 9, "weight_decay": 0.0,
        "learning_rate": 9.0, "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": False},
    }  # fmt: skip
    given = task({"schedule": schedule, "batch_sizes": [4, 8], "learning_rates": [0.1, 1.0]})
    found = list(linear_grid.evaluate(given))
    conditions = [f"batch {batch}, rate {rate}" for batch in (4, 8) for rate in ("0.1", "1")]
    assert [each.condition for each in found] == [name for name in conditions for _ in range(3)]
    expected = linear_evaluation(
        given.train, given.train_labels, given.test, given.test_labels, 5,
        schedule | {"batch_size": 8, "learning_rate": 0.1}, 0,
    )  # fmt: skip
    np.testing.assert_array_equal(found[6].scores, expected.single[0])
    np.testing.assert_array_equal(found[8].scores, expected.fused)
    assert (found[0].scores != found[6].scores).any()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("evaluations.few-shot.classes", [1]),
        ("evaluations.few-shot.classes", [1, 1]),
        ("evaluations.few-shot.shots", [0]),
        ("evaluations.linear-grid.learning_rates", [1.0, 1.0]),
        ("evaluations.linear-grid.batch_sizes", []),
    ],
)
def test_options_that_are_refused(path: str, value: Any) -> None:
    with pytest.raises(InputError, match=path.replace(".", r"\.")):
        build_config(changed(path, value))
