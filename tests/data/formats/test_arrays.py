"""Bring your own: arrays and a table in a folder."""

from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_support import steady
from ikem.data.decode import decode
from ikem.data.splits import make_split
from ikem.data.store import load_samples, open_array, prepare
from ikem.errors import InputError
from ikem.settings.data import Decode, Prepare, Protocol
from ikem.skeleton import load_skeleton

SKELETON = """
name: five
joints: [hip, chest, head, left, right]
parents: {hip: chest, head: chest, left: chest, right: chest}
center: chest
plane: [hip, left, right]
shoulders: [left, right]
"""


def folder_of(tmp_path, array, table):
    (tmp_path / "mine").mkdir(exist_ok=True)
    np.save(tmp_path / "mine" / "skeletons.npy", array)
    (tmp_path / "mine" / "samples.csv").write_text(table)
    (tmp_path / "five.yaml").write_text(SKELETON)


def run(tmp_path, settings=Decode(max_rejected=1.0)):
    archives = {"folder": tmp_path / "mine"}
    summary = decode("arrays", str(tmp_path / "five.yaml"), archives, tmp_path / "decoded", settings)
    with (tmp_path / "decoded" / "rejected.csv").open(newline="") as stream:
        rejected = list(csv.DictReader(stream))
    return (
        summary,
        np.load(tmp_path / "decoded" / "coordinates.npy"),
        load_samples(tmp_path / "decoded" / "samples.csv"),
        rejected,
    )


def values(*shape, dtype=np.float32):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


RAGGED = "name,label,start,frames,subject,place\nb,1,0,4,1,here\na,0,4,6,2,there\nc,1,2,3,1,here\n"
FIXED = "name,label,frames\nb,1,4\na,0,6\nc,1,3\n"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("bodies", [None, 1, 2])
def test_ragged_clips(tmp_path, bodies, dtype):
    array = values(10, *(() if bodies is None else (bodies,)), 5, 3, dtype=dtype)
    folder_of(tmp_path, array, RAGGED)
    _, coordinates, samples, rejected = run(tmp_path)
    assert rejected == []
    assert samples["name"].tolist() == ["a", "b", "c"]
    assert samples["frames"].tolist() == [6, 4, 3]
    assert samples["place"].tolist() == ["there", "here", "here"]
    assert samples["subject"].tolist() == [2, 1, 1]
    assert samples["camera"].tolist() == [-1, -1, -1]
    expected = array.reshape(10, -1, 5, 3).astype(np.float32)
    np.testing.assert_array_equal(coordinates[:6, : expected.shape[1]], expected[4:10])
    np.testing.assert_array_equal(coordinates[6:10, : expected.shape[1]], expected[0:4])
    np.testing.assert_array_equal(coordinates[10:, : expected.shape[1]], expected[2:5])
    assert samples["bodies"].tolist() == [bodies or 1] * 3


@pytest.mark.parametrize("bodies", [None, 1, 2])
def test_clips_of_one_length(tmp_path, bodies):
    array = values(3, 6, *(() if bodies is None else (bodies,)), 5, 3)
    folder_of(tmp_path, array, FIXED)
    _, coordinates, samples, _ = run(tmp_path)
    expected = array.reshape(3, 6, -1, 5, 3)
    np.testing.assert_array_equal(coordinates[:6, : expected.shape[2]], expected[1])
    np.testing.assert_array_equal(coordinates[6:10, : expected.shape[2]], expected[0, :4])
    np.testing.assert_array_equal(coordinates[10:, : expected.shape[2]], expected[2, :3])
    (tmp_path / "mine" / "samples.csv").write_text("name,label\nb,1\na,0\nc,1\n")
    assert run(tmp_path)[2]["frames"].tolist() == [6, 6, 6]
    assert samples["frames"].tolist() == [6, 4, 3]


