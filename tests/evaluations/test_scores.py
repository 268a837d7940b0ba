"""Scores of single clips: what is kept, what is refused, and fusion of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ikem.cli import app
from ikem.errors import InputError
from ikem.evaluations.metrics import CLASSIFICATION, classification
from ikem.evaluations.rows import Labels, Rows
from ikem.evaluations.scores import fuse, read_scores, row_key, scores_path
from ikem.evaluations.task import Outcome
from ikem.training.checkpoint import save_tensors
from job_support import Workshop

NAMES = {"dataset": "demo", "protocol": "xsub", "method": "m", "seed": 0, "evaluation": "e"}


def written(folder: Path, outcomes: list[Outcome], classes: int = 7, clips: int = 60) -> Path:
    """Clips 0 to 9 train, the others test in the order of their numbers."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, clips + 10)
    labels[-1] = classes - 1
    names = np.array([f"clip {number}" for number in range(len(labels))], object)
    rows = Rows(NAMES, Labels(np.arange(10), np.arange(10, clips + 10), names, labels, np.arange(classes), True))
    for outcome in outcomes:
        rows.add(outcome)
    path = folder / "e.json"
    assert {file.name for file in rows.write(path)} == {"e.confusion.npz", "e.scores.safetensors"}
    return path


def streams(count: int = 60, classes: int = 7) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {
        name: (8 * generator.normal(size=(count, classes))).astype(np.float32) for name in ("joint", "motion", "bone")
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_are_kept_to_the_last_bit(tmp_path: Path, dtype: type) -> None:
    """Large and close scores keep the ranks of all classes, on which top-5 depends."""
    given = (1e6 + np.random.default_rng(2).normal(size=(60, 7))).astype(dtype)
    path = written(tmp_path, [Outcome(["joint"], given)])
    found = read_scores(path)
    assert found.scores["joint"].dtype == dtype
    np.testing.assert_array_equal(found.scores["joint"], given)
    (row,) = json.loads(path.read_text())["rows"]
    assert row["metrics"] == classification(given, found.labels)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_scores_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    scores = streams()["joint"]
    scores[3, 2] = value
    with pytest.raises(InputError, match="diverged"):
        written(tmp_path, [Outcome(["joint"], scores)])


def test_scores_are_read_with_names_and_labels(tmp_path: Path) -> None:
    given = streams()
    path = written(tmp_path, [Outcome([name], scores, label_subset=2) for name, scores in given.items()])
    found = read_scores(path)
    assert found.names == [f"clip {number}" for number in range(10, 70)]
    assert found.classes.tolist() == list(range(7))
    assert set(found.scores) == {"joint.subset2", "motion.subset2", "bone.subset2"}
    for name, scores in given.items():
        np.testing.assert_array_equal(found.scores[row_key(name, 2)], scores)
    again = read_scores(scores_path(path))
    assert (again.labels == found.labels).all() and again.names == found.names


def test_metrics_of_a_row_are_those_of_its_kept_scores(tmp_path: Path) -> None:
    path = written(tmp_path, [Outcome([name], scores) for name, scores in streams().items()])
    found = read_scores(path)
    rows = json.loads(path.read_text())["rows"]
    assert len(rows) == 3
    for row in rows:
        assert classification(found.scores[row["streams"]], found.labels) == row["metrics"]


def test_equal_weights_give_the_fused_row(tmp_path: Path) -> None:
    given = streams()
    fused = np.mean(list(given.values()), axis=0, dtype=np.float64)
    path = written(tmp_path, [*(Outcome([n], s) for n, s in given.items()), Outcome(list(given), fused)])
    found = read_scores(path)
    recomputed = fuse(found.scores, dict.fromkeys(given, 1 / 3))
    np.testing.assert_allclose(recomputed, found.scores["joint+motion+bone"], rtol=1e-6)
    row = json.loads(path.read_text())["rows"][-1]
    assert row["streams"] == "joint+motion+bone"
    assert classification(recomputed, found.labels) == row["metrics"]


def test_weighted_fusion_is_the_weighted_sum() -> None:
    given = {
        "joint": np.array([[1.0, 0.0, 0.0]]),
        "motion": np.array([[0.0, 1.0, 0.0]]),
        "bone": np.array([[0, 0, 2.0]]),
    }
    assert fuse(given, {"joint": 0.6, "motion": 0.6, "bone": 0.4}).tolist() == [[0.6, 0.6, 0.8]]
    assert fuse(given, {"bone": -1.0}).tolist() == [[0, 0, -2.0]]


@pytest.mark.parametrize("weights", [{}, {"joint": 0.0}, {"joint": float("nan")}, {"joint": 1.0, "lips": 1.0}])
def test_fusion_of_nothing_is_refused(weights: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"weights must be finite|no scores of lips"):
        fuse({"joint": np.zeros((1, 2))}, weights)


@pytest.mark.parametrize("damage", ["a bit", "an end", "everything", "gone", "another file"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    path = written(tmp_path, [Outcome([name], scores) for name, scores in streams().items()])
    file = scores_path(path)
    content = bytearray(file.read_bytes())
    if damage == "a bit":
        content[-5] ^= 1
    elif damage == "an end":
        del content[-20:]
    elif damage == "everything":
        content = bytearray(b"no scores")
    if damage == "another file":
        save_tensors(file, {}, {"names": []})
    elif damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_scores(path)
    assert error.value.location == str(file)


def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    for name, shape in (("labels", (2,)), ("scores/joint", (3, 5)), ("scores/joint", (2, 4))):
        tensors = {
            "labels": torch.zeros(3).long(),
            "classes": torch.arange(4),
            "scores/joint": torch.zeros(3, 4).half(),
        }
        save_tensors(tmp_path / "e.scores.safetensors", tensors | {name: torch.zeros(shape)}, {"names": [*"abc"]})
        with pytest.raises(InputError, match="do not fit together"):
            read_scores(tmp_path / "e.json")


@pytest.mark.parametrize(
    ("changes", "names", "message"),
    [
        ({"labels": torch.tensor([0, 1, 4])}, [*"abc"], "labels are not numbers from 0 to 3"),
        ({"labels": torch.tensor([0, -1, 3])}, [*"abc"], "labels are not numbers from 0 to 3"),
        ({"labels": torch.zeros(3)}, [*"abc"], "labels are not numbers"),
        ({"scores/joint": torch.zeros(3, 4).bfloat16()}, [*"abc"], "unsupported ScalarType BFloat16"),
        ({"scores/joint": torch.zeros(3, 4) > 0}, [*"abc"], "no floating-point numbers"),
        ({}, [["a"], "b", "c"], "clips have no names"),
        ({"labels": torch.zeros(0).long(), "scores/joint": torch.zeros(0, 4)}, [], "clips have no names"),
    ],
)
def test_scores_that_nothing_can_be_computed_from_are_refused(tmp_path: Path, changes, names, message) -> None:
    """In a file that somebody else wrote, with the digest that it should have."""
    tensors = {
        "labels": torch.tensor([0, 1, 3]),
        "classes": torch.arange(4),
        "scores/joint": torch.zeros(3, 4),
    }
    save_tensors(tmp_path / "e.scores.safetensors", tensors | changes, {"names": names})
    with pytest.raises(InputError, match=message):
        read_scores(tmp_path / "e.json")


def test_the_fusion_of_a_real_evaluation_follows_from_its_streams(workshop: Workshop) -> None:
    """Of fine-tuning, whose fusion is the mean of separately trained streams; and the command prints its metrics."""
    job = workshop.job("finetune", method="ikem-3")
    record = json.loads(job.record.read_text())
    assert "finetune.scores.safetensors" in record["outputs"]
    found = read_scores(job.output)
    test = json.loads((workshop.results / "tiny" / "splits" / "xsub.json").read_text())["test"]
    samples = (workshop.results / "tiny" / "prepared" / "samples.csv").read_text().splitlines()[1:]
    assert found.names == [samples[number].split(",")[0] for number in test]
    (row,) = (row for row in json.loads(job.output.read_text())["rows"] if "+" in row["streams"])
    equal = dict.fromkeys(row["streams"].split("+"), 1.0)
    again = classification(fuse(found.scores, equal), found.labels)
    assert again == {name: row["metrics"][name] for name in CLASSIFICATION}
    printed = CliRunner().invoke(app, ["fuse", str(job.output), *(f"{name}=1" for name in equal)])
    assert printed.exit_code == 0
    assert f"Top-1                {row['metrics']['top1']:.2f}" in printed.stdout
    twice = CliRunner().invoke(app, ["fuse", str(job.output), "joint=0.6", "joint=0.4"])
    assert isinstance(twice.exception, InputError) and "must name each stream once" in str(twice.exception)
