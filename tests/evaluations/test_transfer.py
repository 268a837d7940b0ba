"""Evaluation on another dataset or split than that of the pretraining: what the plan asks for, and what is tested."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config_support import changed, tiny
from ikem.errors import InputError
from ikem.evaluations.rows import read_labels
from ikem.settings.loading import build_config
from ikem.workflow.plan import Job, Plan

OTHER = {"other": tiny()["datasets"]["tiny"] | {"title": "Other"}}


def evaluation(entry: dict[str, Any], datasets: dict[str, Any] = OTHER, method: str = "random") -> Job:
    """The job of an evaluation of a method that is pretrained on tiny xsub."""
    values = tiny()
    values["datasets"] |= datasets
    values["evaluations"] = {"linear": tiny()["evaluations"]["linear"], "moved": entry}
    values["benchmark"] = [{"dataset": "tiny", "protocols": ["xsub"], "methods": [method], "evaluations": ["moved"]}]
    (job,) = Plan(build_config(values)).evaluation_jobs()
    return job


def keys_of(job: Job) -> dict[str, str]:
    return dict(job.name.keys)


@pytest.mark.parametrize("kind", ["linear", "knn", "few_shot", "linear_grid"])
def test_frozen_encoders_embed_the_other_dataset(kind: str) -> None:
    job = evaluation({"kind": kind, "target": {"dataset": "other", "protocol": "swapped"}})
    assert keys_of(job.inputs["prepared"]) == {"dataset": "other"}
    assert keys_of(job.inputs["split"]) == {"dataset": "other", "protocol": "swapped"}
    embed = job.inputs["embeddings"]
    assert embed.name.kind == "embed_target"
    assert str(embed.output) == "results/tiny/xsub/seed0/embed_target/random/other/swapped/embeddings.safetensors"
    assert keys_of(embed.inputs["modality_joint"]) == {"dataset": "other", "modality": "joint"}
    assert keys_of(embed.inputs["state_joint"])["dataset"] == "tiny"
    assert keys_of(embed.inputs["split"]) == {"dataset": "other", "protocol": "swapped"}  # to standardize over


def test_nothing_is_trained_for_it_but_the_evaluation() -> None:
    moved = evaluation({"kind": "linear", "target": {"dataset": "other", "protocol": "xsub"}}, method="ikem-3")
    here = evaluation({"kind": "linear"}, method="ikem-3")
    states = {name: job.digest for name, job in here.inputs["embeddings"].inputs.items() if name.startswith("state")}
    assert len(states) == 3
    assert states.items() <= {name: job.digest for name, job in moved.inputs["embeddings"].inputs.items()}.items()


def test_fine_tuning_on_the_other_dataset() -> None:
    target = {"dataset": "other", "protocol": "xsub"}
    job = evaluation({"kind": "finetune", "fraction": 0.5, "target": target}, method="ikem-3")
    assert keys_of(job.inputs["prepared"]) == {"dataset": "other"}
    assert keys_of(job.inputs["label_subset_0"])["dataset"] == "other"
    assert keys_of(job.inputs["state_joint"])["dataset"] == "tiny"
    assert keys_of(job.inputs["pretraining_split"]) == {"dataset": "tiny", "protocol": "xsub"}


def test_without_a_target_nothing_has_changed() -> None:
    job = evaluation({"kind": "linear"})
    assert "pretraining" not in job.inputs and "target" not in job.settings["options"]
    assert job.inputs["embeddings"].name.kind == "embed"


def test_every_transfer_knows_the_clips_of_the_pretraining() -> None:
    """The rule cannot be forgotten by an evaluation: the plan hands the clips to whatever has a target."""
    for kind in ("linear", "knn", "finetune", "few_shot", "linear_grid"):
        job = evaluation({"kind": kind, "target": {"dataset": "tiny", "protocol": "swapped"}})
        assert keys_of(job.inputs["pretraining"]) == {"dataset": "tiny"}
        assert keys_of(job.inputs["pretraining_split"]) == {"dataset": "tiny", "protocol": "xsub"}


@pytest.mark.parametrize(
    ("target", "other", "message"),
    [
        ({"dataset": "mars", "protocol": "xsub"}, {}, "evaluations.moved.target.dataset: 'mars' is not known"),
        ({"dataset": "other", "protocol": "xset"}, {}, "evaluations.moved.target.protocol: 'xset' is not known"),
        ({"dataset": "tiny", "protocol": "xsub"}, {}, "which the encoders are pretrained on"),
        ({"dataset": "nwucla", "protocol": "xsub"}, {}, "whose skeleton is kinect20; that of tiny is ntu25"),
        ({"dataset": "other", "protocol": "xsub"}, {"prepare": {"frames": 20}}, "whose prepare is frames=20"),
    ],
)
def test_refused(target: dict[str, str], other: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        evaluation({"kind": "knn", "target": target}, {"other": OTHER["other"] | other})
    assert message in str(error.value)


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Path, Path]:
    """Ten clips of labels 0 to 4; the first six train."""
    lines = [f"clip {number},{number % 5},1,30" for number in range(10)]
    (tmp_path / "samples.csv").write_text("\n".join(["name,label,bodies,frames", *lines]) + "\n")
    (tmp_path / "split.json").write_text(json.dumps({"train": [*range(6)], "test": [*range(6, 10)], "complete": True}))
    return tmp_path / "position.npy", tmp_path / "split.json"


def test_clips_of_the_pretraining_are_not_tested(clips: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ikem"):
        labels = read_labels(*clips, pretraining={"clip 1", "clip 7", "clip 9", "another"})
    assert labels.test.tolist() == [6, 8]
    assert labels.train.tolist() == [0, 1, 2, 3, 4, 5]  # clips that train may have been seen
    assert not labels.complete
    assert "2 of 4 test clips are left out: pretraining has seen them" in caplog.text
    assert read_labels(*clips, pretraining={"another"}).complete


def test_where_all_was_seen_nothing_is_tested(clips: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="pretraining has seen every clip that tests"):
        read_labels(*clips, pretraining={f"clip {number}" for number in range(6, 10)})


def test_chosen_classes(clips: tuple[Path, Path]) -> None:
    labels = read_labels(*clips, classes=[4, 1])
    assert labels.columns.tolist() == [4, 1] and labels.classes == 2
    assert (labels.train.tolist(), labels.test.tolist()) == ([1, 4], [6, 9])
    assert labels.labels[labels.test].tolist() == [1, 0]
    assert read_labels(*clips).columns.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="no clip of the classes that are tested tests"):
        read_labels(*clips, classes=[0, 90])
    np.testing.assert_array_equal(read_labels(*clips).labels, np.arange(10) % 5)


def test_a_target_is_a_mapping() -> None:
    with pytest.raises(InputError, match=r"evaluations\.transfer\.target\.protocol: is missing"):
        build_config(changed("evaluations.transfer.target", {"dataset": "tiny"}))
