"""7z archives, read member by member in one pass: what is solid cannot be entered in the middle."""

from __future__ import annotations

import io
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from queue import Queue
from typing import Any

import py7zr
from py7zr.archiveinfo import Folder, HeaderStreamsInfo, SignatureHeader
from py7zr.io import Py7zIO, WriterFactory
from py7zr.properties import PROPERTY

from ikem.data.archives import LARGEST_MEMBER, Member, judged
from ikem.data.clips import ClipError
from ikem.errors import InputError

METHODS = {
    b"\x00": "Copy",
    b"\x21": "LZMA2",
    b"\x03\x01\x01": "LZMA",
    b"\x04\x01\x08": "Deflate",
    b"\x04\x02\x02": "BZip2",
    b"\x03": "Delta",
    b"\x03\x03\x01\x03": "BCJ",
}
"""Compression methods and filters that are read, by their 7z ids. A damaged PPMd stream crashes the process."""

_OTHERS = {
    b"\x03\x03\x01\x1b": "BCJ2",
    b"\x03\x04\x01": "PPMd",
    b"\x04\x01\x09": "Deflate64",
    b"\x04\xf7\x11\x01": "Zstandard",
    b"\x04\xf7\x11\x02": "Brotli",
}
_ENCRYPTED = b"\x06\xf1\x07\x01"
_START = 32  # bytes before the first block


class _Stopped(Exception):
    """The reader wants no more members."""


class SevenZipArchive:
    """A 7z archive. One thread unpacks, a few members ahead of who reads."""

    random_access = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def _open(self, stream: Any) -> py7zr.SevenZipFile:
        try:
            # The list of members may itself be packed, and opening the archive unpacks it.
            signature = SignatureHeader.retrieve(stream)
            stream.seek(_START + signature.nextheaderofs)
            header = io.BytesIO(stream.read(signature.nextheadersize))
            if header.read(1) == PROPERTY.ENCODED_HEADER:
                self._check_methods(HeaderStreamsInfo.retrieve(header).unpackinfo.folders)
            stream.seek(0)
            archive = py7zr.SevenZipFile(stream, "r")
            if archive.needs_password():
                raise py7zr.PasswordRequired("")
            if archive.header.main_streams is not None:
                self._check_methods(archive.header.main_streams.unpackinfo.folders)
        except InputError:
            raise
        except Exception as error:  # a broken archive fails in many ways
            raise self._broken(error) from error
        return archive

    def _check_methods(self, folders: list[Folder]) -> None:
        """Raise InputError if a block is packed by a method that is not read."""
        methods = {coder["method"] for folder in folders for coder in folder.coders}
        if _ENCRYPTED in methods:
            raise py7zr.PasswordRequired("")
        odd = sorted(methods - METHODS.keys())
        if odd:
            names = ", ".join(_OTHERS.get(method, method.hex()) for method in odd)
            raise InputError(
                f"is packed with {names}, which is not read; {', '.join(METHODS.values())} are",
                location=str(self.path),
                hint="Unpack it and give the folder, or pack it again with LZMA2",
            )

    def _broken(self, error: BaseException) -> InputError:
        if isinstance(error, py7zr.PasswordRequired):
            return InputError("is encrypted", location=str(self.path), hint="Give the archive without a password")
        detail = error if str(error) else type(error).__name__
        return InputError(
            f"is a broken or cut-off 7z archive ({detail})", location=str(self.path), hint="Delete it and get it again"
        )

    def members(self) -> list[Member]:
        """See Archive."""
        with self.path.open("rb") as stream, self._open(stream) as archive:
            members = []
            try:
                for number, entry in enumerate(archive.files):
                    if entry.is_directory:
                        continue
                    mode = entry.posix_mode
                    odd = entry.is_symlink or entry.is_junction or entry.is_socket or (mode and stat.S_ISLNK(mode))
                    problem = "is a link or special file" if odd else None
                    members.append(Member(str(entry.filename), int(entry.uncompressed), number, problem))
            except Exception as error:
                raise self._broken(error) from error
        return judged(members, [0] * len(members), self.path.stat().st_size, self.path)

    def name_problem(self, member: Member) -> str | None:
        """See Archive. A checksum covers the names."""
        return None

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, bytes | ClipError]]:
        """See Archive: one pass, in the archive's order. At most three members are in memory at once."""
        queue: Queue[tuple[Member, bytes | ClipError] | BaseException | None] = Queue(maxsize=1)
        stop = threading.Event()
        thread = threading.Thread(target=self._unpack, args=(list(members), queue, stop), daemon=True)
        thread.start()
        try:
            while (item := queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise self._broken(item) if not isinstance(item, InputError) else item
                yield item
        finally:
            stop.set()
            while thread.is_alive():
                while not queue.empty():
                    queue.get()
                thread.join(0.01)

    def _unpack(self, members: list[Member], queue: Queue[Any], stop: threading.Event) -> None:
        try:
            # An open file, not a path: py7zr then unpacks in this one thread, in order, not several blocks at once.
            with self.path.open("rb") as stream, self._open(stream) as archive:
                wanted = {f"/{PurePosixPath(member.name)}": member for member in members}  # as py7zr spells them
                archive.extract(Path("/"), [member.name for member in members], factory=_Factory(wanted, queue, stop))
            for member in wanted.values():
                problem = ClipError("was not unpacked", location=f"{self.path.name}: {member.name}")
                queue.put((member, problem))
            queue.put(None)
        except _Stopped:
            pass
        except BaseException as error:  # carried over to the thread that reads
            if not stop.is_set():
                queue.put(error)


class _Factory(WriterFactory):
    def __init__(self, wanted: dict[str, Member], queue: Queue[Any], stop: threading.Event) -> None:
        self._wanted, self._queue, self._stop = wanted, queue, stop

    def create(self, filename: str) -> Py7zIO:
        return _Memory(self._wanted.pop(filename, None), self._queue, self._stop)


class _Memory(Py7zIO):
    """Takes the bytes of one member and hands them on when it is complete."""

    def __init__(self, member: Member | None, queue: Queue[Any], stop: threading.Event) -> None:
        self._member, self._queue, self._stop = member, queue, stop
        self._content = bytearray()

    def write(self, s: bytes | bytearray) -> int:
        if self._stop.is_set():
            raise _Stopped
        if self._member is not None:
            if len(self._content) + len(s) > min(self._member.size, LARGEST_MEMBER):
                raise ValueError(f"{self._member.name} is larger than declared")
            self._content += s
        return len(s)

    def read(self, size: int | None = None) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def flush(self) -> None:
        pass

    def size(self) -> int:
        return len(self._content)

    def close(self) -> None:
        if self._member is not None:
            self._queue.put((self._member, bytes(self._content)))
            self._member, self._content = None, bytearray()
