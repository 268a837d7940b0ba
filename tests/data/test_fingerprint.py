"""Raw files that change in place are noticed by content, and only what may have changed is read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ikem.data import fingerprint as module
from ikem.data.fingerprint import change_of, fingerprint, located, remember, write_record
from ikem.errors import InputError


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose content is read."""
    names: list[str] = []

    def digest(path: Path) -> str:
        names.append(Path(path).name)
        return digest_file(path)

    digest_file = module.digest_file
    monkeypatch.setattr(module, "digest_file", digest)
    return names


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in another process."""
    monkeypatch.setattr(module, "_seen", {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    (raw / "inner").mkdir(parents=True)
    (raw / "a.txt").write_text("1 2 3")
    (raw / "inner" / "b.txt").write_text("4 5 6")
    write_record(tmp_path / "raw.json", raw)
    return tmp_path


def rewrite(path: Path, text: str) -> None:
    """Another content under the same name, size and mtime."""
    before = path.stat()
    assert before.st_size == len(text)
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_same_name_size_and_time_but_other_content(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 10, numbers 2 and 35."""
    record = folder / "raw.json"
    forget(monkeypatch)
    assert change_of(record) is None
    rewrite(folder / "raw" / "inner" / "b.txt", "4 5 7")
    for _ in range(2):  # a second look says the same
        assert change_of(record) == f"the content of {folder / 'raw/inner/b.txt'} has changed"
    rewrite(folder / "raw" / "inner" / "b.txt", "4 5 6")
    assert change_of(record) is None


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_other_files(folder: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    forget(monkeypatch)
    a, c = folder / "raw" / "a.txt", folder / "raw" / "c.txt"
    {"added": lambda: c.write_text("7"), "removed": a.unlink, "renamed": lambda: a.rename(c)}[change]()
    assert (
        change_of(folder / "raw.json")
        == {
            "added": f"the content of {c} has changed",
            "removed": f"the content of {a} has changed",
            "renamed": f"the content of {a} and of 1 more files has changed",
        }[change]
    )


def test_a_copy_with_new_dates_is_the_same_and_is_read_once(
    folder: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = folder / "raw.json"
    forget(monkeypatch)
    assert change_of(record) is None and reads == []
    shutil.copytree(folder / "raw", folder / "copy")
    shutil.rmtree(folder / "raw")
    (folder / "copy").rename(folder / "raw")
    before = sorted(path.name for path in folder.iterdir())
    assert change_of(record) is None and sorted(reads) == ["a.txt", "b.txt"]
    assert change_of(record) is None and len(reads) == 2  # nor is anything read twice in a process
    assert sorted(path.name for path in folder.iterdir()) == before
    remember(record)
    forget(monkeypatch)
    assert change_of(record) is None and len(reads) == 2


@pytest.mark.parametrize(
    "harm", ["deleted", "{", "[]", '{"a.txt": [1]}', '{"a.txt": [0, 0, 0, "x"], "gone": [0, 0, 0, ""]}']
)
def test_without_its_stamps_everything_is_read(
    folder: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    forget(monkeypatch)
    (stamps,) = folder.glob(".raw.json.*")
    stamps.unlink() if harm == "deleted" else stamps.write_text(harm)
    assert change_of(folder / "raw.json") is None
    assert sorted(reads) == ["a.txt", "b.txt"]


def test_a_single_file(tmp_path: Path) -> None:
    archive, record = tmp_path / "a.zip", tmp_path / "a.json"
    archive.write_text("12345")
    write_record(record, archive)
    assert change_of(record) is None
    rewrite(archive, "12346")
    assert change_of(record) == f"the content of {archive} has changed"
    archive.unlink()
    assert change_of(record) is None


def test_a_folder_is_not_a_file_of_the_same_content(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("1")
    (tmp_path / "file").write_text("1")
    assert fingerprint(tmp_path / "folder")[0] != fingerprint(tmp_path / "file")[0]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "raw\udce9"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system refuses such names")
    (folder / "caf\udce9.skeleton").write_bytes(b"1")
    write_record(tmp_path / "record.json", folder)
    (tmp_path / "record.json").read_text(encoding="utf-8")
    assert located(tmp_path / "record.json") == folder
    (folder / "caf\udce9.skeleton").write_bytes(b"2")
    with pytest.raises(InputError, match=r"raw\\xe9: is not what it was .*caf\\xe9\.skeleton has changed") as caught:
        located(tmp_path / "record.json")
    str(caught.value).encode()


def test_what_is_no_file_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor's lock is a link to nothing; a pipe has no end."""
    record, lock = folder / "raw.json", folder / "raw" / ".#a.txt"
    forget(monkeypatch)
    lock.symlink_to("somebody@somewhere")
    assert change_of(record) == f"the content of {lock} has changed"
    lock.unlink()
    assert change_of(record) is None
    os.mkfifo(folder / "raw" / "pipe")
    write_record(record, folder / "raw")
    assert change_of(record) is None


def test_what_cannot_be_read_is_one_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    forget(monkeypatch)
    (folder / "raw" / "c.txt").write_text("7")
    monkeypatch.setattr(module, "digest_file", refuse)
    with pytest.raises(InputError, match=r"c\.txt: cannot be read \(Permission denied\)"):
        change_of(folder / "raw.json")
