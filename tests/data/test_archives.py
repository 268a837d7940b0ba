"""Zips, 7z archives and folders, good and hostile: an error or a problem, never a write, a hang or a wrong member."""

from __future__ import annotations

import io
import os
import random
import stat
import struct
import threading
import zipfile
import zlib

import py7zr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_support import steady, write_zip
from ikem.data import archives as module
from ikem.data.archives import open_archive, read_text
from ikem.data.clips import ClipError
from ikem.errors import InputError, Interrupted

MEMBERS = {"b/two.txt": b"second" * 100, "a/one.txt": b"first", "c.txt": b"", "b/deep/er/x.txt": b"x" * 5000}


def write_folder(path, members):
    for name, data in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def write_7z(path, members, **options):
    with py7zr.SevenZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writef(io.BytesIO(data), name)
    return path


MAKERS = {
    "zip": lambda folder: write_zip(folder / "a.zip", MEMBERS),
    "7z": lambda folder: write_7z(folder / "a.7z", MEMBERS),
    "folder": lambda folder: write_folder(folder / "a", MEMBERS),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_members_are_listed_sorted_and_read(tmp_path, kind):
    archive = open_archive(MAKERS[kind](tmp_path))
    before = sorted(tmp_path.rglob("*"))
    members = archive.members()
    assert [member.name for member in members] == sorted(MEMBERS)
    assert [member.problem for member in members] == [None] * 4
    assert {member.name: data for member, data in archive.read(members)} == MEMBERS
    assert {member.size for member in members} == {len(data) for data in MEMBERS.values()}
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", MAKERS)
def test_a_part_of_the_members(tmp_path, kind):
    archive = open_archive(MAKERS[kind](tmp_path))
    chosen = archive.members()[1:3]
    assert [member for member, _ in archive.read(chosen)] == chosen or kind == "7z"
    assert {member.name for member, _ in archive.read(chosen)} == {member.name for member in chosen}


def test_reading_of_a_7z_can_be_left_early(tmp_path):
    archive = open_archive(MAKERS["7z"](tmp_path))
    threads = threading.active_count()
    reading = archive.read(archive.members())
    next(iter(reading))
    reading.close()
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no zip or 7z"),
        (b"some text", "no zip or 7z"),
        (b"<!DOCTYPE html><html>sign in</html>", "web page"),
        (b"  <html>", "web page"),
        (b"PK\x03\x04 and then nothing of use", "cut-off zip"),
        (b"7z\xbc\xaf\x27\x1c and then nothing of use", "cut-off 7z"),
        (b"7z\xbc\xaf\x27\x1c", "cut-off 7z"),
    ],
)
def test_what_is_no_archive(tmp_path, content, reason):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        open_archive(path).members()


