"""Downloading over HTTP: resumes where it broke off, and keeps only what is complete.

pooch, which would be the natural choice, begins a broken download again; NTU's archives are large. So requests does
the transfer here with byte ranges.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import requests

from ikem.data.progress import progress
from ikem.errors import InputError
from ikem.files import read_json, write_json

logger = logging.getLogger("ikem")

ATTEMPTS = 6
"""Attempts in a row that bring nothing new before giving up."""

PAUSE = 2.0
"""Seconds before the second attempt; each further pause is twice as long."""

_TIMEOUT = (20, 60)
_PIECE = 1 << 16


class _Again(Exception):
    """This attempt failed; another may not."""


def download(url: str, part: Path) -> None:
    """Download `url` into the file `part`; what an earlier attempt left there is gone on from.

    A note next to it says which version of which address the beginning is of; another one begins again.

    Raises:
        InputError: the address does not give the file, or the connection fails again and again.
    """
    pause, failures = PAUSE, 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _attempt(url, part)
        except (_Again, requests.RequestException) as error:
            now = part.stat().st_size if part.exists() else 0
            failures = 0 if now > before else failures + 1
            if failures >= ATTEMPTS or isinstance(
                error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema
            ):
                raise InputError(
                    f"cannot be downloaded ({_short(error)}); {now} bytes are kept",
                    location=url,
                    hint="Check the connection and the address, and run again: the download resumes from there",
                ) from error
            pause = PAUSE if now > before else pause * 2
            logger.warning("download broke off after %d bytes (%s); trying again", now, _short(error))
            time.sleep(min(pause, 60))
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror or error})", location=str(part.parent)) from error
        else:
            note(part).unlink(missing_ok=True)
            return


def note(part: Path) -> Path:
    """The file that says what `part` is the beginning of."""
    return part.with_name(part.name + ".json")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _attempt(url: str, part: Path) -> None:
    known = read_json(note(part)) if note(part).exists() and part.exists() else {}
    have = part.stat().st_size if known.get("url") == url else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known.get("version"):
            headers["If-Range"] = known["version"]
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == 416:  # beyond the end: complete already, or of another file
            if response.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
                return
            part.unlink(missing_ok=True)
            raise _Again("the server has another file than before")
        if response.status_code >= 500 or response.status_code in (408, 429):
            raise _Again(f"the server says {response.status_code} {response.reason}")
        if response.status_code not in (200, 206):
            raise InputError(
                f"the server says {response.status_code} {response.reason}",
                location=url,
                hint="Check the address, or download the file by hand",
            )
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise InputError("gives a web page, not the file", location=url, hint="Download the file by hand")
        resumed = response.status_code == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink(missing_ok=True)
            raise _Again("the server sent another range than asked for")
        start = have if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        version = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if version and version.startswith("W/"):  # a weak tag does not promise equal bytes
            version = response.headers.get("Last-Modified")
        write_json(note(part), {"url": url, "version": version})
        _save(response, part, start, total)


def _save(response: requests.Response, part: Path, start: int, total: int | None) -> None:
    done = start
    name = part.name.removeprefix(".").removesuffix(".part")
    with part.open("r+b" if start else "wb") as stream, progress(name, total, "bytes") as show:
        stream.seek(start)
        for piece in response.iter_content(_PIECE):
            stream.write(piece)
            done += len(piece)
            show(done)
        stream.truncate()
    if total is not None and done != total:
        raise _Again(f"{done} of {total} bytes came")
