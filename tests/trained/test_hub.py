"""Exported folders, graphs, model cards, and what is pushed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open

from helpers import ROOT
from hub_server import hub
from ikem.encoders.initialization import initialize
from ikem.encoders.registry import ENCODERS, build_encoder
from ikem.errors import InputError
from ikem.evaluations.linear.evaluation import CLASSIFIERS
from ikem.settings.data import Prepare
from ikem.skeleton import definition_of, load_skeleton
from ikem.trained import graph
from ikem.trained.description import Description, Figure, Provenance
from ikem.trained.encoder import TrainedEncoder
from ikem.trained.hub import card, export, push
from ikem.trained.load import Trained, load_trained, only
from ikem.trained.recordings import array_recordings
from ikem.trained.selection import Options
from ikem.training.checkpoint import load_tensors

OPTIONS = {
    "stgcn": {"hidden_channels": 2},
    "bigru": {"layers": 1},
    "transformer": {"frames": 12, "blocks": 1, "heads": 2},
}
SKELETON = load_skeleton("ntu25")


def trained_of(kind: str, modalities: tuple[str, ...] = ("joint", "angular_velocity"), **changes: object) -> Trained:
    """Encoders with parameters as drawn, standardized, with classifiers."""
    options = ENCODERS[kind].options(kind=kind, hidden_dim=8, feature_dim=4, **OPTIONS.get(kind, {}))
    torch.manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    for number, name in enumerate(modalities):
        encoder = build_encoder(options, SKELETON)
        initialize(encoder, number, "pytorch")
        for part, value in encoder.state_dict().items():
            tensors[f"{name}.encoder.{part}"] = value.detach()
        tensors[f"{name}.mean"] = torch.randn(8, dtype=torch.float64) * 0.1
        tensors[f"{name}.scale"] = torch.rand(8, dtype=torch.float64) + 0.5
    for part in ("single", "fused"):
        tensors[f"classifier.{part}.weight"] = torch.randn(len(modalities), 8, 3)
        tensors[f"classifier.{part}.bias"] = torch.randn(len(modalities), 1, 3)
    provenance = Provenance(
        title="IKEM",
        dataset_title="Recordings",
        synthetic=False,
        terms=("https://owner.example/terms",),
        sources=("Someone: A paper. Venue 2020",),
        commit="abc",
        versions={"torch": "1"},
        figures=(Figure(evaluation="Linear evaluation", condition="", streams="joint", top1=12.345, complete=False),),
    )
    description = Description(
        dataset="mine", protocol="xsub", seed=3, method="ikem-2", modalities=modalities, encoder=options,
        precision="float32", skeleton=definition_of(SKELETON), bodies=2, body_rule="first-two", trim_empty=False,
        prepare=Prepare(frames=12), standardized=True, evaluation="linear", classes=("a", "b", "c"),
        provenance=provenance,
    )  # fmt: skip
    return Trained(description.model_copy(update=changes), tensors)


@pytest.mark.parametrize("kind", ENCODERS)
def test_graphs_compute_what_the_encoders_do(kind: str, tmp_path: Path) -> None:
    """ONNX by onnxruntime, on clips that were prepared from coordinates, one of them with one body."""
    onnxruntime = pytest.importorskip("onnxruntime")
    trained = trained_of(kind)
    export(trained, tmp_path, ["onnx", "torch-export"])
    clips = np.random.default_rng(1).normal(size=(5, 3, 20, 25, 2)).cumsum(axis=2) * 0.05
    clips[1, ..., 1] = clips[2, :, 15:] = 0
    encoder = TrainedEncoder(trained, torch.device("cpu"))
    position, frames = encoder.prepare(list(array_recordings(clips, encoder.reading)))
    given = np.ascontiguousarray(np.moveaxis(position, 4, 1))
    embeddings = encoder(clips)
    probabilities = encoder.probabilities(clips)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [each.name for each in session.get_outputs()] == ["embeddings", "scores"]
    by_onnx = session.run(None, {"position": given, "frames": frames})
    program = torch.export.load(tmp_path / "model.pt2").module()
    by_torch = [value.detach().numpy() for value in program(torch.from_numpy(given), torch.from_numpy(frames))]
    for found, scores in (by_onnx, by_torch):
        np.testing.assert_allclose(found, embeddings, rtol=1e-4, atol=1e-4)
        softmax = torch.from_numpy(scores).softmax(dim=1).numpy()
        np.testing.assert_allclose(softmax, probabilities, rtol=1e-4, atol=1e-4)


def test_a_graph_that_computes_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = graph._pt2
    monkeypatch.setattr(graph, "_pt2", lambda *given: [value + 1e-3 * value.abs().max() for value in honest(*given)])
    with pytest.raises(InputError, match=r"the exported graph is off by 0\.001"):
        export(trained_of("stgcn", ("joint",)), tmp_path / "out", ["torch-export"])
    assert not list((tmp_path / "out").iterdir())


def test_an_exported_folder_is_what_was_exported(results: Path, tmp_path: Path) -> None:
    trained = load_trained(results, Options(method="random", evaluation="linear"), classifier=True)
    export(trained, tmp_path)
    again = load_trained(tmp_path, Options(method="random", dataset="tiny"), classifier=True)
    assert again.description == trained.description and again.tensors.keys() == trained.tensors.keys()
    assert all(torch.equal(again.tensors[name], value) for name, value in trained.tensors.items())
    assert any(name.endswith(".mean") for name in again.tensors)  # random embeddings are standardized
    with safe_open(tmp_path / "model.safetensors", framework="np") as file:  # by the library alone
        assert "classifier.single.weight" in file.keys()  # noqa: SIM118
    bytes_before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    export(trained, tmp_path)
    assert bytes_before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="its method is random, not ikem-3"):
        load_trained(tmp_path, Options(method="ikem-3"))
    parts = {name: value for name, value in trained.tensors.items() if name != "classifier.fused.bias"}
    export(Trained(trained.description, parts), tmp_path / "less")
    with pytest.raises(InputError, match=r"does not fit to the config\.json"):
        load_trained(tmp_path / "less")
    without = Trained(
        trained.description.model_copy(update={"evaluation": "", "classes": ()}),
        {name: value for name, value in trained.tensors.items() if not name.startswith("classifier.")},
    )
    export(without, tmp_path / "without")
    with pytest.raises(InputError, match="has no classifier"):
        load_trained(tmp_path / "without", classifier=True)
    with pytest.raises(InputError, match="has no classifier"):
        TrainedEncoder(without, torch.device("cpu")).probabilities(np.ones((1, 3, 9, 25, 1)))
    with pytest.raises(InputError, match="there is no encoder of motion"):
        only(without, "motion")


def test_a_method_with_a_transfer_and_its_own_classifiers(results: Path) -> None:
    """Those of its own dataset are meant, unless --evaluation names those of the transfer."""
    assert load_trained(results, Options(method="random")).description.evaluation == "linear"
    transfer = load_trained(results, Options(method="random", evaluation="transfer"), classifier=True)
    assert transfer.description.evaluation == "transfer"
    path = results / "tiny" / "xsub" / "seed0" / "linear" / "random"
    kept, _ = load_tensors(path / f"transfer.{CLASSIFIERS}")
    assert torch.equal(transfer.classifiers()["fused.weight"], kept["fused.weight"])
    with pytest.raises(
        InputError, match=r"2 results are meant by this.*\n  --evaluation linear\n  --evaluation transfer"
    ):
        load_trained(path, classifier=True)


@pytest.mark.parametrize(
    "fault", ["flipped", "key", "no json", "other encoder", "foreign", "skeleton", "classes", "standardized"]
)
def test_damaged_folders(tmp_path: Path, fault: str) -> None:
    trained = trained_of("stgcn", ("joint",))
    export(trained, tmp_path)
    config, tensors = tmp_path / "config.json", tmp_path / "model.safetensors"
    content = json.loads(config.read_text())
    if fault == "flipped":
        flipped = bytearray(tensors.read_bytes())
        flipped[-1] ^= 1
        tensors.write_bytes(flipped)
    elif fault == "foreign":
        from safetensors.torch import save_file

        save_file(dict(trained.tensors), tensors)
    elif fault == "no json":
        config.write_text("{")
    else:
        content |= {
            "key": {"auto_map": "x"},
            "classes": {"classes": content["classes"][1:]},
            "standardized": {"standardized": not content["standardized"]},
            "other encoder": {"encoder": {**content["encoder"], "hidden_dim": 16}},
        }.get(fault, {})
        if fault == "skeleton":
            content["skeleton"]["center"] = "nowhere"
        config.write_text(json.dumps(content))
    words = {
        "flipped": "its content is not what was written",
        "key": "auto_map: Extra inputs",
        "no json": "is not JSON",
        "other encoder": "holds no such encoder of joint",
        "foreign": "cannot be read",
        "classes": "does not fit to the config.json",
        "standardized": "does not fit to the config.json",
        "skeleton": "'nowhere', which is not in joints",
    }
    with pytest.raises(InputError, match=words[fault]):
        TrainedEncoder(load_trained(tmp_path), torch.device("cpu"))


def test_export_touches_no_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="holds something else"):
        export(trained_of("stgcn", ("joint",)), tmp_path)
    with pytest.raises(InputError, match="unknown format 'tensorflow'"):
        export(trained_of("stgcn", ("joint",)), tmp_path / "new", ["tensorflow"])
    with pytest.raises(InputError, match="cannot be written to"):
        export(trained_of("stgcn", ("joint",)), tmp_path / "thesis.tex" / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_card_says_what_it_must() -> None:
    about = trained_of("stgcn").description
    _, metadata, text = card(about, ["model.onnx"]).split("---\n", 2)
    values = yaml.safe_load(metadata)
    assert values["license"] == "other" and values["license_link"] == "https://owner.example/terms"
    assert values["datasets"] == ["mine"] and values["metrics"] == ["accuracy"] and "joint" in values["tags"]
    (index,) = values["model-index"]
    assert index["results"][0]["metrics"][0]["value"] == 12.345
    for words in (
        "Intended use", "https://owner.example/terms", "| seed | 3 |", "`abc`", "(`ikem-2`)", "12.35†", "2 x 8 numbers",
        "not on the published number of clips", "Someone: A paper", "`model.onnx`", "standardization", "`linear`",
    ):  # fmt: skip
        assert words in text, words
    provenance = about.provenance.model_copy(update={"terms": (), "figures": ()})
    unknown = card(about.model_copy(update={"provenance": provenance}))
    assert "states no terms" in unknown and "None were there" in unknown and "license_link" not in unknown
    synthetic = card(about.model_copy(update={"provenance": about.provenance.model_copy(update={"synthetic": True})}))
    assert "license: mit" in synthetic and "show no real person" in synthetic


def test_the_hub_accepts_the_card() -> None:
    hub_library = pytest.importorskip("huggingface_hub")
    loaded = hub_library.ModelCard(card(trained_of("stgcn").description))
    assert loaded.data.eval_results[0].metric_value == 12.345
    assert loaded.data.license == "other" and loaded.data.pipeline_tag == "feature-extraction"


def test_push_sends_what_was_exported_and_nothing_else(tmp_path: Path) -> None:
    """By the command, to a server that stands in for the hub."""
    pytest.importorskip("huggingface_hub")
    folder = tmp_path / "out"
    export(trained_of("stgcn", ("joint",)), folder)
    (folder / "diary.txt").write_text("private")
    with hub() as server:
        command = [sys.executable, "-m", "ikem", "push", str(folder), "someone/encoder", "--private"]
        environment = os.environ | {
            "PYTHONPATH": str(ROOT / "src"),
            "HF_ENDPOINT": server.address,
            "HF_TOKEN": "hf_test",
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{server.address}/someone/encoder/commit/{'1' * 40}\n"
        assert (server.created["name"], server.created["organization"]) == ("encoder", "someone")
        assert server.files == {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "diary.txt"}
        server.refuses = True
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 2 and "could not be pushed" in done.stderr and "Traceback" not in done.stderr


def test_only_an_export_is_pushed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no exported encoder"):
        push(tmp_path, "someone/encoder")