def test_absent_archive(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        open_archive(tmp_path / "none.zip")


@pytest.mark.parametrize("kind", ["zip", "7z"])
def test_truncated_archives(tmp_path, kind):
    path = MAKERS[kind](tmp_path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError):
            open_archive(path).members()


@pytest.mark.parametrize("kind", ["zip", "7z"])
@pytest.mark.parametrize("seed", range(150))
def test_flipped_bytes_give_the_same_data_or_an_error(tmp_path, kind, seed):
    path = MAKERS[kind](tmp_path)
    content = bytearray(path.read_bytes())
    source = random.Random(seed)
    for _ in range(source.choice((1, 1, 3))):
        content[source.randrange(len(content))] ^= 1 << source.randrange(8)
    path.write_bytes(content)
    try:
        archive = open_archive(path)
        members = [member for member in archive.members() if member.problem is None]
        read = list(archive.read(members))
    except InputError:
        return
    for _, data in read:
        assert isinstance(data, ClipError) or data in MEMBERS.values()


def test_a_corrupt_member_leaves_the_others_readable(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a": b"A" * 99, "b": os.urandom(999), "c": b"C" * 99}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(b"b") + 400] ^= 1
    path.write_bytes(content)
    archive = open_archive(path)
    read = {member.name: data for member, data in archive.read(archive.members())}
    assert read["a"] == b"A" * 99
    assert read["c"] == b"C" * 99
    assert isinstance(read["b"], ClipError)
    assert "CRC" in read["b"].message


def test_encrypted_zip(tmp_path):
    path = MAKERS["zip"](tmp_path)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        position = -1
        while (position := content.find(signature, position + 1)) >= 0:
            content[position + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="is encrypted"):
        open_archive(path).members()


@pytest.mark.parametrize("header", [False, True])
def test_encrypted_7z(tmp_path, header):
    path = write_7z(tmp_path / "a.7z", MEMBERS, password="secret", header_encryption=header)
    with pytest.raises(InputError, match="is encrypted"):
        open_archive(path).members()


BAD_PATHS = ["../out.txt", "a/../../out.txt", "/etc/out.txt", "..\\out.txt", "C:\\out.txt", "\\\\host\\out.txt", "a/.."]


@pytest.mark.parametrize("name", BAD_PATHS)
def test_paths_that_lead_out_are_never_read(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", {name: b"bad", "good.txt": b"good"})
    before = sorted(tmp_path.rglob("*"))
    members = {member.name: member for member in open_archive(path).members()}
    assert members["good.txt"].problem is None
    assert [member.problem for key, member in members.items() if key != "good.txt"] == [
        "its path leads out of the archive"
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_a_zip(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("file.txt", "file")
    problems = {member.name: member.problem for member in open_archive(path).members()}
    assert problems == {"file.txt": None, "link.txt": "is a link or special file"}


def test_links_in_a_7z(tmp_path):
    folder = write_folder(tmp_path / "f", {"file.txt": b"file"})
    (folder / "link.txt").symlink_to("file.txt")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.writeall(folder, "f")
    problems = {member.name: member.problem for member in open_archive(tmp_path / "a.7z").members()}
    assert problems == {"f/file.txt": None, "f/link.txt": "is a link or special file"}


def test_links_and_special_files_in_a_folder(tmp_path):
    folder = write_folder(tmp_path / "a", {"file.txt": b"file", "sub/other.txt": b"other"})
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "in.txt").symlink_to(folder / "file.txt")
    (folder / "nowhere.txt").symlink_to(folder / "nothing")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.txt")
    archive = open_archive(folder)
    members = {member.name: member for member in archive.members()}
    assert members["out.txt"].problem == "is a link that leads out of the folder"
    assert members["in.txt"].problem is None
    assert "cannot be read" in str(members["nowhere.txt"].problem)
    assert members["pipe.txt"].problem == "is no regular file"
    good = [member for member in members.values() if member.problem is None]
    assert {member.name: data for member, data in archive.read(good)} == {
        "file.txt": b"file",
        "in.txt": b"file",
        "sub/other.txt": b"other",
    }


def test_a_folder_may_itself_be_a_link(tmp_path):
    folder = write_folder(tmp_path / "real", {"file.txt": b"file"})
    (tmp_path / "link").symlink_to(folder)
    archive = open_archive(tmp_path / "link")
    assert [data for _, data in archive.read(archive.members())] == [b"file"]


def test_a_bomb_in_a_zip_is_refused_by_what_it_declares(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"zeros.txt": bytes(30 << 20), "good.txt": b"good"})
    members = {member.name: member.problem for member in open_archive(path).members()}
    assert members["good.txt"] is None
    assert "archive bomb" in str(members["zeros.txt"])


def test_many_bombs_are_refused_together(tmp_path):
    path = write_zip(tmp_path / "a.zip", {f"{n}.txt": bytes(15 << 20) for n in range(10)})
    with pytest.raises(InputError, match="archive bomb"):
        open_archive(path).members()


def test_a_zip_that_lies_about_a_size_is_an_error(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"zeros.txt": bytes(4 << 20)})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        position = content.find(signature)
        content[position + offset : position + offset + 4] = struct.pack("<I", 1000)
    path.write_bytes(content)
    archive = open_archive(path)
    [(member, data)] = archive.read(archive.members())
    assert member.size == 1000
    assert isinstance(data, ClipError)


def test_a_bomb_in_a_7z(tmp_path):
    path = write_7z(tmp_path / "a.7z", {"zeros.txt": bytes(200 << 20)})
    with pytest.raises(InputError, match="archive bomb"):
        open_archive(path).members()


@pytest.mark.parametrize("kind", MAKERS)
def test_members_that_are_too_large(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_MEMBER", 1000)
    problems = {member.name: member.problem for member in open_archive(MAKERS[kind](tmp_path)).members()}
    assert problems["a/one.txt"] is None
    assert "5000 bytes" in str(problems["b/deep/er/x.txt"])


def test_equal_names_in_one_zip(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.txt", "first")
        archive.writestr("a.txt", "second")
    archive = open_archive(path)
    first, second = archive.members()
    assert (first.problem, second.problem) == (None, "the archive has another member of this name")
    assert [data for _, data in archive.read([first])] == [b"first"]


def test_equal_names_in_one_7z(tmp_path):
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.writestr("first", "a.txt")
        archive.writestr("second", "a.txt")
    archive = open_archive(tmp_path / "a.7z")
    first, second = archive.members()
    assert (first.problem, second.problem) == (None, "the archive has another member of this name")
    assert [data for _, data in archive.read([first])] == [b"first"]


def renamed_7z(path, old, new):
    """Change a name in a 7z as other programs may write it, with the checksums of the header."""
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.set_encoded_header_mode(False)
        archive.writestr("first", "first.txt")
        archive.writestr("second", old)
    content = bytearray(path.read_bytes().replace(old.encode("utf-16-le"), new.encode("utf-16-le")))
    offset, size = struct.unpack_from("<QQ", content, 12)
    struct.pack_into("<I", content, 28, zlib.crc32(content[32 + offset : 32 + offset + size]))
    struct.pack_into("<I", content, 8, zlib.crc32(content[12:32]))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["./b.txt", "a//.txt", "a/./b.t", ".././x.", "/ab.txt", "a\\b.txt"[:7], "ab.txt\n"])
def test_every_member_of_a_7z_is_given_or_has_a_reason(tmp_path, name):
    archive = open_archive(renamed_7z(tmp_path / "a.7z", "abc.txt", name))
    members = archive.members()
    assert len(members) == 2
    read = dict(archive.read([member for member in members if member.problem is None]))
    for member in members:
        assert member.problem or read[member] == (b"first" if member.name == "first.txt" else b"second")


def test_a_member_that_a_7z_does_not_give_is_an_error(tmp_path, monkeypatch):
    archive = open_archive(MAKERS["7z"](tmp_path))
    members = archive.members()
    monkeypatch.setattr("py7zr.SevenZipFile.extract", lambda self, folder, targets, factory: None)
    assert {data.message for _, data in archive.read(members)} == {"was not unpacked"}


def test_unknown_compression_is_reported(tmp_path):
    path = MAKERS["zip"](tmp_path)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        position = -1
        while (position := content.find(signature, position + 1)) >= 0:
            content[position + offset] = 97
    path.write_bytes(content)
    archive = open_archive(path)
    for _, data in archive.read(archive.members()):
        assert isinstance(data, ClipError)


def test_odd_names_are_kept_as_they_are(tmp_path):
    names = ["; touch x", "a b.txt", "ü.txt", "$(x).txt", "-rf"]
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(names, b"x"))
    assert [member.name for member in open_archive(path).members()] == sorted(names)


@steady
@given(st.binary(max_size=300), st.sampled_from([b"PK\x03\x04", b"PK\x05\x06", b"7z\xbc\xaf\x27\x1c\x00\x04"]))
def test_any_bytes_after_a_signature_end_in_an_error(tmp_path, content, signature):
    path = tmp_path / "a.bin"
    path.write_bytes(signature + content)
    try:
        archive = open_archive(path)
        list(archive.read(archive.members()))
    except InputError as error:
        assert "a.bin" in str(error)


@pytest.mark.parametrize(("content", "good"), [(b"\xef\xbb\xbfplain", True), (b"\xff\xfe", False)])
def test_small_text_files(tmp_path, content, good):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    if good:
        assert read_text(path) == "plain"
    else:
        with pytest.raises(InputError, match="as text"):
            read_text(path)


def test_a_signal_is_no_fault_of_an_archive(tmp_path, monkeypatch):
    """It may come at any time, also while a directory is read."""

    def signal(self):
        raise Interrupted("SIGTERM")

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "1")
    monkeypatch.setattr(zipfile.ZipFile, "infolist", signal)
    with pytest.raises(Interrupted):
        open_archive(tmp_path / "a.zip").members()
