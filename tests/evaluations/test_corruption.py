"""Corruption of test clips against plain loops, statistics and cases with a known answer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from config_support import changed
from ikem.errors import InputError
from ikem.evaluations.corruption.corrupt import PARTS, corrupt, joints_of
from ikem.evaluations.corruption.evaluation import Corruption
from ikem.evaluations.corruption.run import evaluate
from ikem.evaluations.linear.classifiers import linear_evaluation
from ikem.evaluations.linear.evaluation import CLASSIFIERS
from ikem.evaluations.rows import Labels, kept_path
from ikem.evaluations.task import FrozenEncoderTask
from ikem.seeding import seed_for
from ikem.settings.loading import build_config
from ikem.skeleton import known_skeletons, load_skeleton
from ikem.training.checkpoint import save_tensors

NTU = load_skeleton("ntu25")
NAMES = [f"clip {number}" for number in range(6)]
CLIPS = np.random.default_rng(0).normal(size=(6, 3, 20, 25, 2)).astype(np.float32)
CLIPS[2, ..., 1] = 0  # one body
CLIPS[4, :, 10:, :, 1] = 0  # the second body leaves


def given(**values: Any) -> Any:
    return TypeAdapter(Corruption).validate_python(values)


EACH = [
    given(kind="none"),
    given(kind="part", part="left arm"),
    given(kind="time", share=0.3),
    given(kind="joints", probability=0.2),
    given(kind="jitter", probability=0.3, deviation=0.1),
]


def plain(clip: np.ndarray, name: str, item: Any, seed: int) -> np.ndarray:
    """One number at a time; the generator of the clip is asked in the order of frames, joints, bodies."""
    result, generator = clip.copy(), np.random.default_rng(seed_for(seed, "corruption", item.kind, name))
    _, frames, joints, bodies = clip.shape
    if item.kind == "time":
        length = max(1, round(item.share * frames))
        first = int(generator.random() * (frames - length + 1))
    draws = [generator.random() for _ in range(frames * joints * bodies)] if item.kind in ("joints", "jitter") else []
    moves = [generator.standard_normal() for _ in draws] if item.kind == "jitter" else []
    number = 0
    for frame in range(frames):
        for joint in range(joints):
            for body in range(bodies):
                absent = not clip[:, frame, :, body].any()
                for axis in range(3):
                    if item.kind == "part" and NTU.joints[joint] in PARTS[item.part]:
                        result[axis, frame, joint, body] = 0
                    if item.kind == "time" and first <= frame < first + length:
                        result[axis, frame, joint, body] = 0
                    if item.kind == "joints" and draws[number] < item.probability:
                        result[axis, frame, joint, body] = 0
                    if item.kind == "jitter" and draws[number] < item.probability and not absent:
                        result[axis, frame, joint, body] += item.deviation * moves[number]
                number += 1
    return result


@pytest.mark.parametrize("item", EACH, ids=lambda item: item.kind)
def test_plain_loops(item: Any) -> None:
    expected = [plain(clip, name, item, 3) for clip, name in zip(CLIPS, NAMES, strict=True)]
    before = CLIPS.copy()
    np.testing.assert_allclose(corrupt(CLIPS, NAMES, item, NTU, 3), expected, rtol=1e-6, atol=1e-6)
    assert (before == CLIPS).all()


@pytest.mark.parametrize("item", EACH, ids=lambda item: item.kind)
def test_draws_depend_on_the_clip_and_the_seed_alone(item: Any) -> None:
    """Not on which clips come before it, nor on their number."""
    together = corrupt(CLIPS, NAMES, item, NTU, 3)
    assert (corrupt(CLIPS[4:5], NAMES[4:5], item, NTU, 3)[0] == together[4]).all()
    if item.kind not in ("none", "part"):
        assert (corrupt(CLIPS, NAMES, item, NTU, 4) != together).any()
        assert (corrupt(CLIPS, [*NAMES[1:], "another"], item, NTU, 3) != together).any()


def test_the_published_parts_of_the_ntu_skeleton() -> None:
    """Joints counted from 1, as Song et al. 2021 list them."""
    published = {
        "left arm": {5, 6, 7, 8, 22, 23},
        "right arm": {9, 10, 11, 12, 24, 25},
        "two hands": {22, 23, 24, 25},
        "two legs": set(range(13, 21)),
        "trunk": {1, 2, 3, 4, 21},
    }
    assert {part: {number + 1 for number in joints_of(part, NTU)} for part in PARTS} == published


def test_parts_name_joints_that_exist() -> None:
    known = {joint for name in known_skeletons() for joint in load_skeleton(name).joints}
    assert {joint for part in PARTS.values() for joint in part} <= known
    with pytest.raises(InputError, match="kinect20 has no joint of the two hands"):
        joints_of("two hands", load_skeleton("kinect20"))


def test_shares_and_spreads() -> None:
    clips = np.ones((40, 3, 50, 25, 2), np.float32)
    names = [str(number) for number in range(40)]
    missing = corrupt(clips, names, given(kind="joints", probability=0.2), NTU, 0) == 0
    assert missing.mean() == pytest.approx(0.2, abs=0.005)
    assert (missing == missing[:, :1]).all()  # x, y and z together
    moves = corrupt(clips, names, given(kind="jitter", probability=0.1, deviation=0.05), NTU, 0) - clips
    assert (moves[:, 0] != 0).mean() == pytest.approx(0.1, abs=0.005)
    assert moves[moves != 0].std() == pytest.approx(0.05, rel=0.03)
    np.testing.assert_array_equal(moves[:, 0], moves[:, 2])
    block = corrupt(clips, names, given(kind="time", share=0.4), NTU, 0)[:, 0, :, 0, 0] == 0
    assert (block.sum(axis=1) == 20).all()
    starts = block.argmax(axis=1)
    assert all(row[start : start + 20].all() for row, start in zip(block, starts, strict=True))
    assert starts.min() < 5 and starts.max() > 25


def test_a_weak_corruption_is_part_of_a_strong_one() -> None:
    weak, strong = (corrupt(CLIPS, NAMES, given(kind="joints", probability=share), NTU, 0) == 0 for share in (0.1, 0.4))
    assert (strong | ~weak).all() and strong.sum() > weak.sum()


def test_absent_bodies_stay_absent() -> None:
    moved = corrupt(CLIPS, NAMES, given(kind="jitter", probability=1.0, deviation=0.5), NTU, 0)
    assert not moved[2, ..., 1].any() and not moved[4, :, 10:, :, 1].any()
    assert (moved[2, ..., 0] != CLIPS[2, ..., 0]).all()


def test_extremes() -> None:
    assert (corrupt(CLIPS, NAMES, given(kind="joints", probability=0.0), NTU, 0) == CLIPS).all()
    assert not corrupt(CLIPS, NAMES, given(kind="joints", probability=1.0), NTU, 0).any()
    assert not corrupt(CLIPS, NAMES, given(kind="time", share=1.0), NTU, 0).any()


SCHEDULE = {"epochs": 3, "decay": {"kind": "step", "epoch": None, "factor": 0.1}, "batch_size": 4, "weight_decay": 0.0,
            "learning_rate": 0.5, "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": False}}  # fmt: skip


def test_classifiers_of_the_linear_evaluation_are_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedding is the clip itself: untouched clips score as in the linear evaluation, empty ones have the bias."""

    monkeypatch.setattr("ikem.evaluations.corruption.run._CHUNK", 2)
    asked = []

    def embed(position: np.ndarray, indices: np.ndarray) -> torch.Tensor:
        asked.append(indices.tolist())
        flat = torch.from_numpy(position).flatten(1)
        return torch.stack([flat, 2 * flat])

    labels = Labels(np.arange(3), np.arange(3, 6), np.array(NAMES, object), np.arange(6) % 3, np.arange(3), True)
    all_clips = embed(CLIPS[3:], np.arange(3, 6))
    train = torch.stack([torch.from_numpy(CLIPS[:3]).flatten(1)] * 2)
    wanted = torch.from_numpy(labels.labels[:3])
    result = linear_evaluation(train, wanted, all_clips, wanted, 3, SCHEDULE, seed=0)
    path = tmp_path / "linear.json"
    save_tensors(kept_path(path, CLASSIFIERS), result.classifiers, {"modalities": ["joint", "bone"]})
    options = {
        "kind": "corruption",
        "classifier": "linear",
        "corruptions": [{"kind": "none"}, {"kind": "joints", "probability": 1.0}, {"kind": "time", "share": 0.5}],
    }
    asked.clear()
    task = FrozenEncoderTask(
        options, ["joint", "bone"], CLIPS, labels, NTU, embed, {"classifier": path}, 0, lambda: None
    )
    found = {(len(each.modalities), each.modalities[0], each.condition): each.scores for each in evaluate(task)}
    assert len(found) == 9 and asked == [[3, 4], [5]] * 3
    halved = embed(corrupt(CLIPS[3:], NAMES[3:], given(kind="time", share=0.5), NTU, 0), np.arange(3, 6))
    weight, bias = (result.classifiers[f"single.{name}"][1] for name in ("weight", "bias"))
    np.testing.assert_allclose(found[1, "bone", "50 % of the frames"], halved[1] @ weight + bias, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(found[1, "bone", "none"], result.single[1])
    np.testing.assert_array_equal(found[2, "joint", "none"], result.fused)
    bias = result.classifiers["single.bias"][0, 0]
    np.testing.assert_allclose(found[1, "joint", "100 % of the joints"], np.stack([bias] * 3), rtol=1e-6)
    with pytest.raises(InputError, match="classifiers of other modalities"):
        list(evaluate(dataclasses.replace(task, modalities=["joint", "motion"])))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("evaluations.occlusion.classifier", "knn-1", "'knn-1' is no entry of kind linear with the same target"),
        ("evaluations.occlusion.classifier", "transfer", "'transfer' is no entry of kind linear with the same target"),
        ("evaluations.occlusion.corruptions", [{"kind": "none"}] * 2, "corruptions: they must differ"),
        ("evaluations.occlusion.corruptions.1.part", "left ear", "'left ear' is not known"),
    ],
)
def test_faults_of_options(path: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        build_config(changed(path, value))
    assert message in str(error.value)
