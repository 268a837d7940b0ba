"""Arrays and tables on disk: made in pieces, opened with checks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_support import VECTORS, ntu_members, steady, write_zip
from ikem.data.arrayfile import ArrayWriter, RowReader, clip_chunks, open_array, staging
from ikem.data.decode import decode
from ikem.data.prepare import prepare_clips
from ikem.data.store import generate_modalities, load_samples, prepare
from ikem.errors import InputError
from ikem.settings.data import Decode, Prepare
from ikem.skeleton import load_skeleton

SKELETON = load_skeleton("ntu25")
NAMES = ("joint", "motion", "bone", "acceleration", "rotation_axis", "angular_velocity")


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """The five published recordings."""
    folder = tmp_path_factory.mktemp("decoded")
    members = {path.name: path.read_bytes() for path in (VECTORS / "skeletons").glob("*.skeleton")}
    write_zip(folder / "a.zip", members)
    decode("ntu", "ntu25", {"skeletons": folder / "a.zip"}, folder, Decode())
    return folder


@pytest.fixture(scope="module")
def prepared(decoded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    prepare(decoded, folder, SKELETON, Prepare())
    return folder


def test_published_recordings_are_prepared_as_published(prepared):
    expected = np.load(VECTORS / "preprocess.npz")["position"]
    position = np.load(prepared / "position.npy", mmap_mode="r")
    assert position.dtype == np.float32
    assert position.flags.c_contiguous
    np.testing.assert_allclose(position, expected, rtol=1e-3, atol=1e-4)
    samples = load_samples(prepared / "samples.csv")
    assert "start" not in samples
    assert samples["frames"].tolist() == np.load(VECTORS / "preprocess.npz")["frames"].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_modalities_do_not_depend_on_the_pieces(prepared, tmp_path, monkeypatch, name):
    files = []
    for clips in (1, 2, 1000):
        monkeypatch.setattr("ikem.data.store._CHUNK_CLIPS", clips)
        generate_modalities(prepared, name, tmp_path / f"{clips}.npy", SKELETON)
        files.append(np.load(tmp_path / f"{clips}.npy", mmap_mode="r"))
    for array in files:
        assert array.dtype == np.float32
        assert array.shape == (5, 3, 50, 25, 2)
        np.testing.assert_allclose(array, files[0], rtol=1e-5, atol=1e-6)
    if name == "joint":
        assert (tmp_path / "1.npy").read_bytes() == (prepared / "position.npy").read_bytes()


def test_preparing_does_not_depend_on_the_pieces(decoded, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("ikem.data.store.clip_chunks", lambda frames: [(n, n + 1) for n in range(len(frames))])
    prepare(decoded, tmp_path, SKELETON, Prepare())
    assert (tmp_path / "position.npy").read_bytes() == (prepared / "position.npy").read_bytes()


@pytest.mark.parametrize(
    "choices",
    [
        {"center": "first-frame", "align_shoulders": "none", "scale": "unit-range-axes"},
        {"center": "frame", "align_shoulders": "first-frame", "scale": "unit-range"},
    ],
)
def test_choices_of_a_dataset(decoded, tmp_path, choices):
    coordinates, frames = np.load(decoded / "coordinates.npy"), load_samples(decoded / "samples.csv")["frames"]
    expected = prepare_clips(coordinates, np.cumsum(frames) - frames, frames, SKELETON, 20, **choices)
    prepare(decoded, tmp_path, SKELETON, Prepare(frames=20, **choices))
    assert np.array_equal(np.load(tmp_path / "position.npy"), expected)


@steady
@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 100))
def test_chunks_cover_all_clips_in_order(frames, most):
    chunks = list(clip_chunks(np.array(frames, np.int64), most))
    assert [clip for first, last in chunks for clip in range(first, last)] == list(range(len(frames)))
    assert all(last == first + 1 or sum(frames[first:last]) <= most for first, last in chunks)


@pytest.mark.parametrize("rows", [[], [1], [3, 0, 4]])
def test_written_arrays_are_plain_npy_files(tmp_path, rows):
    pieces = [np.random.default_rng(n).normal(size=(n, 2, 3)).astype(np.float32) for n in rows]
    with ArrayWriter(tmp_path / "a.npy", (2, 3)) as writer:
        for piece in pieces:
            writer.append(piece)
    expected = np.concatenate([np.zeros((0, 2, 3), np.float32), *pieces])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)
    np.testing.assert_array_equal(open_array(tmp_path / "a.npy", (2, 3)), expected)
    with RowReader(tmp_path / "a.npy") as reader:
        assert len(reader) == len(expected)
        np.testing.assert_array_equal(reader.rows(0, len(expected)), expected)
        np.testing.assert_array_equal(reader.rows(1, len(expected)), expected[1:]) if len(expected) else None


def test_arrays_of_other_writers_are_opened_too(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(open_array(tmp_path / "a.npy"), array)


def test_rows_that_do_not_fit(tmp_path):
    with ArrayWriter(tmp_path / "a.npy", (2, 3)) as writer:
        for rows in (np.zeros((1, 3, 2), np.float32), np.zeros((1, 2, 3))):
            with pytest.raises(ValueError, match="do not fit"):
                writer.append(rows)


def test_truncated_arrays(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((10, 4), np.float32))
    content = path.read_bytes()
    for size in [*range(0, 130, 3), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"a\.npy"):
            open_array(path)
    path.write_bytes(content + b"x")
    with pytest.raises(InputError, match="longer than"):
        open_array(path)


@pytest.mark.parametrize("position", range(0, 128))
def test_flipped_headers_are_an_error_or_the_same_array(tmp_path, position):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((10, 4), np.float32))
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    try:
        array = open_array(path, (4,))
    except InputError:
        return
    np.testing.assert_array_equal(array, np.ones((10, 4), np.float32))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4)),
        np.zeros((3, 4), ">f4"),
        np.zeros((3, 4), int),
        np.asfortranarray(np.zeros((3, 4), np.float32)),
        np.array(["a"]),
    ],
    ids=["float64", "big-endian", "int", "fortran", "text"],
)
def test_arrays_of_another_kind(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match="no array of little-endian float32"):
        open_array(tmp_path / "a.npy")


def test_arrays_of_another_shape(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match="has the shape"):
        open_array(tmp_path / "a.npy", (5,))


def test_objects_and_bundles_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        open_array(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", a=np.zeros(3))
    with pytest.raises(InputError):
        open_array(tmp_path / "b.npz")
    with pytest.raises(InputError, match="cannot be read"):
        open_array(tmp_path / "none.npy")


TABLE = "name,label,subject,frames,bodies,other\na,0,1,5,1,x\nNA,1,2,6,2,y\n"


def test_tables(tmp_path):
    (tmp_path / "s.csv").write_text(TABLE)
    samples = load_samples(tmp_path / "s.csv")
    assert samples["name"].tolist() == ["a", "NA"]
    assert samples["label"].dtype == np.int64


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("name,", "nom,", "no column name"),
        ("label", "class", "no column label"),
        (",5,", ",five,", "column frames must hold whole numbers"),
        (",5,", ",5.5,", "column frames must hold whole numbers"),
        (",5,", ",,", "column frames must hold whole numbers"),
        (",5,", ",0,", "column frames has a value that is too small"),
        ("a,0,", "a,99999,", "has a label beyond 999"),
        ("a,0,", "a,-1,", "column label has a value that is too small"),
        ("NA", "a", "names the clip 'a' twice"),
        ("x\n", "x,1,2,3\n", "cannot be read"),
        ("y\n", "y", "its last line has no end"),
        (",2,6,2,y\n", ",2", "its last line has no end"),
        (TABLE, "", "cannot be read"),
    ],
)
def test_bad_tables(tmp_path, old, new, reason):
    (tmp_path / "s.csv").write_text(TABLE.replace(old, new, 1))
    with pytest.raises(InputError, match=reason):
        load_samples(tmp_path / "s.csv")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'name,label,frames,bodies\n"a', b"\x00"])
def test_tables_that_are_none(tmp_path, content):
    (tmp_path / "s.csv").write_bytes(content)
    with pytest.raises(InputError):
        load_samples(tmp_path / "s.csv")


def test_an_absent_table(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_samples(tmp_path / "s.csv")


def test_decoded_files_that_do_not_belong_together(tmp_path):
    write_zip(tmp_path / "a.zip", ntu_members(3))
    decode("ntu", "ntu25", {"skeletons": tmp_path / "a.zip"}, tmp_path, Decode())
    table = (tmp_path / "samples.csv").read_text()
    (tmp_path / "samples.csv").write_text("\n".join(table.splitlines()[:-1]) + "\n")
    with pytest.raises(InputError, match="does not belong"):
        prepare(tmp_path, tmp_path / "prepared", SKELETON, Prepare())
    (tmp_path / "samples.csv").write_text(table)
    with pytest.raises(InputError, match="has the shape"):
        prepare(tmp_path, tmp_path / "prepared", load_skeleton("kinect20"), Prepare())
    assert not list((tmp_path / "prepared").glob("*"))


def test_a_set_of_files_takes_its_place_as_a_whole(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text("old")
    with pytest.raises(RuntimeError), staging(tmp_path, ("one", "two")) as scratch:
        (scratch / "one").write_text("new")
        raise RuntimeError
    assert [(tmp_path / name).read_text() for name in ("one", "two")] == ["old", "old"]
    with staging(tmp_path, ("one", "two")) as scratch:
        (scratch / "one").write_text("new")
        (scratch / "two").write_text("new")
    assert [(tmp_path / name).read_text() for name in ("one", "two")] == ["new", "new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_what_a_killed_run_left_is_removed(tmp_path):
    (tmp_path / ".two.unfinished").mkdir()
    (tmp_path / ".two.unfinished" / "huge").write_text("left over")
    with staging(tmp_path, ("one", "two")) as scratch:
        assert not list(scratch.iterdir())
        (scratch / "one").write_text("new")
        (scratch / "two").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
