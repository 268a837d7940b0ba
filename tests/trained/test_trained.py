"""Trained encoders and classifiers of the tiny benchmark, on raw files, against what the benchmark itself computed."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner, Result

import ikem
from ikem.cli import app
from ikem.data.store import load_samples
from ikem.errors import InputError
from ikem.evaluations.scores import read_scores
from ikem.files import write_json
from ikem.trained.encoder import TrainedEncoder
from ikem.trained.load import load_trained, only
from ikem.trained.recordings import Recording, read_recordings
from ikem.trained.selection import Options
from ikem.training.checkpoint import load_tensors


@pytest.fixture(scope="module")
def raw(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw `.skeleton` files of all clips that the benchmark could use."""
    folder = tmp_path_factory.mktemp("raw")
    names = set(load_samples(results / "tiny" / "prepared" / "samples.csv")["name"])
    with zipfile.ZipFile(results / "tiny" / "raw" / "skeletons.zip") as archive:
        for member in archive.namelist():
            if Path(member).stem in names:
                (folder / Path(member).name).write_bytes(archive.read(member))
    return folder


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def evaluation(results: Path, method: str) -> Path:
    return results / "tiny" / "xsub" / "seed0" / "linear" / method / "linear.json"


@pytest.mark.parametrize(
    ("method", "streams"), [("ikem-3", "joint+motion+bone"), ("skeletonclr", "joint"), ("random", "joint+bone")]
)
def test_raw_test_clips_get_the_scores_that_were_kept(
    results: Path, raw: Path, tmp_path: Path, method: str, streams: str
) -> None:
    """From raw file to score, from results and from an exported folder; also of one modality of several."""
    path = evaluation(results, method)
    expected = read_scores(path)
    files = [raw / f"{name}.skeleton" for name in expected.names]
    invoke("export", path, "--output", tmp_path / "exported")
    for where in (path, tmp_path / "exported"):
        trained = load_trained(where, classifier=True)
        for name, part in ((streams, trained), ("joint", only(trained, "joint"))):
            encoder = TrainedEncoder(part, torch.device("cpu"))
            recordings = [clip for clip in read_recordings(files, encoder.reading) if isinstance(clip, Recording)]
            found = encoder.scores(encoder.embed(recordings))
            assert len(found) == len(files) and found.shape == expected.scores[name].shape
            np.testing.assert_allclose(found, expected.scores[name], rtol=1e-3, atol=1e-3)
            assert np.ptp(found, axis=0).max() > 1e-2  # clips differ


@pytest.mark.parametrize("method", ["ikem-3", "random"])
def test_embeddings_are_those_of_the_benchmark(results: Path, raw: Path, tmp_path: Path, method: str) -> None:
    stored, _ = load_tensors(results / "tiny/xsub/seed0/embed" / method / "embeddings.safetensors")
    names = load_samples(results / "tiny/prepared/samples.csv")["name"].tolist()
    invoke("embed", results, raw, "--method", method, "--output", tmp_path / "e.npz")
    with np.load(tmp_path / "e.npz", allow_pickle=False) as file:
        found = dict(file)
    assert found.pop("names").tolist() == names
    assert found.keys() == {name for name in stored if "." not in name} and len(found) > 1
    for modality, values in found.items():
        np.testing.assert_allclose(values, stored[modality].numpy(), rtol=1e-4, atol=1e-5)
    invoke("embed", results, raw, "--method", method, "--output", tmp_path / "e.csv")
    table = pd.read_csv(tmp_path / "e.csv")
    assert table.pop("name").tolist() == names
    np.testing.assert_allclose(table.to_numpy(), np.concatenate(list(found.values()), axis=1), rtol=1e-6)
    encoder = ikem.load_encoder(results, method=method)
    np.testing.assert_array_equal(encoder(raw), np.concatenate([found[name] for name in encoder.modalities], axis=1))


