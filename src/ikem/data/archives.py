"""One view of a zip, a 7z archive and a folder: members by name, read in place. Nothing is unpacked to disk.

Limits keep a hostile or broken archive from filling the memory: a member's size, and how many times its own size an
archive may hold. A member that cannot be read carries the reason in `problem` and is never opened.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from ikem.data.clips import ClipError
from ikem.errors import InputError

LARGEST_MEMBER = 256 << 20
"""Bytes of a member. The largest known recordings have some 20 MB."""

LARGEST_RATIO = 400
"""Times its packed size that a member of more than a megabyte, or a whole archive, may unpack to. Text reaches 20."""

ZIP_METHODS = "Stored (0), Deflate (8), BZip2 (12) and LZMA (14)"

_BOMB = "unpacks to {size} bytes, {ratio} times its packed size; it looks like an archive bomb"


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: path inside the archive, with "/"; only ever shown and parsed.
        size: bytes when unpacked, as declared.
        number: its index in the archive.
        problem: why it cannot be read, or None.
        path: the file itself, where it is in a folder.
    """

    name: str
    size: int
    number: int
    problem: str | None = None
    path: Path | None = None

    @cached_property
    def stem(self) -> str:
        """The name without folders and ending."""
        return PurePosixPath(self.name).stem

    @cached_property
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

    def name_problem(self, member: Member) -> str | None:
        """Why the listed name may not be the member's, or None: what a reader ignores for its name is asked for it."""

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
    raise InputError(kind, location=str(path), hint="Delete it and get it again from its owner")


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
            self._infos = self._file.infolist()
            self._check_directory()
        except Exception as error:  # a broken directory fails in many ways
            raise InputError(
                f"is a broken or cut-off zip ({error})", location=str(path), hint="Delete it and download it again"
            ) from error

    def _check_directory(self) -> None:
        """Raise BadZipFile unless the directory has as many entries and bytes as its end record says.

        zipfile reads on while the size allows, so a wrong length in one entry hides those after it.
        """
        with self.path.open("rb") as stream:
            stream.seek(max(0, self.path.stat().st_size - (1 << 16) - 98))  # the longest end records, with a comment
            tail = stream.read()
        end = tail.rfind(b"PK\x05\x06")
        count, size = struct.unpack_from("<HL", tail, end + 10)
        modulus = 1 << 16  # some programs write more entries than the field can count
        if tail[end - 76 : end - 72] == b"PK\x06\x06":  # ZIP64
            count, size = struct.unpack_from("<QQ", tail, end - 76 + 32)
            modulus = 1 << 64
        listed = sum(
            46 + len(info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437"))
            + len(info.extra) + len(info.comment)
            for info in self._infos
        )  # fmt: skip
        if len(self._infos) % modulus != count or listed != size:
            raise zipfile.BadZipFile(
                f"its directory has {len(self._infos)} entries in {listed} bytes, its end record says {count} in {size}"
            )

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
            except Exception as error:  # each of the decompressors fails in its own ways
                yield member, ClipError(self._reason(error, member), location=f"{self.path.name}: {member.name}")

    def name_problem(self, member: Member) -> str | None:
        """See Archive. The name is in the directory and again before the member's data."""
        try:
            self._file.open(self._infos[member.number]).close()
        except Exception as error:
            return self._reason(error, member)
        return None

    def _reason(self, error: Exception, member: Member) -> str:
        if isinstance(error, NotImplementedError):
            method = self._infos[member.number].compress_type
            return f"cannot be unpacked (compression method {method} is not supported; {ZIP_METHODS} are)"
        return f"cannot be unpacked ({error if str(error) else type(error).__name__})"


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
                path = Path(folder, file)
                problem, size = None, 0
                try:
                    status = path.stat()
                    size = status.st_size
                    if not stat.S_ISREG(status.st_mode):
                        problem = "is no regular file"
                    elif path.is_symlink() and not path.resolve().is_relative_to(root):
                        problem = "is a link that leads out of the folder"
                except OSError as error:
                    problem = f"cannot be read ({error.strerror})"
                # A name need not be UTF-8; it is shown in messages and tables, which are.
                name = os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")
                members.append(Member(name, size, len(members), problem, path))
        return judged(members, [0] * len(members), 0, self.path)

    def name_problem(self, member: Member) -> str | None:
        """See Archive."""
        return None

    def _unreadable(self, error: OSError) -> None:
        raise InputError(f"cannot be read ({error.strerror})", location=str(error.filename or self.path)) from error

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, bytes | ClipError]]:
        """See Archive."""
        for member in members:
            assert member.path is not None
            try:
                with member.path.open("rb") as stream:
                    yield member, stream.read(LARGEST_MEMBER)
            except OSError as error:
                location = f"{self.path.name}: {member.name}"
                yield member, ClipError(f"cannot be read ({error.strerror})", location=location)


def read_text(path: Path) -> str:
    """A small text file as it comes, line ends included: UTF-8, with or without a byte-order mark."""
    try:
        if path.stat().st_size > LARGEST_MEMBER:
            raise InputError("is far too large", location=str(path))
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as text ({error})", location=str(path)) from error
