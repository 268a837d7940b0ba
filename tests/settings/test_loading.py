"""Configs: what is laid over what, and one line for each fault that names the key, the value and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config_support import changed, files_of, tiny
from helpers import ROOT, TINY
from ikem.errors import InputError
from ikem.modalities import MODALITIES
from ikem.schema import ModalityName
from ikem.settings.benchmark import Config
from ikem.settings.loading import build_config, command_line_values, load_config
from ikem.settings.training import SGD, CosineDecay, StepDecay
from ikem.workflow.plan import Plan

CONFIGS = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path: Path) -> None:
    assert load_config(*files_of(path)).benchmark


@pytest.mark.parametrize(
    ("path", "value", "reported"),
    [
        ("results", "~/out", ["results: '~/out' is not allowed; ~ is no home directory here"]),
        ("sedes", [0], ["sedes: unknown key", "[0]", "did you mean 'seeds'?", "benchmark"]),
        ("seeds", "zero", ["seeds: 'zero'", "a list is needed, such as [zero]"]),
        ("recipes.tiny.schedule.epoch", 3, ["recipes.tiny.schedule.epoch: unknown key", "did you mean 'epochs'?"]),
        ("recipes.tiny.schedule.epochs", "many", ["recipes.tiny.schedule.epochs: 'many'", "whole number"]),
        ("recipes.tiny.schedule.epochs", 0, ["recipes.tiny.schedule.epochs: 0", "at least 1"]),
        ("recipes.tiny.stage1_epochs", 9, ["recipes.tiny.stage1_epochs: it must be less than schedule.epochs (4)"]),
        ("recipes.tiny.contrast.temperature", 0.001, ["temperature: 0.001", "0.025"]),
        ("recipes.tiny.schedule.decay.epoch", 4, ["recipes.tiny.schedule.decay.epoch: 4 must be less than epochs (4)"]),
        ("recipes.tiny.schedule.learning_rate", "1e-3x", ["schedule.learning_rate: '1e-3x'", "a number is needed"]),
        ("recipes.tiny.drop_last", 1, ["recipes.tiny.drop_last: 1", "true or false"]),
        ("recipes.tiny.schedule", 5, ["recipes.tiny.schedule: 5", "a mapping of keys"]),
        ("methods", None, ["methods: None", "a mapping of keys"]),
        (
            "methods.ikem-3.modalities",
            ["joint", "joints"],
            ["methods.ikem-3.modalities.1: 'joints'", "did you mean 'joint'?", "'motion'"],
        ),
        ("methods.ikem-3.modalities", ["joint", "joint"], ["methods.ikem-3.modalities: ", "differ"]),
        ("methods.ikem-3.modalities", ["joint"], ["methods.ikem-3.modalities: two or more"]),
        (
            "methods.ikem-3.recipe",
            "publisht",
            ["methods.ikem-3.recipe: 'publisht'", "'published'?", "allowed are ", "published, ", ", tiny"],
        ),
        ("methods.student.teacher", "nobody", ["methods.student.teacher: 'nobody'", "ikem-6"]),
        ("methods.student.teacher", "random", ["methods.student.teacher: 'random'", "skeletonclr"]),
        ("methods.other", {"kind": "magic"}, ["methods.other.kind: 'magic'", "'ikem'"]),
        ("methods.other", {"kind": "skeletonclrr"}, ["methods.other.kind: 'skeletonclrr'", "mean 'skeletonclr'?"]),
        ("methods.other", {"modalities": ["joint"]}, ["methods.other.kind", "'ikem'"]),
        ("evaluations.semi-10.fraction", 1.5, ["evaluations.semi-10.fraction: 1.5", "at most 1"]),
        ("benchmark.0.dataset", "moon", ["benchmark.0.dataset: 'moon'", "tiny"]),
        ("benchmark.0.protocols", ["xset"], ["benchmark.0.protocols: 'xset'", "xsub"]),
        ("benchmark.0.methods", ["ikem-9"], ["benchmark.0.methods: 'ikem-9'", "did you mean", "ikem-6"]),
        ("benchmark.0.evaluations", ["lineal"], ["benchmark.0.evaluations: 'lineal'", "did you mean 'linear'?"]),
        ("benchmark", [], ["benchmark: []", "at least 1"]),
        ("datasets.tiny.protocols.xsub.test", [1], ["datasets.tiny.protocols.xsub.test: [1]", "not in train"]),
        ("datasets.tiny.protocols.xsub.train", [], ["datasets.tiny.protocols.xsub.train: []", "at least 1"]),
        ("datasets.tiny.synthetic.color", 1, ["datasets.tiny.synthetic.color: unknown key", "performers"]),
        ("datasets.; touch x", {}, ["datasets", "letters"]),
        ("datasets.empty", {"title": "E", "format": "ntu"}, ["datasets.empty.skeleton: is missing"]),
        ("datasets.tiny.synthetic.actions", ["wavin"], ["datasets.tiny.synthetic.actions", "did you mean 'waving'?"]),
        ("datasets.tiny.format", "ntuu", ["datasets.tiny.format: 'ntuu'", "did you mean 'ntu'?", "nwucla"]),
        ("datasets.tiny.protocols.xsub.train", [1.5], ["datasets.tiny.protocols.xsub.train.0: 1.5", "quotes"]),
        ("datasets.tiny.archives", {"a": {"file": "x"}}, ["datasets.tiny.archives: this or synthetic"]),
        ("compute.device", "tpu", ["compute.device: 'tpu'", "'cuda'"]),
        ("compute.train.gpu", 2, ["compute.train.gpu: 2", "at most 1"]),
        (
            "compute.processes_per_job.supervised",
            2,
            ["job.supervised: its jobs cannot be divided; allowed are"],
        ),
        ("results", ".", ["results: '.'", "folder of their own"]),
        ("datasets.tiny.skeleton", "ntu-25", ["datasets.tiny.skeleton: 'ntu-25'", "did you mean 'ntu25'?"]),
    ],
)
def test_faults_are_reported_in_one_line(path: str, value: Any, reported: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build_config(changed(path, value), location="tiny.yaml")
    lines = [line for line in str(caught.value).splitlines() if reported[0] in line]
    assert lines, str(caught.value)
    assert str(caught.value).startswith("tiny.yaml: ")
    for part in reported:
        assert part in lines[0]


def test_every_fault_is_reported() -> None:
    values = changed("seeds", "zero")
    values["methods"]["ikem-3"]["top_k"] = 0
    with pytest.raises(InputError) as caught:
        build_config(values)
    assert "seeds" in str(caught.value)
    assert "methods.ikem-3.top_k" in str(caught.value)


def test_a_cpu_has_no_tf32() -> None:
    values = changed("recipes.tiny.precision", "tf32")
    assert build_config(values).recipes["tiny"].precision == "tf32"
    with pytest.raises(InputError, match="tf32 is not known to a CPU; allowed are float32"):
        build_config({**values, "compute": {"device": "cpu"}})


def test_compiled_encoders_keep_their_activations() -> None:
    values = changed("recipes.tiny.encoder.activation_checkpointing", True)
    with pytest.raises(InputError, match="activation_checkpointing: true is not allowed with compute"):
        build_config({**values, "compute": {"compile": True}})


def test_only_compilation_changes_settings() -> None:
    """Results of before keep their digests; a CUDA graph changes no number."""
    plain, graph, compiled = (
        Plan(build_config(tiny() | {"compute": {**tiny().get("compute", {}), **more}})).digest
        for more in ({}, {"cuda_graph": "auto"}, {"compile": True})
    )
    assert plain == graph != compiled


def test_many_faults_are_counted() -> None:
    with pytest.raises(InputError) as caught:
        build_config(tiny() | {f"key{number}": 1 for number in range(100)})
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (21, "and 80 more")


def test_a_list_of_faulty_parts_is_not_called_too_short() -> None:
    with pytest.raises(InputError) as caught:
        build_config(changed("benchmark", [{"dataset": "tiny"}]))
    assert [line.split(": ")[-2] for line in str(caught.value).splitlines()] == [
        f"benchmark.0.{key}" for key in ("protocols", "methods", "evaluations")
    ]


def test_a_very_long_word_is_shortened() -> None:
    assert str(InputError(f"plane names {'9' * 6000}, no joint", location="a.yaml")) == (
        f"a.yaml: plane names {'9' * 100}... (6001 characters) no joint"
    )


def test_a_config_changes_single_keys_of_the_library() -> None:
    config = build_config(changed("methods.ikem-6", {"top_k": 3}))
    method = config.methods["ikem-6"]
    assert method.kind == "ikem"
    assert method.top_k == 3
    assert method.modalities == tuple(MODALITIES)


def test_another_kind_replaces_what_the_library_says() -> None:
    config = build_config(changed("recipes.pstl", {"schedule": {"decay": {"kind": "step", "epoch": 100}}}))
    schedule = config.recipes["pstl"].schedule
    assert (schedule.decay, schedule.epochs) == (StepDecay(epoch=100), 150)
    assert build_config(changed("recipes.pstl", {"schedule": {"decay": {"warmup_epochs": 3}}})).recipes[
        "pstl"
    ].schedule.decay == CosineDecay(warmup_epochs=3, warmup_from_zero=True)


def test_published_protocol_is_the_default() -> None:
    recipe = load_config(CONFIGS[0].with_name("ntu60.yaml")).recipes["published"]
    assert (recipe.contrast.queue_size, recipe.contrast.key_momentum, recipe.contrast.temperature) == (
        32768,
        0.999,
        0.07,
    )
    schedule = recipe.schedule
    assert (schedule.epochs, recipe.stage1_epochs, schedule.decay) == (300, 150, StepDecay(epoch=250))
    assert (schedule.batch_size, schedule.learning_rate, schedule.optimizer) == (128, 0.1, SGD())
    assert schedule.weight_decay == 1e-4
    assert (recipe.encoder.hidden_channels, recipe.encoder.hidden_dim, recipe.encoder.feature_dim) == (16, 256, 128)


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


def test_seeds_from_a_command_line() -> None:
    assert command_line_values({"seeds": "[0,1]", "compute": {"threads": "2"}, "results": "a"}) == {
        "seeds": [0, 1],
        "compute": {"threads": 2},
        "results": "a",
    }
    changes = command_line_values({"datasets": {"tiny": {"protocols": {"xsub": "{column: subject, train: [010]}"}}}})
    assert load_config(TINY, changes=changes).datasets["tiny"].protocols["xsub"].train == ("010",)
    with pytest.raises(InputError, match=r"^--config: seeds: 'x' is not allowed"):
        load_config(TINY, changes=command_line_values({"seeds": "x"}))


def test_a_fault_names_the_file_that_has_the_key(tmp_path: Path) -> None:
    for name, text in {
        "first": "seeds: 3\nmethods: {ikem-3: {top_k: 2}}",
        "second": "compute: {threads: 0}\nmethods: {ikem-3: {recipe: tinny}}",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_config(TINY, tmp_path / "first.yaml", tmp_path / "second.yaml")
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{tmp_path}/first.yaml: seeds: 3 is not allowed; a list is needed, such as [3]")
    assert second.startswith(f"{tmp_path}/second.yaml: compute.threads: 0 is not allowed; it must be at least 1")
    (tmp_path / "first.yaml").write_text("methods: {ikem-3: {top_k: 2}}")
    (tmp_path / "second.yaml").write_text("methods: {ikem-3: {recipe: tinny}}")
    with pytest.raises(InputError, match=r"second\.yaml: methods\.ikem-3\.recipe: 'tinny' .* mean 'tiny'\?"):
        load_config(TINY, tmp_path / "first.yaml", tmp_path / "second.yaml")


@pytest.mark.parametrize("text", ["results/", "./results", "results/.", ".//results", "results"])
def test_a_folder_has_one_name(text: str) -> None:
    config = build_config(changed("results", text) | {"data": f"./{text}"})
    assert (config.results, config.data) == ("results", "results")
    assert Plan(config).pattern("decode") == "results/{dataset}/decoded/samples.csv"


def test_titles_are_derived_from_what_is_run() -> None:
    config = build_config(changed("methods.student", {"teacher": "ikem-3", "recipe": "tiny"}))
    assert title(config, "student") == "Student of IKEM-3"
    assert title(build_config(changed("methods.student", {"teacher": "skeletonclr"})), "student") == (
        "Student of SkeletonCLR"
    )
    assert title(config, "ikem-6") == "IKEM-6"
    shorter = build_config(changed("methods.ikem-6", {"modalities": ["joint", "bone"]}))
    assert title(shorter, "ikem-6") == "IKEM-2"
    assert title(build_config(changed("methods.ikem-6", {"title": "Mine"})), "ikem-6") == "Mine"


def title(config: Config, entry: str) -> str:
    return config.methods[entry].title or config.methods[entry].default_title(entry, config)