def test_parquet(results: Path, raw: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    invoke("embed", results, raw, "--method", "ikem-3", "--output", tmp_path / "e.parquet")
    table = pd.read_parquet(tmp_path / "e.parquet")
    expected = ikem.load_encoder(results, method="ikem-3")(raw)
    np.testing.assert_array_equal(table.drop(columns="name").to_numpy(), expected)


def test_arrays_are_embedded_as_their_files(results: Path, raw: Path, tmp_path: Path) -> None:
    encoder = ikem.load_encoder(results, method="ikem-3", device="cpu")
    files = sorted(raw.iterdir())[:5]
    clips = [clip.coordinates for clip in read_recordings(files, encoder.reading) if isinstance(clip, Recording)]
    array = np.zeros((5, 3, max(map(len, clips)), 25, 2), np.float32)
    for number, clip in enumerate(clips):
        for frame in range(len(clip)):
            for body in range(2):
                array[number, :, frame, :, body] = clip[frame, body].T
    expected = encoder(files)
    assert expected.shape == (5, 3 * encoder.width) and expected.dtype == np.float32
    np.testing.assert_array_equal(encoder(array), expected)
    np.testing.assert_array_equal(encoder(torch.from_numpy(array).double()), expected)
    np.testing.assert_array_equal(encoder(array[:1, ..., :1]), encoder(str(files[0])))
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(encoder([tmp_path / "a.npy"]), expected)
    assert encoder(array[:0]).shape == (0, 3 * encoder.width)
    with pytest.raises(InputError, match=r"clip.skeleton, line 1: the file is empty"):
        (tmp_path / "clip.skeleton").write_text("")
        encoder(tmp_path / "clip.skeleton")


def test_predict_prints_and_writes_the_likeliest_classes(results: Path, raw: Path, tmp_path: Path) -> None:
    path = evaluation(results, "ikem-3")
    scores = read_scores(path)
    name = scores.names[0]
    logits = scores.scores["joint+motion+bone"][0].astype(np.float64)
    odds = np.exp(logits) / np.exp(logits).sum()
    classes = ["waving", "circling outward", "shaking hands"]
    printed = invoke("predict", path, raw / f"{name}.skeleton", "--top", 2).stdout
    first, second = np.argsort(-odds)[:2]
    wanted = f"{name}: {classes[first]} ([0-9.]+), {classes[second]} ([0-9.]+)\n"
    found = re.fullmatch(wanted, printed)
    assert found, printed
    np.testing.assert_allclose([float(value) for value in found.groups()], odds[[first, second]], atol=2e-3)
    for ending in ("csv", "npz"):
        invoke("predict", path, raw, "--output", tmp_path / f"p.{ending}")
    table = pd.read_csv(tmp_path / "p.csv")
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        arrays = dict(file)
    assert arrays["classes"].tolist() == classes
    np.testing.assert_allclose(arrays["probabilities"].sum(axis=1), 1, rtol=1e-5)
    assert table.groupby("name")["rank"].apply(list).map(lambda ranks: ranks == [1, 2, 3]).all()
    best = table[table["rank"] == 1].set_index("name")["class"]
    assert [best[n] for n in arrays["names"]] == [classes[k] for k in arrays["probabilities"].argmax(axis=1)]
    encoder = ikem.load_encoder(path)
    np.testing.assert_allclose(encoder.probabilities(raw), arrays["probabilities"], atol=1e-6)


def test_a_broken_clip_is_reported_and_the_others_go_on(results: Path, raw: Path, tmp_path: Path) -> None:
    files = sorted(raw.iterdir())[:2]
    (tmp_path / "bad.skeleton").write_bytes(files[0].read_bytes()[:500])
    arguments = ("embed", results, *files, "--method", "ikem-3", "--output", tmp_path / "e.csv")
    assert invoke(*arguments).exit_code == 0
    whole = (tmp_path / "e.csv").read_text()
    result = invoke(*arguments, tmp_path / "bad.skeleton")
    assert result.exit_code == 1 and "bad.skeleton, line" in result.stderr and "1 clips" in result.stderr
    assert (tmp_path / "e.csv").read_text() == whole
    with pytest.raises(InputError, match="no clip can be used"):
        invoke(*arguments[:2], tmp_path / "bad.skeleton", *arguments[4:])
    with pytest.raises(InputError, match=r"must end in \.npz"):
        invoke(*arguments[:-1], tmp_path / "e.txt")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        invoke(*arguments[:-1], tmp_path / "folder.csv")


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("", {}, r"3 results are meant by this\. Choose one of them:\n  --method random\n  --method skeletonclr\n"),
        ("tiny/xsub", {}, "3 results are meant"),
        ("", {"method": "ikem3"}, "there is no method 'ikem3', did you mean 'ikem-3'"),
        ("", {"dataset": "demo"}, "there is no dataset 'demo'"),
        ("", {"method": "ikem-3", "seed": "7"}, "there is no seed '7'"),
        ("absent", {}, "does not exist"),
        ("logs", {}, "nothing trained is meant by this"),
        ("..", {}, "is neither in a results folder"),
    ],
)
def test_what_is_meant_must_be_one(results: Path, path: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_trained(results / path, Options(**options))


def test_any_file_of_a_method_names_it(results: Path) -> None:
    run = results / "tiny" / "xsub" / "seed0"
    paths = [
        run / "embed" / "ikem-3",
        run / "embed" / "ikem-3" / "embeddings.safetensors",
        run / "ikem" / "ikem-3" / "state.safetensors",
        run / "knn" / "ikem-3" / "knn-1.json",
        run / "linear" / "ikem-3" / "linear.scores.safetensors",
        run / "linear" / "ikem-3" / "linear.classifiers.safetensors",
    ]
    for path in paths:
        about = load_trained(path).description
        assert about.method == "ikem-3" and about.modalities == ("joint", "motion", "bone")
        assert about.evaluation == ("" if "knn" in path.parts else "linear"), path
    with pytest.raises(InputError, match="keeps its classifiers"):
        load_trained(paths[3], classifier=True)
    assert load_trained(
        results, Options(method="skeletonclr", evaluation="linear"), classifier=True
    ).description.classes


def test_results_may_move_but_not_change(
    results: Path, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ikem.load_encoder(results, method="skeletonclr")(raw)
    moved = tmp_path / "moved"
    shutil.copytree(results, moved, ignore=shutil.ignore_patterns("*.npy", "figures", "tables", "logs"))
    monkeypatch.chdir(moved)
    np.testing.assert_array_equal(ikem.load_encoder(".", method="skeletonclr")(raw), before)
    (state,) = Path("tiny/xsub/seed0/skeletonclr").glob("**/state.safetensors")
    record = state.with_name("state.safetensors.run.json")
    content = json.loads(record.read_text())
    write_json(record, content | {"digest": "0" * 64})
    with pytest.raises(InputError, match="was computed under other settings"):
        ikem.load_encoder(".", method="skeletonclr")
    write_json(record, content)
    flipped = bytearray(state.read_bytes())
    flipped[-1] ^= 1
    state.write_bytes(flipped)
    with pytest.raises(InputError, match="has changed since it was written"):
        ikem.load_encoder(".", method="skeletonclr")
    state.unlink()
    with pytest.raises(
        InputError,
        match=r"the states of what is meant are not there\. Needed are the states of: .*--method skeletonclr",
    ):
        ikem.load_encoder(".", method="skeletonclr")