def test_all_the_way_to_a_split(tmp_path):
    folder_of(tmp_path, values(10, 5, 3), RAGGED)
    run(tmp_path)
    prepare(tmp_path / "decoded", tmp_path / "prepared", load_skeleton(str(tmp_path / "five.yaml")), Prepare(frames=8))
    assert open_array(tmp_path / "prepared" / "position.npy").shape == (3, 3, 8, 5, 1)
    samples = load_samples(tmp_path / "prepared" / "samples.csv")
    with pytest.raises(InputError, match="one class only"):
        make_split(samples, Protocol(column="place", train=("here",)))
    assert make_split(samples, Protocol(column="name", train=("a", "b")))["test"] == [2]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("d,1,0,4,1", "the row has 5 fields"),
        ("d,1,0,4,1,x,y", "the row has 7 fields"),
        (",1,0,4,1,x", "its name is empty"),
        ("a,1,0,4,1,x", "another clip has the name a"),
        ("x" * 300 + ",1,0,4,1,x", "too long"),
        ("d\x07,1,0,4,1,x", "not printable"),
        ("d,-1,0,4,1,x", "label is '-1'"),
        ("d,one,0,4,1,x", "label is 'one'"),
        ("d,1.5,0,4,1,x", "label is '1.5'"),
        ("d,99999,0,4,1,x", "its label is beyond 999"),
        ("d,1000,0,4,1,x", "its label is beyond 999"),
        ("d,1,-1,4,1,x", "start is '-1'"),
        ("d,1,7,4,1,x", "not within the array's 10"),
        ("d,1,0,0,1,x", "frames is '0'"),
        ("d,1,0,11,1,x", "not within"),
        ("d,1,0,999999999999999999,1,x", "not within"),
        ("d,1,0,4,me,x", "subject is 'me'"),
        ("d,1,0,9,1,x", "not a finite number"),
    ],
)
def test_bad_rows_are_rejected_with_their_line(tmp_path, row, reason):
    array = values(10, 5, 3)
    table = RAGGED.replace("a,0,4,6", "a,0,4,4") + row + "\n"
    array[8, 2, 1] = np.nan
    folder_of(tmp_path, array, table)
    _, _, samples, [rejected] = run(tmp_path)
    assert len(samples) == 3
    assert reason in rejected["reason"]
    assert (rejected["archive"], rejected["member"], rejected["line"]) == ("mine", "samples.csv", "5")


def test_odd_names_are_only_names(tmp_path):
    table = 'name,label,start,frames\n"; touch x",1,0,4\n"$(x), ""y""",0,4,4\nNA,1,2,3\n'
    folder_of(tmp_path, values(10, 5, 3), table)
    _, _, samples, _ = run(tmp_path)
    assert sorted(samples["name"]) == sorted(["; touch x", '$(x), "y"', "NA"])


@pytest.mark.parametrize(
    ("array", "table", "reason"),
    [
        (values(10, 4, 3), RAGGED, "has the shape"),
        (values(10, 5, 2), RAGGED, "has the shape"),
        (values(10, 3, 5, 3), RAGGED, "with M up to 2"),
        (values(10, 15), RAGGED, "has the shape"),
        (values(3, 6, 3, 5, 3), FIXED, "with M up to 2"),
        (values(4, 6, 5, 3), FIXED, "has 4 clips, samples.csv has 3 rows"),
        (values(10, 5, 3).astype(int), RAGGED, "floating-point"),
        (np.asfortranarray(values(10, 5, 3)), RAGGED, "in C order"),
        (values(10, 5, 3), "", "has no column name, label"),
        (values(10, 5, 3), "name,start\n", "has no column label, frames"),
        (values(10, 5, 3), "name,label,start,frames,name\n", "odd or equal names"),
        (values(10, 5, 3), "name,label,start,frames,a b\n", "odd or equal names"),
        (values(10, 5, 3), 'name,label,start,frames\n"a,1,0,4\n', "is no CSV table"),
        (values(10, 5, 3), "name,label,start,frames\n", "no clip to read"),
        (
            values(30, 5, 3),
            "name,label,start,frames\na,0,0,9\nb,1,9,20"[:-1],
            "may be cut off: its last line has no end",
        ),
        (values(30, 5, 3), "name,label,start,frames\na,0,0,9\nb,1,9,20", "may be cut off: its last line has no end"),
    ],
)
def test_layouts_that_do_not_fit(tmp_path, array, table, reason):
    folder_of(tmp_path, array, table)
    with pytest.raises(InputError, match=reason):
        run(tmp_path)


