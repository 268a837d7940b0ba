import shutil

import numpy as np
import pytest

from helpers import VECTORS
from ikem.errors import InputError
from ikem.verify import verify
from ikem.verify.checks import PARTS
from ikem.verify.npz_source import Source
from ikem.verify.tolerances import compare, final_head, general
from ikem.verify.trajectory import trajectory

LIGHT = [name for name in PARTS if name not in ("stgcn_paper.npz", "trajectory.npz")]


def run(folder, only=None):
    """Whether the folder passes, and its lines that fail."""
    lines = []
    passed = verify(folder, lines.append, only)
    return passed, [line for line in lines if "FAIL" in line]


def spoiled(array):
    """The array with every value changed, by something in proportion to what it holds."""
    if array.dtype.kind == "U":
        return np.char.add(array, "x")
    if array.dtype.kind in "iu":
        return array + 1
    change = 0.6 * (1 + np.arange(array.size) % 3).reshape(array.shape)
    return (array + change * max(float(np.nanmax(np.abs(array))), 0.1)).astype(array.dtype)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A short trajectory: one step of each stage on two clips, with the results that the benchmark computes."""
    folder = tmp_path_factory.mktemp("small")
    with np.load(VECTORS / "trajectory.npz") as file:
        arrays = {name: file[name] for name in file.files}
    for name in ("view1", "view2"):
        arrays[name] = arrays[name][[0, 3], :2, :, :16]
    arrays["frames"], arrays["stage"] = arrays["frames"][:2], arrays["stage"][[0, 3]]
    arrays["loss"] = arrays["loss"][:2]
    np.savez(folder / "trajectory.npz", **arrays)
    with Source(folder / "trajectory.npz") as source:
        arrays |= {name: np.asarray(value) for name, (value, _) in trajectory(source).items()}
        inputs = set(source.inputs)
    np.savez(folder / "trajectory.npz", **arrays)
    return folder, arrays, inputs


@pytest.mark.usefixtures("threads")
def test_the_reference_vectors_pass():
    lines = []
    assert verify(VECTORS, lines.append)
    checked = {tuple(line.split()[:2]) for line in lines[1:-1]}
    assert not any("FAIL" in line for line in lines[:-1])
    for file in PARTS:
        with np.load(VECTORS / file) as held:
            assert {(file, name) for name in held.files} <= checked  # every array has its line


def catches_what_is_compared(folder, file, arrays, monkeypatch):
    """Every second compared array spoiled, then the others: each time, those and no others fail."""
    np.savez(folder / file, **arrays)
    assert run(folder, [file]) == (True, [])
    with Source(folder / file) as source:
        outputs, inputs = PARTS[file](source), source.inputs

    def known(source):
        """What is computed does not change with what is expected, so it is computed once."""
        source.inputs.extend(inputs)
        return outputs

    with monkeypatch.context() as patch:
        patch.setitem(PARTS, file, known)
        for half in range(2):
            chosen = set(list(outputs)[half::2])
            np.savez(folder / file, **(arrays | {name: spoiled(arrays[name]) for name in chosen}))
            passed, failures = run(folder, [file])
            assert {line.split()[1] for line in failures} == chosen
            assert passed == (not chosen)
    return inputs


@pytest.mark.parametrize("file", LIGHT)
def test_every_array_spoiled_is_caught(file, tmp_path, monkeypatch):
    """In a copy of the folder, inputs one at a time. (stgcn_paper.npz is of the same code: only what it compares.)"""
    shutil.copytree(VECTORS / "skeletons", tmp_path / "skeletons")
    with np.load(VECTORS / file) as held:
        arrays = {name: held[name] for name in held.files}
    inputs = catches_what_is_compared(tmp_path, file, arrays, monkeypatch)
    for name in inputs:
        np.savez(tmp_path / file, **(arrays | {name: spoiled(arrays[name])}))
        passed, failures = run(tmp_path, [file])
        assert not passed and failures, name


def test_every_compared_array_of_the_wide_encoder_spoiled_is_caught(tmp_path, monkeypatch):
    with np.load(VECTORS / "stgcn_paper.npz") as held:
        arrays = {name: held[name] for name in held.files}
    catches_what_is_compared(tmp_path, "stgcn_paper.npz", arrays, monkeypatch)


def test_every_compared_array_of_the_trajectory_spoiled_is_caught(tmp_path, monkeypatch, small):
    catches_what_is_compared(tmp_path, "trajectory.npz", small[1], monkeypatch)


def _catches(folder, arrays, name):
    np.savez(folder / "trajectory.npz", **(arrays | {name: spoiled(arrays[name])}))
    passed, failures = run(folder, ["trajectory.npz"])
    return not passed and bool(failures)


def test_inputs_of_the_trajectory_spoiled_are_caught(tmp_path, small):
    """Some of all kinds of arrays, each in the modality whose turn it is; all of them take minutes, see below."""
    _, arrays, inputs = small
    kinds = {}
    for name in sorted(inputs):
        owner, _, rest = name.removeprefix("init.").partition(".")
        kind = (owner[:9] if owner.startswith("encoder") else owner[:4], rest)
        kinds.setdefault(kind, []).append(name)
    chosen = [names[turn % len(names)] for turn, names in enumerate(kinds.values())]
    assert len(chosen) > 100
    for name in chosen[::12]:
        assert _catches(tmp_path, arrays, name), name


@pytest.mark.slow
def test_every_input_of_the_trajectory_spoiled_is_caught(tmp_path, small):
    _, arrays, inputs = small
    for name in sorted(inputs):
        assert _catches(tmp_path, arrays, name), name


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["cropped", "position", "shear"])
def test_numbers_that_are_not_finite_are_caught(tmp_path, name, value):
    with np.load(VECTORS / "augment.npz") as held:
        arrays = {key: held[key] for key in held.files}
    arrays[name].flat[5] = value
    np.savez(tmp_path / "augment.npz", **arrays)
    passed, failures = run(tmp_path, ["augment.npz"])
    assert not passed and any(name in line for line in failures)


def test_missing_and_unknown_arrays_are_caught(tmp_path):
    with np.load(VECTORS / "losses.npz") as held:
        arrays = {key: held[key] for key in held.files}
    for name in arrays:
        np.savez(tmp_path / "losses.npz", **{key: value for key, value in arrays.items() if key != name})
        passed, failures = run(tmp_path, ["losses.npz"])
        assert not passed and any(name in line for line in failures)
    np.savez(tmp_path / "losses.npz", **arrays, extra=np.zeros(3))
    passed, failures = run(tmp_path, ["losses.npz"])
    assert not passed and "extra" in failures[0] and "not been checked" in failures[0]


def test_an_array_of_another_shape_or_kind_is_caught(tmp_path):
    with np.load(VECTORS / "losses.npz") as held:
        arrays = {key: held[key] for key in held.files}
    for name in ("stage1_loss", "stage1_query"):
        for other in (arrays[name][:3], arrays[name].astype("U8"), arrays[name].astype(object), arrays[name] + 1j):
            np.savez(tmp_path / "losses.npz", **(arrays | {name: other}))
            passed, failures = run(tmp_path, ["losses.npz"])
            assert not passed and failures


def test_files_missing_damaged_or_too_many(tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    passed, failures = run(folder)
    assert not passed and len([line for line in failures if "missing" in line]) == len(PARTS)
    shutil.copy(VECTORS / "augment.npz", folder)
    assert run(folder, ["augment.npz"]) == (True, [])
    data = (folder / "augment.npz").read_bytes()
    for damaged in (b"", b"no zip", data[: len(data) // 2], data[:3000] + bytes(500) + data[3500:]):
        (folder / "augment.npz").write_bytes(damaged)
        assert not run(folder, ["augment.npz"])[0]
    (folder / "further.npz").write_bytes(data)
    assert any("further.npz" in line for line in run(folder)[1])
    with pytest.raises(InputError, match="no folder"):
        verify(tmp_path / "nowhere")


def test_skeleton_files_missing_damaged_or_too_many(tmp_path):
    shutil.copytree(VECTORS / "skeletons", tmp_path / "skeletons")
    for file in ("skeleton_xyz.npz", "preprocess.npz"):
        shutil.copy(VECTORS / file, tmp_path)
    files = ["skeleton_xyz.npz", "preprocess.npz"]
    assert run(tmp_path, files) == (True, [])
    one = next((tmp_path / "skeletons").glob("*.skeleton"))
    text = one.read_text()
    for content in ("", "abc", text[: len(text) // 2], text.replace("0.", "1.")):
        one.write_text(content)
        for file in files:
            assert not run(tmp_path, [file])[0]
    one.write_text(text)
    one.with_name("S001C001P001R001A009.skeleton").write_text(text)
    for file in files:
        assert not run(tmp_path, [file])[0]
    one.unlink()
    for file in files:
        assert not run(tmp_path, [file])[0]


def test_compare():
    expected = np.array([0.0, 1.0, -10.0])
    assert compare(expected + np.array([9e-5, 1e-4, 1e-3]), expected, general).passed
    assert not compare(expected + np.array([0, 3e-4, 0]), expected, general).passed
    assert not compare(expected + np.array([2e-4, 0, 0]), expected, general).passed
    assert not compare(np.array([np.nan, 1.0, -10.0]), expected, general).passed
    assert compare(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), general).passed
    assert not compare(np.full(2, np.nan), np.full(2, np.nan), general).passed
    result = compare(expected + np.array([0, 0, 3e-4]), expected, final_head)
    assert not result.passed and result.error == pytest.approx(3e-4) and result.limit == pytest.approx(2e-4)
