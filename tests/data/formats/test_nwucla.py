"""Northwestern-UCLA: JSON files, good and bad."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_support import nwucla_bytes, steady, write_zip
from ikem.data.clips import ClipError
from ikem.data.decode import decode
from ikem.data.formats.nwucla import label_of, parse_name, read_json
from ikem.data.store import load_samples
from ikem.settings.data import Decode

STEM = "a01_s01_e00_v01"


def fault(data: bytes) -> ClipError:
    with pytest.raises(ClipError) as caught:
        read_json(data, "archive.zip: member", STEM, 0)
    return caught.value


def changed(**more: object) -> bytes:
    return json.dumps(json.loads(nwucla_bytes()) | more).encode()


def test_coordinates():
    data = nwucla_bytes(frames=7)
    coordinates = read_json(data, "", STEM, 0)
    assert coordinates.shape == (7, 2, 20, 3)
    assert coordinates.dtype == np.float32
    np.testing.assert_array_equal(coordinates[:, 0], np.array(json.loads(data)["skeletons"]).astype(np.float32))
    assert not coordinates[:, 1].any()


def test_mark_and_line_ends():
    data = b"\xef\xbb\xbf" + nwucla_bytes().replace(b", ", b",\r\n")
    np.testing.assert_array_equal(read_json(data, "", STEM, 0), read_json(nwucla_bytes(), "", STEM, 0))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a12_s10_e05_v03", {"subject": 10, "camera": 3, "setup": 0, "replication": 5, "action": 12}),
        ("a1_s10_e05_v03", None),
        ("a12_s10_e05_v03x", None),
        ("a١٢_s10_e05_v03", None),
    ],
)
def test_names(name, expected):
    assert parse_name(name) == expected


def test_labels_follow_the_actions():
    assert [label_of(action) for action in (1, 6, 7, 8, 9, 10, 11, 12, 13, 0)] == [
        0,
        5,
        None,
        6,
        7,
        None,
        8,
        9,
        None,
        None,
    ]


good = json.loads(nwucla_bytes())["skeletons"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not JSON"),
        (b"[]", "needs the keys"),
        (b"{}", "needs the keys"),
        (b"null", "needs the keys"),
        (b"{" * 5000, "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff\xfe{", "UTF-8"),
        (b'{"file_name": 1' + b"0" * 5000 + b"}", "is not JSON"),
        (changed(file_name="a01_s01_e00_v02"), "file_name"),
        (changed(file_name=None), "file_name"),
        (changed(label=2), "label"),
        (changed(label=True), "label"),
        (changed(label="1"), "label"),
        (changed(skeletons="no"), "no list of frames"),
        (changed(skeletons={}), "no list of frames"),
        (changed(skeletons=[[]]), "frame 1 is not"),
        (changed(skeletons=[*good, good[0][:19]]), "frame 5 is not"),
        (changed(skeletons=[[*good[0], good[0][0]]]), "frame 1 is not"),
        (changed(skeletons=[[joint[:2] for joint in good[0]]]), "frame 1 is not"),
        (changed(skeletons=[good[0], [*good[1][:19], [1, 2]]]), "frame 2 is not"),
        (changed(skeletons=[[["a", "b", "c"]] * 20]), "frame 1 is not"),
        (changed(skeletons=[[[True, False, True]] * 20]), "frame 1 is not"),
        (changed(skeletons=[[[None, 1, 2]] * 20]), "frame 1 is not"),
        (changed(skeletons=[[[10**400, 1, 2]] * 20]), "frame 1 is not"),
        (changed(skeletons=[[[float("nan"), 1, 2]] * 20]), "not a finite number"),
        (changed(skeletons=[[[float("inf"), 1, 2]] * 20]), "not a finite number"),
        (changed(skeletons=[[[1e300, 1, 2]] * 20]), "not a finite number"),
        (changed(skeletons=[[[1e4, 1, 2]] * 20]), "beyond 1000 m"),
    ],
)
def test_bad_files(data, reason):
    assert reason in fault(data).message


def test_truncation_anywhere_is_an_error_with_its_line():
    data = nwucla_bytes(frames=1)
    for size in range(0, len(data), 3):
        assert fault(data[:size]).line >= 1


@steady
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_in_place_of_the_skeletons_is_an_error_or_empty(value):
    with contextlib.suppress(ClipError):
        assert len(read_json(changed(skeletons=value), "", STEM, 0)) == 0


def test_decoding(tmp_path):
    stems = ["a01_s01_e00_v01", "a12_s02_e01_v03"]
    members = {f"all_sqe/{stem}.json": nwucla_bytes(stem, label) for stem, label in zip(stems, (1, 10), strict=True)}
    bad = {
        "all_sqe/a07_s01_e00_v01.json": nwucla_bytes(),
        "x.json": b"",
        "a02_s01_e00_v01.json": nwucla_bytes("a02_s01_e00_v01", 2, 0),
    }
    write_zip(tmp_path / "a.zip", members | bad)
    summary = decode("nwucla", "kinect20", {"skeletons": tmp_path / "a.zip"}, tmp_path / "d", Decode(max_rejected=1))
    samples = load_samples(tmp_path / "d" / "samples.csv")
    assert samples["name"].tolist() == stems
    assert samples["label"].tolist() == [0, 9]
    assert samples["camera"].tolist() == [1, 3]
    assert samples["bodies"].tolist() == [1, 1]
    assert summary["rejected"] == 3
