"""Inputs on which reading once failed: each file of `failing_inputs`, and the kind of fault that it stands for.

Folders carry the number of the fault in the issue "Silent wrong numbers, tracebacks and hangs found by attack".
"""

from __future__ import annotations

import csv
import io
import json
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import py7zr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_support import ntu_members, ntu_name, nwucla_bytes, skeleton_bytes, steady, video_bytes, write_zip
from ikem.data.archives import open_archive
from ikem.data.clips import ClipError, Reject
from ikem.data.decode import decode
from ikem.data.formats.pkummd import read_split_file
from ikem.data.rejected import read_rejected, write_rejected
from ikem.data.splits import make_split
from ikem.data.store import load_samples, prepare
from ikem.errors import InputError
from ikem.settings.data import Decode, Prepare, Protocol
from ikem.skeleton import load_skeleton

INPUTS = Path(__file__).with_name("failing_inputs")
ALL = Decode(max_rejected=1.0)


def read(folder: Path, name: str, skeleton: str, raw: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Names of the clips and rows of rejected.csv of a raw file of the role `skeletons` (arrays: `folder`)."""
    decode(name, skeleton, {"folder" if name == "arrays" else "skeletons": raw}, folder, ALL)
    tables = []
    for file in ("samples.csv", "rejected.csv"):
        with (folder / file).open(newline="", encoding="utf-8") as stream:
            tables.append(list(csv.DictReader(stream)))
    return [row["name"] for row in tables[0]], tables[1]


def contents_of(path: Path) -> list[tuple[str, bytes | ClipError | str]]:
    """What reading an archive gives: name of each member, and its content, error or problem."""
    archive = open_archive(path)
    members = archive.members()
    found: list[tuple[str, bytes | ClipError | str]] = [(m.name, m.problem) for m in members if m.problem is not None]
    for member, data in archive.read([member for member in members if member.problem is None]):
        found.append((member.name, archive.name_problem(member) or data))
    return sorted(found, key=lambda pair: pair[0])


def test_01_split_values_stay_text(tmp_path):
    source = INPUTS / "01-split-values-merge"
    decode("arrays", str(source / "mine.yaml"), {"folder": source}, tmp_path / "decoded", ALL)
    prepare(tmp_path / "decoded", tmp_path / "prepared", load_skeleton(str(source / "mine.yaml")), Prepare(frames=8))
    for folder in ("decoded", "prepared"):
        samples = load_samples(tmp_path / folder / "samples.csv")
        assert samples["session"].value_counts().to_dict() == {"1.1": 10, "1.10": 10, "1.2": 10, "1.20": 10}
        split = make_split(samples, Protocol(column="session", train=("1.1",)))
        assert split["counts"] == {"train": 10, "test": 30}
    assert load_samples(source / "decoded.csv")["session"].tolist() == ["1.1", "1.10", "1.2"]


WORDS = ["12e3", "12000", "01", "1", "1.0", "nan", "NA", "", "true", "True", "inf", "0x1", "1_0", "-0", "2020-01-01"]


def folder_of_words(folder: Path, words: list[str]) -> Path:
    """Clips of `format: arrays`, one for each word of the column `word`."""
    folder.mkdir()
    np.save(folder / "skeletons.npy", np.random.default_rng(0).normal(size=(len(words), 8, 5, 3)).astype(np.float32))
    with (folder / "samples.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(["name", "label", "word"])
        writer.writerows([f"c{number:03}", number % 2, word] for number, word in enumerate(words))
    return folder


def words_of(tmp_path: Path, words: list[str]) -> list[str]:
    """The column `word` after decoding and preparing."""
    skeleton = str(INPUTS / "01-split-values-merge" / "mine.yaml")
    folder = folder_of_words(tmp_path / "mine", words)
    decode("arrays", skeleton, {"folder": folder}, tmp_path / "decoded", ALL)
    prepare(tmp_path / "decoded", tmp_path / "prepared", load_skeleton(skeleton), Prepare(frames=8))
    return load_samples(tmp_path / "prepared" / "samples.csv")["word"].tolist()


@pytest.mark.parametrize("words", [WORDS, ["1", "2", "03"], ["1.10", "1.1"]])
def test_01_words_that_look_like_numbers(tmp_path, words):
    assert words_of(tmp_path, words) == words


def test_07_a_directory_that_hides_members(tmp_path):
    with pytest.raises(InputError, match=r"its directory has 1 entries in .* bytes, its end record says 4"):
        read(tmp_path, "ntu", "ntu25", INPUTS / "07-zip-directory-bit" / "a.zip")


@pytest.mark.parametrize("size", [3, 40])
def test_07_every_bit_of_a_directory_is_harmless_or_reported(tmp_path, size):
    contents = {f"{number:02}.skeleton": b"%d" % number * size for number in range(4)}
    path = write_zip(tmp_path / "a.zip", contents)
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02")
    for position in range(start * 8, len(whole) * 8):
        changed = bytearray(whole)
        changed[position // 8] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            found = contents_of(path)
        except InputError:
            continue
        wrong = [name for name, data in found if isinstance(data, bytes) and contents.get(name) != data]
        assert not wrong, position
        assert len(found) == 4, position


def test_07_directories_of_zip64_and_with_comments(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"a comment of the archive" * 9
        for number in range(5):
            info = zipfile.ZipInfo(f"é{number}.txt")
            info.comment, info.extra = b"comment", struct.pack("<HH4s", 0x9999, 4, b"more")
            archive.writestr(info, b"x")
    assert [data for _, data in contents_of(path)] == [b"x"] * 5
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)  # more members than that need the records of zip64
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(5):
            archive.writestr(f"{number}.txt", b"x")
    whole = path.read_bytes()
    assert b"PK\x06\x06" in whole
    assert [data for _, data in contents_of(path)] == [b"x"] * 5
    path.write_bytes(whole.replace(struct.pack("<QQ", 5, 5), struct.pack("<QQ", 6, 6)))
    with pytest.raises(InputError, match="its end record says 6"):
        open_archive(path)


def test_10_a_damaged_lzma_member_is_a_rejected_clip(tmp_path):
    names, rejected = read(tmp_path, "ntu", "ntu25", INPUTS / "10-lzma-member-bit" / "a.zip")
    assert len(names) + len(rejected) == 4
    assert len(rejected) == 1
    assert "cannot be unpacked" in rejected[0]["reason"]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_10_every_damaged_byte_of_a_packed_member(tmp_path, method):
    contents = {"a.txt": random.Random(0).randbytes(100) * 3}
    path = write_zip(tmp_path / "a.zip", contents, method)
    whole = path.read_bytes()
    for position in range(35, whole.index(b"PK\x01\x02")):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        [(_, data)] = contents_of(path)
        assert isinstance(data, ClipError) or data == contents["a.txt"], position


def test_10_an_unknown_method_is_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.txt": b"text"})
    content = path.read_bytes().replace(b"\x08\x00", b"\x5f\x00")
    path.write_bytes(content)
    assert "compression method 95 is not supported" in str(contents_of(path))


@pytest.mark.parametrize("name", ["ppmd-signal_11-46.7z", "ppmd-signal_11-7.7z"])
def test_20_ppmd_is_refused_by_name(name):
    with pytest.raises(InputError, match=r"is packed with PPMd, which is not read.*pack it again with LZMA2"):
        open_archive(INPUTS / "20-ppmd" / name).members()


X86, LZMA2 = {"id": py7zr.FILTER_X86}, {"id": py7zr.FILTER_LZMA2, "preset": 1}


@pytest.mark.parametrize(
    ("filters", "refused"),
    [
        ([{"id": py7zr.FILTER_COPY}], None),
        ([LZMA2], None),
        ([X86, LZMA2], None),
        ([X86, {"id": py7zr.FILTER_LZMA}], None),
        ([{"id": py7zr.FILTER_DELTA}, LZMA2], None),
        ([{"id": py7zr.FILTER_BZIP2}], None),
        ([{"id": py7zr.FILTER_DEFLATE}], None),
        ([{"id": py7zr.FILTER_PPMD, "order": 6, "mem": 20}], "PPMd"),
        ([{"id": py7zr.FILTER_ZSTD, "level": 3}], "Zstandard"),
        ([{"id": py7zr.FILTER_BROTLI, "level": 3}], "Brotli"),
    ],
)
def test_20_methods_that_are_read_and_refused(tmp_path, filters, refused):
    contents = {f"{number}.txt": b"some text %d" % number * 50 for number in range(3)}
    path = tmp_path / "a.7z"
    with py7zr.SevenZipFile(path, "w", filters=filters) as archive:
        for name, data in contents.items():
            archive.writef(io.BytesIO(data), name)
    if refused is None:
        assert dict(contents_of(path)) == contents
    else:
        with pytest.raises(InputError, match=f"is packed with {refused}, which is not read"):
            open_archive(path).members()


def test_11_booleans_are_no_coordinates(tmp_path):
    names, rejected = read(tmp_path, "nwucla", "kinect20", INPUTS / "11-booleans" / "a.zip")
    assert names == ["a01_s01_e00_v01", "a12_s10_e03_v03"]
    assert "frame" in rejected[0]["reason"]
    assert "is not 20 joints of three numbers" in rejected[0]["reason"]


def change(**keys: object) -> bytes:
    return json.dumps(json.loads(nwucla_bytes()) | keys).encode()


JOINT = [0.5, 1, -2]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (change(skeletons=[[*[JOINT] * 19, [True, 0, 0]]]), "three numbers"),
        (change(skeletons=[[*[JOINT] * 19, [0, False, 0]]]), "three numbers"),
        (change(skeletons=[[*[JOINT] * 19, ["1", 0, 0]]]), "three numbers"),
        (change(skeletons=[[*[JOINT] * 19, [None, 0, 0]]]), "three numbers"),
        (change(label=True), "label is another one"),
        (nwucla_bytes().replace(b'"label": 1', b'"label": 2, "label": 1'), "has the key 'label' twice"),
        (nwucla_bytes().replace(b'{"file_name"', b'{"skeletons": [], "file_name"'), "has the key 'skeletons' twice"),
    ],
)
def test_11_what_json_may_hold_instead_of_numbers(tmp_path, data, reason):
    write_zip(
        tmp_path / "a.zip", {"a01_s01_e00_v01.json": data, "a02_s01_e00_v01.json": nwucla_bytes("a02_s01_e00_v01", 2)}
    )
    names, rejected = read(tmp_path, "nwucla", "kinect20", tmp_path / "a.zip")
    assert names == ["a02_s01_e00_v01"]
    assert reason in rejected[0]["reason"]


@pytest.mark.parametrize("separator", ["\v", "\f", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\u2028", "\u2029"])
def test_12_only_line_feeds_and_carriage_returns_end_a_row(tmp_path, separator):
    source = INPUTS / "12-row-separators"
    folder = tmp_path / "f"
    folder.mkdir()
    np.save(folder / "skeletons.npy", np.load(source / "f" / "skeletons.npy")[:5])
    table = (source / "f" / "samples.csv").read_bytes()
    assert b"he\x0bre" in table
    (folder / "samples.csv").write_bytes(table.replace(b"\x0b", separator.encode()))
    decode("arrays", str(source / "sk.yaml"), {"folder": folder}, tmp_path / "decoded", ALL)
    samples = load_samples(tmp_path / "decoded" / "samples.csv")
    assert samples["place"].tolist() == ["here", f"he{separator}re", "here", "there", "there"]


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nb", 'a","b', "a\x0bb", "a\x85b", "a\u2028b", "a\x00b"])
def test_12_names_of_rejected_members_come_through(tmp_path, text):
    rejects = [Reject("a.zip", f"{text}.skeleton", 3, f"{text} is odd", 2), Reject("b", "c", 0, "d")]
    write_rejected(tmp_path / "rejected.csv", rejects)
    assert read_rejected(tmp_path / "rejected.csv") == [(f"{text}.skeleton", f"line 3: {text} is odd"), ("c", "d")]


def test_12_a_row_that_an_array_has_too_many(tmp_path):
    source = INPUTS / "12-row-separators"
    with pytest.raises(InputError, match=r"has 6 clips, samples\.csv has 5 rows"):
        decode("arrays", str(source / "sk.yaml"), {"folder": source / "f"}, tmp_path, ALL)


@steady
@given(st.lists(st.text(st.characters(codec="utf-8")).map(lambda word: word.strip(" \t")), min_size=1, max_size=4))
def test_12_any_text_comes_through(tmp_path_factory, words):
    assert words_of(tmp_path_factory.mktemp("words"), words) == words


@pytest.mark.parametrize(
    ("folder", "line", "word"), [("399", 3, "0002-Q"), ("401", 3, "0002-")], ids=["misspelt", "broken"]
)
def test_13_lines_of_a_split_file_that_are_neither_names_nor_headers(folder, line, word):
    with pytest.raises(InputError, match=rf"xs\.txt, line {line}: '{word}' is neither the name of a video"):
        read_split_file(INPUTS / "13-pku-split-headers" / folder / "xs.txt")
    parts = read_split_file(INPUTS / "13-pku-split-headers" / folder / "xv.txt")
    assert parts == {"0002-M": "train", "0003-R": "train", "0002-L": "test", "0005-L": "test"}


def test_18_a_file_name_that_is_not_utf8(tmp_path):
    (tmp_path / "f").mkdir()
    for name, data in ntu_members(2).items():
        (tmp_path / "f" / name).write_bytes(data)
    try:
        Path(tmp_path / "f" / "caf\udce9.skeleton").write_bytes(b"x")
    except OSError:
        pytest.skip("the file system refuses such names")
    names, rejected = read(tmp_path / "out", "ntu", "ntu25", tmp_path / "f")
    assert len(names) == 2
    assert rejected[0]["member"] == "caf\\xe9.skeleton"


def test_21_frames_without_bodies_are_no_clip(tmp_path):
    frames = 99_999
    bomb = f"{frames}\n".encode() + skeleton_bytes((1,))[2:] + b"0\n" * (frames - 1)
    members = {f"{ntu_name(action=number)}.skeleton": bomb for number in range(2, 9)}
    path = write_zip(tmp_path / "a.zip", {f"{ntu_name()}.skeleton": skeleton_bytes(), **members})
    assert path.stat().st_size < 36_000
    names, rejected = read(tmp_path, "ntu", "ntu25", path)
    assert names == [ntu_name()]
    assert {row["reason"] for row in rejected} == {f"has {frames} frames in {len(bomb)} bytes; nearly all are empty"}


def test_21_a_clip_whose_frames_are_mostly_empty_is_read(tmp_path):
    sparse = skeleton_bytes((1, *[0] * 1500, 1))
    names, _ = read(tmp_path, "ntu", "ntu25", write_zip(tmp_path / "a.zip", {f"{ntu_name()}.skeleton": sparse}))
    assert names == [ntu_name()]


@pytest.mark.parametrize("raw", ["arrays", "pkummd"])
def test_21_frames_that_are_used_again_and_again(tmp_path, raw):
    if raw == "arrays":
        folder = folder_of_words(tmp_path / "mine", ["x"])
        np.save(folder / "skeletons.npy", np.ones((1000, 5, 3), np.float32))
        rows = "".join(f"c{number},0,0,1000\n" for number in range(800))
        (folder / "samples.csv").write_text(f"name,label,start,frames\n{rows}")
        archives, skeleton = {"folder": folder}, str(INPUTS / "01-split-values-merge" / "mine.yaml")
    else:
        archives, skeleton = {role: tmp_path / role for role in ("skeletons", "labels")}, "ntu25"
        write_zip(archives["skeletons"], {"0002-L.txt": video_bytes(300)})
        write_zip(archives["labels"], {"0002-L.txt": b"1,1,300,1\n" * 1500})
    with pytest.raises(InputError, match="they look like an archive bomb"):
        decode(raw, skeleton, archives, tmp_path / "out", ALL)
    assert not list((tmp_path / "out").iterdir())
