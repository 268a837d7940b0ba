"""Configs: what is laid over what, and one line for each fault that names the key, the value and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config_support import changed
from helpers import ROOT
from ikem.errors import InputError
from ikem.modalities import MODALITIES
from ikem.schema import ModalityName
from ikem.settings.benchmark import Config
from ikem.settings.loading import build_config, load_config

CONFIGS = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path: Path) -> None:
    assert load_config(path).benchmark


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("sedes", [0], ["sedes: unknown key", "[0]", "seeds"]),
        ("seeds", "zero", ["seeds: 'zero'", "tuple"]),
        ("recipes.tiny.schedule.epoch", 3, ["recipes.tiny.schedule.epoch: unknown key", "epochs"]),
        ("recipes.tiny.schedule.epochs", "many", ["recipes.tiny.schedule.epochs: 'many'", "integer"]),
        ("recipes.tiny.schedule.epochs", 0, ["recipes.tiny.schedule.epochs: 0", "greater than or equal to 1"]),
        ("recipes.tiny.stage1_epochs", 9, ["recipes.tiny", "stage1_epochs must be less than schedule.epochs (4)"]),
        ("recipes.tiny.contrast.temperature", 0.001, ["temperature: 0.001", "0.025"]),
        ("methods.ikem-3.modalities", ["joint", "joints"], ["methods.ikem-3.modalities.1: 'joints'", "'motion'"]),
        ("methods.ikem-3.modalities", ["joint", "joint"], ["methods.ikem-3", "differ"]),
        ("methods.ikem-3.modalities", ["joint"], ["methods.ikem-3", "two or more"]),
        ("methods.ikem-3.recipe", "huge", ["methods.ikem-3.recipe: 'huge'", "published, tiny"]),
        ("methods.student.teacher", "nobody", ["methods.student.teacher: 'nobody'", "ikem-6"]),
        ("methods.student.teacher", "random", ["methods.student.teacher: 'random'", "skeletonclr"]),
        ("methods.other", {"kind": "magic"}, ["methods.other.kind: 'magic'", "'ikem'"]),
        ("methods.other", {"modalities": ["joint"]}, ["methods.other.kind", "'ikem'"]),
        ("evaluations.semi-10.fraction", 1.5, ["evaluations.semi-10.fraction: 1.5", "less than 1"]),
        ("benchmark.0.dataset", "moon", ["benchmark.0.dataset: 'moon'", "tiny"]),
        ("benchmark.0.protocols", ["xset"], ["benchmark.0.protocols: 'xset'", "xsub"]),
        ("benchmark.0.methods", ["ikem-9"], ["benchmark.0.methods: 'ikem-9'", "ikem-6"]),
        ("benchmark.0.evaluations", ["lineal"], ["benchmark.0.evaluations: 'lineal'", "linear"]),
        ("benchmark", [], ["benchmark: []", "at least 1"]),
        ("datasets.tiny.protocols.xsub.test", [1], ["datasets.tiny.protocols.xsub.test: [1]", "not in train"]),
        ("datasets.tiny.protocols.xsub.train", [], ["datasets.tiny.protocols.xsub.train: []", "at least 1"]),
        ("datasets.tiny.synthetic.colour", 1, ["datasets.tiny.synthetic.colour: unknown key", "performers"]),
        ("datasets.; touch x", {}, ["datasets", "letters"]),
        ("datasets.empty", {"title": "E", "format": "ntu"}, ["datasets.empty.skeleton: is missing"]),
        ("compute.device", "tpu", ["compute.device: 'tpu'", "'cuda'"]),
    ],
)
def test_faults_are_told_in_one_line(path: str, value: Any, told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build_config(changed(path, value), location="tiny.yaml")
    lines = [line for line in str(caught.value).splitlines() if told[0] in line]
    assert lines, str(caught.value)
    assert str(caught.value).startswith("tiny.yaml: ")
    for part in told:
        assert part in lines[0]


def test_every_fault_is_told() -> None:
    values = changed("seeds", "zero")
    values["methods"]["ikem-3"]["top_k"] = 0
    with pytest.raises(InputError) as caught:
        build_config(values)
    assert "seeds" in str(caught.value)
    assert "methods.ikem-3.top_k" in str(caught.value)


def test_a_config_changes_single_keys_of_the_library() -> None:
    config = build_config(changed("methods.ikem-6", {"top_k": 3}))
    method = config.methods["ikem-6"]
    assert method.kind == "ikem"
    assert method.top_k == 3
    assert method.modalities == tuple(MODALITIES)


def test_published_protocol_is_the_default() -> None:
    recipe = load_config(CONFIGS[0].with_name("ntu60.yaml")).recipes["published"]
    assert (recipe.contrast.queue_size, recipe.contrast.key_momentum, recipe.contrast.temperature) == (
        32768,
        0.999,
        0.07,
    )
    schedule = recipe.schedule
    assert (schedule.epochs, recipe.stage1_epochs, schedule.decay_after) == (300, 150, 250)
    assert (schedule.batch_size, schedule.learning_rate, schedule.momentum) == (128, 0.1, 0.9)
    assert schedule.weight_decay == 1e-4
    assert (recipe.encoder.hidden_channels, recipe.encoder.hidden_dim, recipe.encoder.feature_dim) == (16, 256, 128)


def test_every_key_is_described() -> None:
    schema = Config.model_json_schema()
    for name, section in schema["$defs"].items():
        for key, value in section.get("properties", {}).items():
            told = "description" in value or "$ref" in value or "const" in value or "anyOf" in value
            assert told, f"{name}.{key} has no description"


def test_modality_names_are_the_registry() -> None:
    from typing import get_args

    assert list(get_args(ModalityName)) == list(MODALITIES)


@pytest.mark.parametrize("text", ["a: [1", "- 1", "", "!!python/object/apply:os.system ['touch x']", "\x00"])
def test_unreadable_files_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"broken\.yaml"):
        load_config(path)
    with pytest.raises(InputError, match=r"absent\.yaml"):
        load_config(tmp_path / "absent.yaml")
