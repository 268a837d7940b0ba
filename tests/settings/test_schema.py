"""The schema that editors check a config by: in step with the code, and neither stricter nor looser than loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from config_support import changed
from helpers import ROOT, TINY
from ikem.cli import app
from ikem.errors import InputError
from ikem.settings.config_schema import config_schema
from ikem.settings.loading import build_config, load_config

CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
STORED = (ROOT / "config" / "schema.json").read_text()
VALIDATOR = Draft202012Validator(json.loads(STORED))


def test_the_stored_schema_is_in_step() -> None:
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    assert result.stdout == STORED, "run: make schema"
    Draft202012Validator.check_schema(json.loads(STORED))


@pytest.mark.parametrize("path", [*CONFIGS, TINY], ids=lambda path: path.stem)
def test_configs_fit_the_schema(path: Path) -> None:
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(path.read_text())))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_name_the_schema(path: Path) -> None:
    prefix, location = path.read_text().splitlines()[0].split("=")
    assert prefix == "# yaml-language-server: $schema"
    assert (path.parent / location).read_text() == STORED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sedes", [0]),
        ("recipes.tiny.schedule.epoch", 3),
        ("recipes.tiny.schedule.epochs", "many"),
        ("recipes.tiny.schedule.epochs", 0),
        ("recipes.tiny.contrast.temperature", 0.001),
        ("methods.ikem-3.modalities", ["joint", "joints"]),
        ("methods.ikem-3.kind", "ikam"),
        ("methods.mine", {"kind": "random_init", "modalities": ["joint"], "explicit": True}),
        ("methods.a name", {"kind": "random_init", "modalities": ["joint"]}),
        ("recipes.tiny.contrast.queue_size", 1_000_001),
        ("recipes.tiny.schedule.learning_rate", 1e308),
        ("compute.train.gpu", 2),
        ("evaluations.linear.k", 3),
        ("benchmark", []),
        ("benchmark", [{"dataset": "tiny"}]),
        ("compute.device", "gpu"),
    ],
)
def test_schema_and_loading_refuse_the_same(path: str, value: Any) -> None:
    values = changed(path, value)
    with pytest.raises(InputError):
        build_config(values)
    assert list(VALIDATOR.iter_errors(values))


def test_a_published_entry_completes_a_file(tmp_path: Path) -> None:
    """Keys that an entry must have may be missing from the file, where the library has them."""
    values = yaml.safe_load(CONFIGS[0].with_name("ntu60.yaml").read_text())
    values |= {"methods": {"ikem-6": {"top_k": 2}}, "datasets": {"ntu60": {"partial": True}}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    assert load_config(path).datasets["ntu60"].partial
    assert not list(VALIDATOR.iter_errors(values))


def test_every_key_is_described() -> None:
    schema = config_schema()
    sections = {schema["title"]: schema, **schema["$defs"]}
    keys = {
        f"{name}.{key}": value for name, section in sections.items() for key, value in section["properties"].items()
    }
    assert len(keys) > 300
    own = {
        key: value.get("description", "").removesuffix("Required in an entry of your own.")
        for key, value in keys.items()
    }
    assert not [key for key, text in own.items() if len(text.strip()) < 5]
