"""Writing files so that a reader sees the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ikem.errors import InputError


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to `path`; when the block ends well it takes the place of `path`.

    The content is on disk before the name changes. If the block raises, the temporary file is removed
    and `path` is as it was.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    except OSError as error:
        raise cannot_write(target, error) from error
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


_HINTS = {
    errno.EISDIR: "Remove the folder of that name, or name another file, then run the same command again",
    errno.ENOTDIR: "Remove the file that stands where a folder is needed, or name another folder",
    errno.EEXIST: "Remove the file that stands where a folder is needed, or name another folder",
    errno.ENAMETOOLONG: "Choose a shorter name",
    errno.EACCES: "Make the folder writable or name another one, then run the same command again",
    errno.EROFS: "Make the folder writable or name another one, then run the same command again",
}


def cannot_write(path: str | os.PathLike[str], error: BaseException) -> InputError:
    """The error of a file or folder that the system does not let be written, with what to do about it."""
    return InputError(
        f"cannot be written ({getattr(error, 'strerror', None) or error})",
        location=str(path),
        hint=_HINTS.get(
            getattr(error, "errno", None) or 0,
            "Free space on the disk or make the folder writable, then run the same command again",
        ),
    )


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic(path) as temporary:  # a file name that is not UTF-8 is stored as JSON's \udc80 ... \udcff
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", location=str(path)) from error
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", location=str(path), hint="Delete it and run again") from error


_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def spreadsheet_cell(text: str) -> str:
    """Free text as a cell of a CSV file that no spreadsheet takes for a formula: `'=x` for `=x`, `''=x` for `'=x`.

    See OWASP, CSV injection. `text_of_cell` gives the text again.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def text_of_cell(cell: str) -> str:
    """The text that `spreadsheet_cell` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def canonical_json(value: Any) -> str:
    """The one spelling of `value` as JSON: sorted keys, no spaces. Digests are taken of it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """SHA-256 (hexadecimal) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "backslashreplace")).hexdigest()


def digest_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 (hexadecimal) of the bytes of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
