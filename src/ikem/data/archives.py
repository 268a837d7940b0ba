"""One view of a zip, a 7z archive and a folder: members by name, read in place. Nothing is unpacked to disk.

Limits keep a hostile or broken archive from filling the memory: a member's size, and how many times its own size an
archive may hold. A member that cannot be read carries the reason in `problem` and is never opened.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from ikem.data.clips import ClipError
from ikem.errors import InputError

LARGEST_MEMBER = 256 << 20
"""Bytes of a member. The largest known recordings have some 20 MB."""

LARGEST_RATIO = 400
"""Times its packed size that a member of more than a megabyte, or a whole archive, may unpack to. Text reaches 20."""

_BOMB = "unpacks to {size} bytes, {ratio} times its packed size; it looks like an archive bomb"


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: path inside the archive, with "/"; only ever shown and parsed.
        size: bytes when unpacked, as declared.
        number: its place in the archive.
        problem: why it cannot be read, or None.
    """

    name: str
    size: int
    number: int
    problem: str | None = None

    @property
    def stem(self) -> str:
        """The name without folders and ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The ending, in small letters, with its dot."""
        return PurePosixPath(self.name).suffix.lower()


class Archive(Protocol):
    """What every kind of archive can do."""

    path: Path
    random_access: bool
    """Whether members can be read in any order; if not, only in one pass over the archive."""

    def members(self) -> list[Member]:
        """All files (no folders), sorted by name."""

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, bytes | ClipError]]:
        """Contents, or why one cannot be read; in the order given, or, without random access, in the archive's."""


def open_archive(path: Path) -> Archive:
    """Open a zip, a 7z archive or a folder.

    Raises:
        InputError: it is none of them, cut off, encrypted or a bomb.
    """
    if path.is_dir():
        return FolderArchive(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", location=str(path)) from error
    if head.startswith(b"7z\xbc\xaf\x27\x1c"):
        from ikem.data.sevenzip import SevenZipArchive

        return SevenZipArchive(path)
    if head.startswith(b"PK") or zipfile.is_zipfile(path):
        return ZipArchive(path)
    web = head.lstrip().lower().startswith((b"<!doctype", b"<html"))
    kind = "is a web page, not an archive: the download did not succeed" if web else "is no zip or 7z archive"
    raise InputError(kind, location=str(path), hint="Delete it and get it anew from its owner")


def judged(members: list[Member], packed: Sequence[int], total: int, path: Path) -> list[Member]:
    """Members sorted by name, with the problems that can be seen from outside.

    Args:
        members: members as listed; a problem that is set already stays.
        packed: packed size of each (0: unknown, or no packing).
        total: bytes of the archive (0: a folder).
        path: the archive, for messages.

    Raises:
        InputError: the whole archive unpacks to far more than its size.
    """
    size = sum(member.size for member in members)
    if total and size > LARGEST_RATIO * total + (64 << 20):
        raise InputError(_BOMB.format(size=size, ratio=size // total), location=str(path), hint="Get it from its owner")
    seen: set[str] = set()
    result = []
    for member, small in sorted(zip(members, packed, strict=True), key=lambda pair: (pair[0].name, pair[0].number)):
        problem = member.problem
        parts = member.name.replace("\\", "/").split("/")
        if problem is None and (".." in parts or member.name.startswith(("/", "\\")) or ":" in parts[0]):
            problem = "its path leads out of the archive"
        if problem is None and member.size > LARGEST_MEMBER:
            problem = f"has {member.size} bytes, more than {LARGEST_MEMBER} is no recording"
        if problem is None and small and member.size > max(1 << 20, LARGEST_RATIO * small):
            problem = _BOMB.format(size=member.size, ratio=member.size // small)
        if problem is None and member.name in seen:
            problem = "the archive has another member of this name"
        seen.add(member.name)
        result.append(replace(member, problem=problem))
    return result


class ZipArchive:
    """A zip file."""

    random_access = True

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = zipfile.ZipFile(path)
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise InputError(
                f"is a broken or cut-off zip ({error})", location=str(path), hint="Delete it and download it again"
            ) from error
        self._infos = self._file.infolist()

    def members(self) -> list[Member]:
        """See Archive."""
        members: list[Member] = []
        packed: list[int] = []
        for number, info in enumerate(self._infos):
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                raise InputError("is encrypted", location=str(self.path), hint="Give the archive without a password")
            kind = stat.S_IFMT(info.external_attr >> 16)
            problem = "is a link or special file" if kind not in (0, stat.S_IFREG) else None
            members.append(Member(info.filename, info.file_size, number, problem))
            packed.append(info.compress_size)
        return judged(members, packed, self.path.stat().st_size, self.path)

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, bytes | ClipError]]:
        """See Archive."""
        for member in members:
            try:
                yield member, self._file.read(self._infos[member.number])
            except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
                reason = f"cannot be unpacked ({error or type(error).__name__})"
                yield member, ClipError(reason, location=f"{self.path.name}: {member.name}")


class FolderArchive:
    """A folder, with its subfolders. Links are followed neither out of it nor into folders."""

    random_access = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def members(self) -> list[Member]:
        """See Archive."""
        root = self.path.resolve()
        members: list[Member] = []
        for folder, _, files in os.walk(root, onerror=self._unreadable):
            for file in files:
                place = Path(folder, file)
                problem, size = None, 0
                try:
                    status = place.stat()
                    size = status.st_size
                    if not stat.S_ISREG(status.st_mode):
                        problem = "is no regular file"
                    elif place.is_symlink() and not place.resolve().is_relative_to(root):
                        problem = "is a link that leads out of the folder"
                except OSError as error:
                    problem = f"cannot be read ({error.strerror})"
                members.append(Member(place.relative_to(root).as_posix(), size, len(members), problem))
        return judged(members, [0] * len(members), 0, self.path)

    def _unreadable(self, error: OSError) -> None:
        raise InputError(f"cannot be read ({error.strerror})", location=str(error.filename or self.path)) from error

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, bytes | ClipError]]:
        """See Archive."""
        for member in members:
            try:
                with (self.path / member.name).open("rb") as stream:
                    yield member, stream.read(LARGEST_MEMBER)
            except OSError as error:
                location = f"{self.path.name}: {member.name}"
                yield member, ClipError(f"cannot be read ({error.strerror})", location=location)


def read_text(path: Path) -> str:
    """A small text file as it comes: UTF-8, with or without a byte-order mark."""
    try:
        if path.stat().st_size > LARGEST_MEMBER:
            raise InputError("is far too large", location=str(path))
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as text ({error})", location=str(path)) from error
