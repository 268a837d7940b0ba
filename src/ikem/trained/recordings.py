"""Clips to embed, from files: recordings in a raw format, folders and archives of them, arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikem.data.archives import Archive, FolderArchive, Member, open_archive
from ikem.data.clips import BODIES, MOST_FRAMES, ClipError, Floats, Reject, body_count, check_body, check_values
from ikem.data.decode import trimmed
from ikem.data.formats import ntu, nwucla
from ikem.data.formats.arrays import map_floats
from ikem.data.formats.base import is_hidden
from ikem.data.formats.ntu import BodyRule
from ikem.errors import InputError, printable
from ikem.skeleton import Skeleton, load_skeleton

WANTED = (
    "Give .skeleton files (NTU RGB+D), .json files (Northwestern-UCLA), folders or archives (zip, 7z) of them, or "
    ".npy arrays (N, 3, T, V, M); see docs/use.md"
)


@dataclass(frozen=True)
class Recording:
    """A clip.

    Attributes:
        name: of the file without its ending; of an array, `file[index]`.
        coordinates: (T, 2, V, 3) float32, meters; an absent body is all zero.
    """

    name: str
    coordinates: Floats


@dataclass(frozen=True)
class Reading:
    """How recordings are read: as those that were trained on.

    Attributes:
        skeleton: of the encoder.
        body_rule: which bodies of a recording are kept.
        trim_empty: whether frames without a body are removed at both ends.
        bodies: M; a clip that has more bodies cannot be used.
    """

    skeleton: Skeleton
    body_rule: BodyRule
    trim_empty: bool
    bodies: int


def _ntu(data: bytes, location: str, stem: str, rule: BodyRule) -> Floats:
    return ntu.read_skeleton(data, location, rule)


def _nwucla(data: bytes, location: str, stem: str, rule: BodyRule) -> Floats:
    columns = nwucla.parse_name(stem)
    label = None if columns is None else nwucla.label_of(columns["action"])
    if label is None:
        raise ClipError("its name is not like a01_s01_e00_v01", location=location)
    return nwucla.read_json(data, location, stem, label)


_FORMATS: dict[str, tuple[str, Callable[[bytes, str, str, BodyRule], Floats]]] = {
    ".skeleton": ("ntu25", _ntu),
    ".json": ("kinect20", _nwucla),
}
"""Skeleton and reader of the recordings by the ending of their names."""


def read_recordings(paths: Sequence[Path], reading: Reading) -> Iterator[Recording | Reject]:
    """The clips of files, folders, archives and arrays; of one that cannot be used the reason, and the next ones.

    Raises:
        InputError: a path is missing, is nothing that has clips, or has clips of another skeleton. What can be known
            from outside is found before the first clip is read.
    """
    opened = [(path, _open(path, reading.skeleton)) for path in paths]
    names: dict[str, str] = {}
    for path, source in opened:
        clips = _array_clips(path, source, reading) if isinstance(source, np.ndarray) else _members(*source, reading)
        for clip, location in clips:
            if isinstance(clip, Recording) and clip.name in names:
                yield Reject("", location, 0, f"another clip has this name: {names[clip.name]}")
                continue
            if isinstance(clip, Recording):
                names[clip.name] = location
            yield clip


def array_recordings(array: NDArray[Any], reading: Reading, name: str = "array") -> Iterator[Recording]:
    """The clips of an array in memory; see `check_array`.

    Raises:
        InputError: the array, or one of its clips, cannot be used.
    """
    check_array(array, reading.skeleton, name)
    for clip, _ in _array_clips(Path(name), array, reading):
        if isinstance(clip, Reject):
            raise InputError(clip.reason, location=f"{name}{clip.member}")
        yield clip


def check_array(array: NDArray[Any], skeleton: Skeleton, location: str) -> None:
    """Raise InputError unless an array is (N, 3, T, V, M) of floating-point numbers, with V joints and M up to 2."""
    shape, joints = array.shape, skeleton.joint_count
    fits = array.ndim == 5 and shape[1] == 3 and shape[3] == joints and 1 <= shape[4] <= BODIES
    if not fits or not 1 <= shape[2] <= MOST_FRAMES or array.dtype.kind != "f":
        raise InputError(
            f"is {array.dtype} of the shape {shape}; floating-point numbers (N, 3, T, {joints}, M) with M up to "
            f"{BODIES} are needed: clips, xyz in meters, frames, joints of {skeleton.name}, bodies",
            location=location,
        )


def words_of(reject: Reject) -> str:
    """A reason with its file, as a user reads it."""
    line = f", line {reject.line}" if reject.line else ""
    return printable(f"{': '.join(filter(None, (reject.archive, reject.member)))}{line}: {reject.reason}")


_Source = NDArray[Any] | tuple[Archive, list[Member]]


def _open(path: Path, skeleton: Skeleton) -> _Source:
    if not path.exists():
        raise InputError("does not exist", location=str(path))
    suffix = path.suffix.lower()
    if path.is_file() and suffix == ".npy":
        array = map_floats(path)
        check_array(array, skeleton, str(path))
        return array
    if path.is_file() and suffix in _FORMATS:
        _check_skeleton(path, suffix, skeleton)
        return FolderArchive(path.parent), [Member(printable(path.name), path.stat().st_size, 0, None, path)]
    if path.is_file() and suffix not in (".zip", ".7z"):
        raise InputError("is nothing that clips are read from", location=str(path), hint=WANTED)
    archive = open_archive(path)
    members = [member for member in archive.members() if member.suffix in _FORMATS and not is_hidden(member)]
    if not members:
        raise InputError("there is no .skeleton or .json file in it", location=str(path), hint=WANTED)
    for suffix in sorted({member.suffix for member in members}):
        _check_skeleton(path, suffix, skeleton)
    return archive, members


def _check_skeleton(path: Path, suffix: str, skeleton: Skeleton) -> None:
    theirs = load_skeleton(_FORMATS[suffix][0])
    if theirs.joints != skeleton.joints:
        raise InputError(
            f"{suffix} files have the {theirs.joint_count} joints of {theirs.name}, the encoder was trained on the "
            f"{skeleton.joint_count} joints of {skeleton.name}",
            location=str(path),
            hint="Give clips of this skeleton, for instance as an array (N, 3, T, V, M)",
        )


def _members(archive: Archive, members: Sequence[Member], reading: Reading) -> Iterator[tuple[Recording | Reject, str]]:
    usable = []
    for member in members:
        if member.problem is None:
            usable.append(member)
        else:
            yield Reject(archive.path.name, member.name, 0, member.problem), ""
    for member, data in archive.read(usable):
        location = ": ".join(filter(None, (archive.path.name, member.name)))
        try:
            if isinstance(data, ClipError):
                raise data
            coordinates = _FORMATS[member.suffix][1](data, location, member.stem, reading.body_rule)
            yield Recording(member.stem, _checked(coordinates, location, reading)), location
        except ClipError as error:
            yield Reject(archive.path.name, member.name, error.line, error.message), location


def _array_clips(path: Path, array: NDArray[Any], reading: Reading) -> Iterator[tuple[Recording | Reject, str]]:
    for index in range(len(array)):
        name = f"{path.stem}[{index}]"
        location = f"{path.name}: [{index}]"
        given = np.moveaxis(array[index], (1, 3, 2, 0), (0, 1, 2, 3))  # (T, M, V, 3)
        coordinates = np.zeros((len(given), BODIES, *given.shape[2:]), np.float32)
        try:
            with np.errstate(over="ignore"):
                coordinates[:, : given.shape[1]] = given
            check_values(coordinates, location)
            present = np.flatnonzero(coordinates.any(axis=(1, 2, 3)))
            coordinates = coordinates[: present[-1] + 1 if len(present) else 0]  # zeros at the end fill the array
            yield Recording(name, _checked(coordinates, location, reading)), location
        except ClipError as error:
            yield Reject(path.name, f"[{index}]", 0, error.message), location


def _checked(coordinates: Floats, location: str, reading: Reading) -> Floats:
    check_body(coordinates, location)
    coordinates = trimmed(coordinates) if reading.trim_empty else coordinates
    if body_count(coordinates) > reading.bodies:
        raise ClipError("has two bodies; the encoder was trained on clips of one", location=location)
    return coordinates