def test_a_header_that_python_2_wrote(tmp_path, recwarn):
    """Its whole numbers may end with an L."""
    folder_of(tmp_path, values(4, 10, 5, 3), "name,label\na,0\nb,1\nc,0\nd,1\n")
    path = tmp_path / "mine" / "skeletons.npy"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(4, 10, 5, 3), }  ", b"(4L, 10, 5, 3), } "))
    assert path.stat().st_size == len(content)
    assert run(tmp_path)[0]["clips"] == 4
    assert not recwarn.list


def test_objects_are_never_unpickled(tmp_path):
    folder_of(tmp_path, values(10, 5, 3), RAGGED)
    np.save(tmp_path / "mine" / "skeletons.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"no whole \.npy file"):
        run(tmp_path)


@pytest.mark.parametrize("name", ["skeletons.npy", "samples.csv"])
def test_absent_files(tmp_path, name):
    folder_of(tmp_path, values(10, 5, 3), RAGGED)
    (tmp_path / "mine" / name).unlink()
    with pytest.raises(InputError, match=name):
        run(tmp_path)


def test_cut_off_arrays(tmp_path):
    folder_of(tmp_path, values(10, 5, 3), RAGGED)
    path = tmp_path / "mine" / "skeletons.npy"
    content = path.read_bytes()
    for size in (0, 5, 50, 127, 128, 200, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InputError):
            run(tmp_path)


@steady
@given(st.text(max_size=200))
def test_any_table_ends_in_an_error(tmp_path, text):
    folder_of(tmp_path, values(10, 5, 3), RAGGED)
    (tmp_path / "mine" / "samples.csv").write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(InputError):
        run(tmp_path)


CONFIG = """
data: {folder}
results: {folder}/results
datasets:
  mine:
    title: Five joints
    format: arrays
    skeleton: {folder}/five.yaml
    archives: {{folder: {{file: mine}}}}
    class_names: [still, moving]
    prepare: {{frames: 16}}
    protocols:
      odd: {{column: place, train: [here], test: [there]}}
recipes:
  tiny:
    encoder: {{hidden_channels: 4, hidden_dim: 16, feature_dim: 8}}
    contrast: {{queue_size: 32}}
    schedule: {{epochs: 2, decay: {{epoch: 1}}, batch_size: 8, learning_rate: 0.1}}
    stage1_epochs: 1
methods:
  random: {{recipe: tiny, modalities: [joint, angular_velocity]}}
benchmark:
  - {{dataset: mine, protocols: [odd], methods: [random], evaluations: [knn-1]}}
"""


def test_a_dataset_of_ones_own_reaches_a_table(tmp_path):
    random = np.random.default_rng(0)
    rows, clips = ["name,label,start,frames,place"], []
    for number in range(48):
        label, frames = number % 2, int(random.integers(10, 30))
        clip = random.normal(size=(1, 5, 3)) + label * random.normal(size=(frames, 5, 3)) + np.zeros((frames, 5, 3))
        rows.append(f"clip {number},{label},{sum(map(len, clips))},{frames},{'here' if number % 3 else 'there'}")
        clips.append(clip)
    folder_of(tmp_path, np.concatenate(clips).astype(np.float32), "\n".join(rows) + "\n")
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    line = [sys.executable, "-m", "ikem", "run", str(tmp_path / "config.yaml")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=170, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "results" / "tables" / "results.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert {row["dataset"] for row in table} == {"mine"}
    assert len(table) >= 3
