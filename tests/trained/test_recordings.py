"""What clips are read from, and what is reported of those that cannot be."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers import VECTORS
from ikem.data.clips import Reject
from ikem.data.formats.ntu import read_skeleton
from ikem.errors import InputError
from ikem.skeleton import build_skeleton, definition_of, known_skeletons, load_skeleton
from ikem.trained.recordings import Reading, Recording, array_recordings, read_recordings, words_of

READING = Reading(load_skeleton("ntu25"), "first-two", False, 2)
FILES = sorted((VECTORS / "skeletons").glob("*.skeleton"))


def read(*paths: Path, reading: Reading = READING) -> tuple[dict[str, np.ndarray], list[str]]:
    clips = list(read_recordings(paths, reading))
    usable = {clip.name: clip.coordinates for clip in clips if isinstance(clip, Recording)}
    return usable, [words_of(clip) for clip in clips if isinstance(clip, Reject)]


@pytest.mark.parametrize("name", known_skeletons())
def test_a_skeleton_is_what_its_definition_says(name: str) -> None:
    skeleton = load_skeleton(name)
    assert build_skeleton(definition_of(skeleton), "here") == skeleton


def test_files_folders_and_archives_hold_the_same(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in FILES:
            archive.write(path, f"inner/{path.name}")
        archive.writestr("readme.txt", "no clip")
    expected = {path.stem: read_skeleton(path.read_bytes(), path.name) for path in FILES}
    for paths in (FILES, [VECTORS / "skeletons"], [tmp_path / "a.zip"]):
        found, rejected = read(*paths)
        assert not rejected and found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_any_name_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(FILES[0], tmp_path / "clip.skeleton")
    monkeypatch.chdir(tmp_path)
    assert list(read(Path("clip.skeleton"))[0]) == ["clip"]


def test_what_cannot_be_used_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    for number, path in enumerate(FILES[:3]):
        shutil.copy(path, tmp_path / f"{number}.skeleton")
    (tmp_path / "1.skeleton").write_bytes(FILES[1].read_bytes()[:2000])
    (tmp_path / "other").mkdir()
    shutil.copy(FILES[3], tmp_path / "other" / "2.skeleton")
    found, rejected = read(tmp_path)
    assert list(found) == ["0", "2"]
    cut, twice = sorted(rejected)
    assert cut.startswith(f"{tmp_path.name}: 1.skeleton, line ") and "fields, expected" in cut
    assert "other/2.skeleton: another clip has this name" in twice


def test_a_second_body_needs_an_encoder_of_two() -> None:
    two = next(path for path in FILES if read_skeleton(path.read_bytes(), "")[:, 1].any())
    found, rejected = read(two, reading=replace(READING, bodies=1))
    assert not found and "two bodies" in rejected[0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.skeleton", None, "does not exist"),
        ("a.csv", b"x", "is nothing that clips are read from"),
        ("a.zip", b"x", "is no zip"),
        ("a.npy", pickle.dumps([1]), "is no whole .npy file"),
        ("a01_s01_e00_v01.json", b"{}", "the encoder was trained on the 25 joints of ntu25"),
    ],
)
def test_paths_that_are_wrong_are_found_before_anything_is_read(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        next(read_recordings([FILES[0], tmp_path / name], READING))


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no \.skeleton"):
        read(tmp_path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 8, 25), np.float32),
        np.zeros((2, 3, 8, 20, 1), np.float32),
        np.zeros((2, 8, 25, 2, 3), np.float32),
        np.zeros((2, 3, 8, 25, 3), np.float32),
        np.zeros((2, 3, 8, 25, 2), np.int64),
    ],
)
def test_arrays_of_another_form(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are needed"):
        list(array_recordings(array, READING))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_arrays_are_clips_with_zeros_at_the_end(tmp_path: Path, dtype: type) -> None:
    values = np.random.default_rng(0).normal(size=(3, 3, 9, 25, 1)).astype(dtype)
    values[0, :, 6:] = 0
    values[1, 0, 2, 3, 0] = np.nan
    np.save(tmp_path / "mine.npy", values)
    found, rejected = read(tmp_path / "mine.npy")
    assert [len(clip) for clip in found.values()] == [6, 9] and list(found) == ["mine[0]", "mine[2]"]
    for t in range(9):
        for v in range(25):
            for c in range(3):
                assert found["mine[2]"][t, 0, v, c] == np.float32(values[2, c, t, v, 0])
    assert not found["mine[2]"][:, 1].any()
    assert rejected == ["mine.npy: [1]: holds a coordinate that is not a finite number"]
    with pytest.raises(InputError, match=r"array\[1\]: holds a coordinate"):
        list(array_recordings(values, READING))
