"""Whether a raw file or folder is still what it was: the digest of its content, read again only where it may differ.

What `acquire` writes has the digest; a hidden file next to it keeps, for each raw file, its stamp and digest of that
time. A file whose stamp is the same is not read again. A copy with a new date is read, and found to be the same.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ikem.errors import InputError
from ikem.files import digest_file, digest_of, read_json, write_json

Listing = dict[str, list[int | str]]
"""Of each file, by its path below the raw folder ("" is the raw file itself): size, mtime and ctime (ns), SHA-256."""

_seen: dict[Path, Listing] = {}
"""What this process has read, by record: nothing is read twice."""


def fingerprint(path: Path, known: Mapping[str, list[int | str]] | None = None) -> tuple[str, Listing]:
    """SHA-256 of a file, or of the names and contents of all files of a folder; and the listing. Of what is no regular
    file the name alone counts.

    Args:
        known: an earlier listing; a file that has its stamp is not read.

    Raises:
        OSError: something cannot be read.
    """
    names = [""] if path.is_file() else sorted(_files_below(path))
    listing: Listing = {}
    for name in names:
        file = path / name if name else path
        try:
            found = file.stat()
        except FileNotFoundError:  # a link to nothing, such as an editor's lock; or it is gone by now
            found = None
        if found is None or not stat.S_ISREG(found.st_mode):  # a pipe is never read to its end
            listing[name] = [0, 0, 0, "no regular file"]
            continue
        # Anyone can set a file's mtime; its ctime is the kernel's own.
        stamp = [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
        entry = (known or {}).get(name)
        listing[name] = entry if entry is not None and entry[:3] == stamp else [*stamp, digest_file(file)]
    return _digest(listing), listing


def _digest(listing: Listing) -> str:
    if listing.keys() == {""}:
        return str(listing[""][3])
    return digest_of([[name, entry[3]] for name, entry in listing.items()])


def _files_below(folder: Path) -> list[str]:
    return [str(Path(parent, name).relative_to(folder)) for parent, _, names in os.walk(folder) for name in names]


def write_record(record: Path, path: Path) -> None:
    """Write where a raw file or folder is and the digest of its content, and the stamps next to it."""
    digest, _seen[record] = fingerprint(path)
    write_json(record, {"path": str(path), "sha256": digest})
    write_json(_listing_path(record), _seen[record])


def located(record: Path) -> Path:
    """The raw file that `write_record` was given.

    Raises:
        InputError: it is gone, or its content has changed.
    """
    path = Path(read_json(record)["path"])
    if not path.exists():
        hint = f"Put it back, or delete {record} to have it looked for again"
        raise InputError("is gone", location=str(path), hint=hint)
    if change := change_of(record):
        raise InputError(f"is not what it was ({change})", location=str(path), hint="Run the same command again")
    return path


def change_of(record: Path, now: Path | None = None) -> str | None:
    """What has changed in the raw file of a record, in words; None if nothing has, or if the file is gone.

    A raw file that is gone changes no result; a job that needs it says so (`located`).

    Args:
        now: where the raw file would be found now; None: where it was found.

    Raises:
        InputError: it cannot be read.
    """
    written = read_json(record)
    path, stored = now or Path(written["path"]), _stored(record)
    if not path.exists():
        return None
    try:
        digest, _seen[record] = fingerprint(path, _seen.get(record, stored))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", location=str(error.filename or path)) from error
    if digest == written.get("sha256"):
        return None
    before, after = ({name: entry[3] for name, entry in listing.items()} for listing in (stored, _seen[record]))
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if not stored or names == [""]:
        return f"the content of {path} has changed"
    more = f" and of {len(names) - 1} more files" if len(names) > 1 else ""
    return f"the content of {path / names[0]}{more} has changed"


def remember(record: Path) -> None:
    """Keep the stamps that this process has seen of unchanged content, so that the next one need not read it again."""
    with contextlib.suppress(InputError):  # a folder that cannot be written to costs the next one the reading
        if (
            record in _seen
            and _digest(_seen[record]) == read_json(record)["sha256"]
            and _seen[record] != _stored(record)
        ):
            write_json(_listing_path(record), _seen[record])


def _stored(record: Path) -> Listing:
    """The listing of an earlier process; empty if there is none that can be read: then everything is read."""
    with contextlib.suppress(InputError):
        listing = read_json(_listing_path(record))
        if isinstance(listing, dict) and all(isinstance(entry, list) and len(entry) == 4 for entry in listing.values()):
            return listing
    return {}


def _listing_path(record: Path) -> Path:
    return record.with_name(f".{record.name}.stamps")
