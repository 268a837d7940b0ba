"""Raw files: found in the data folder, or downloaded from where the config says."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

import filelock
import pooch

from ikem.data.download import download
from ikem.data.fingerprint import write_record
from ikem.errors import InputError
from ikem.settings.data import Archive

if TYPE_CHECKING:
    from ikem.running_job import RunningJob

logger = logging.getLogger("ikem")


def acquire(job: RunningJob, inputs: Mapping[str, Path], data: Path) -> None:
    """Run an `acquire` job: find or get the raw file of one role, and write where it is."""
    from ikem.synthetic.settings import RAW_FILES

    role = job.settings["role"]
    if "synthetic" in inputs:
        source = inputs["synthetic"]
        path = next(source.with_name(names[role]) for names in RAW_FILES.values() if names["skeletons"] == source.name)
    else:
        path = get_archive({name: Archive(**entry) for name, entry in job.settings["archives"].items()}, role, data)
    write_record(job.output, path)


def get_archive(archives: Mapping[str, Archive], role: str, data: Path) -> Path:
    """Path of a raw file: in the data folder, at a local address, or downloaded into the data folder.

    Args:
        archives: all raw files of the dataset by role; a message names each one that is absent.
        role: the one to get.
        data: the data folder.

    Raises:
        InputError: it is absent and may not or cannot be downloaded, or its checksum is another one.
    """
    archive = archives[role]
    path = data / archive.file
    if (found := find(archive, data)) is not None:
        check(found, archive)
        return found
    if _local(archive) is not None or not _may_download(archive):
        raise InputError(_absent(archives, data), location=str(path), hint=ways(archives, data))
    try:
        data.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(f".{path.name}.lock")):
            if not path.exists():  # another process may have got it while we waited
                _fetch(archive, path)
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror or error})", location=str(path)) from error
    return path


def find(archive: Archive, data: Path) -> Path | None:
    """Where a raw file is: in the data folder, or at a local address; None if it is absent.

    Raises:
        InputError: nobody can say, because a folder may not be read, for instance.
    """
    for path in (data / archive.file, _local(archive)):
        try:
            if path is not None and path.exists():
                return path
        except OSError as error:
            raise InputError(f"cannot be looked for ({error.strerror})", location=str(path)) from error
    return None


def check(path: Path, archive: Archive) -> None:
    """Raise InputError if a file's checksum is not the expected one. Folders and files without one pass."""
    for kind, expected in (("md5", archive.md5), ("sha256", archive.sha256)):
        if expected is None or path.is_dir():
            continue
        found = pooch.file_hash(str(path), alg=kind)
        if found != expected:
            raise InputError(
                f"its {kind} is {found}, expected {expected}: it is not complete, or another file",
                location=str(path),
                hint=f"Delete it and get it again; or, if you trust this version, change the {kind} of "
                f"{archive.file} in datasets.NAME.archives",
            )


def _local(archive: Archive) -> Path | None:
    """The path in `url`, if it is none of the web's."""
    if archive.url is None:
        return None
    parts = urlsplit(archive.url)
    if parts.scheme in ("http", "https"):
        return None
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else Path(archive.url).expanduser()


def _may_download(archive: Archive) -> bool:
    return bool(archive.url or archive.google_drive) and (archive.terms is None or archive.terms_accepted)


def _fetch(archive: Archive, path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    if archive.url is not None:
        logger.info("downloading %s", archive.url)
        download(archive.url, part)
    else:
        _fetch_drive(str(archive.google_drive), part)
    try:
        check(part, archive)
    except InputError as error:
        part.unlink(missing_ok=True)
        source = archive.url or f"Google Drive {archive.google_drive}"
        raise InputError(
            f"gave a wrong file ({error.message}); it was deleted",
            location=source,
            hint="Check the address and the checksum",
        ) from error
    part.replace(path)
    logger.info("downloaded %s", path)


def _fetch_drive(identity: str, part: Path) -> None:
    import gdown

    logger.info("downloading %s from Google Drive", identity)
    try:
        # gdown keeps its own partial file next to `part` and resumes from it.
        got = gdown.download(id=identity, output=str(part), quiet=not sys.stderr.isatty(), resume=True)
    except Exception as error:  # gdown has many kinds, of several libraries
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"Google Drive does not give the file ({reason})",
            location=f"Google Drive {identity}",
            hint="Its daily quota may be used up: try again later, or download it with a browser into the data folder",
        ) from error
    if got is None or not part.exists():
        raise InputError(
            "Google Drive does not give the file", location=f"Google Drive {identity}", hint="Try again later"
        )


def _absent(archives: Mapping[str, Archive], data: Path) -> str:
    absent = [entry.file for entry in archives.values() if not (data / entry.file).exists()]
    return f"is missing ({len(absent)} of the dataset's {len(archives)} raw files are: {', '.join(absent)})"


def ways(archives: Mapping[str, Archive], data: Path) -> str:
    """What the user can do about each absent file that cannot simply be downloaded; empty if there is none."""
    found = []
    for role, archive in archives.items():
        if (data / archive.file).exists():
            continue
        local = _local(archive)
        if local is not None:
            found.append(f"{archive.file}: there is nothing at {local}")
        elif archive.terms is not None and (archive.url or archive.google_drive):
            found.append(
                f"{archive.file}: agree with its owner ({archive.terms}), then put it into {data}, or set "
                f"datasets.NAME.archives.{role}.terms_accepted: true to have it downloaded"
            )
        elif archive.terms is not None:
            found.append(f"{archive.file}: ask its owner for it ({archive.terms}) and put it into {data}")
        elif not _may_download(archive):
            found.append(
                f"{archive.file}: put it into {data}, or give its address as datasets.NAME.archives.{role}.url"
            )
    return "; ".join(found)
