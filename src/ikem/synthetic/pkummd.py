"""Made recordings as PKU-MMD hands them out: long videos in a `.7z`, their labels in another, and two splits."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import py7zr
from numpy.typing import NDArray
from rich.progress import track

from ikem.errors import InputError
from ikem.files import atomic, write_text
from ikem.synthetic.kinematics import Array
from ikem.synthetic.motion import Pose, ease
from ikem.synthetic.number_writer import format_table
from ikem.synthetic.scene import CAMERA, SENSOR, VIDEO, draw_style, in_world, perform, random_for
from ikem.synthetic.sensor import draw_camera, sense
from ikem.synthetic.settings import SyntheticSettings

SKELETON_FOLDER = "PKU_Skeleton_Renew"
LABEL_FOLDER = "Train_Label_PKU_final"
VIEWS = "LMR"  # left, middle, right: cameras 1, 2, 3
FIRST_VIDEO = 2
_PAUSE = (8, 40)  # frames between two actions
_FAST_FILTERS = [{"id": py7zr.FILTER_LZMA2, "preset": 1}]
_FIXED_TIME = 946684800  # 2000-01-01, of every member, so that equal settings give equal bytes


def write_pkummd(
    settings: SyntheticSettings, skeletons: Path, labels: Path, cross_subject: Path, cross_view: Path
) -> None:
    """Write `settings.videos` videos in three views, their labels, and the two split files.

    Only one video is in memory at a time. Equal settings give equal bytes.

    Raises:
        InputError: fewer than two performers, so that no split by subject exists; or a file cannot be written.
    """
    performers = settings.performers[: settings.videos]
    if len(performers) < 2:
        raise InputError("a split by subject needs two performers", location="performers")
    numbers = range(FIRST_VIDEO, FIRST_VIDEO + settings.videos)
    with (
        atomic(skeletons) as skeletons_part,
        atomic(labels) as labels_part,
        py7zr.SevenZipFile(skeletons_part, "w", filters=_FAST_FILTERS) as skeleton_archive,
        py7zr.SevenZipFile(labels_part, "w", filters=_FAST_FILTERS) as label_archive,
        tempfile.TemporaryDirectory() as folder,
    ):
        scratch = Path(folder) / "member.txt"
        for number in track(numbers, f"Writing {skeletons.name}", total=len(numbers)):
            people, instances = stage_video(settings, number)
            label_text = "".join(f"{action},{start},{end},2\n" for action, start, end in instances).encode()
            for camera, view in enumerate(VIEWS, start=1):
                random = random_for(settings, SENSOR, number, camera)
                table = record_video(settings, number, camera, people, random)
                _add(skeleton_archive, scratch, f"{SKELETON_FOLDER}/{number:04d}-{view}.txt", format_table(table, 6))
                _add(label_archive, scratch, f"{LABEL_FOLDER}/{number:04d}-{view}.txt", label_text)
    tested = {number for number in numbers if (number - FIRST_VIDEO) % len(performers) % 3 == 1}
    names = [(number, view) for number in numbers for view in VIEWS]
    _write_split(cross_subject, names, {(number, view) for number, view in names if number in tested})
    _write_split(cross_view, names, {(number, view) for number, view in names if view == "L"})


def stage_video(
    settings: SyntheticSettings, number: int
) -> tuple[list[tuple[Array, slice]], list[tuple[int, int, int]]]:
    """Play one video: several actions of one performer, a pause between each two.

    Returns:
        The persons: joints (T, 25, 3) in world meters and the frames in which each is there; the first always is.
        The instances: class from 1, first and last frame from 1.
    """
    random = random_for(settings, VIDEO, number)
    style = draw_style(settings, settings.performers[(number - FIRST_VIDEO) % len(settings.performers)])
    heading = float(np.radians(settings.heading_degrees) * random.uniform(-1.0, 1.0))
    instances: list[tuple[int, int, int]] = []
    courses: list[Array] = []
    partners: list[tuple[Pose, int]] = []
    start = 0
    for action in _choose(settings, random):
        people = perform(settings, style, settings.actions[action], random)
        if courses:
            courses.append(_blend(courses[-1][-1], people[0].angles[0], int(random.integers(*_PAUSE))))
            start += len(courses[-1])
        courses.append(people[0].angles)
        end = start + len(people[0].angles)
        instances.append((action + 1, start + 1, end))
        partners += [(partner, start) for partner in people[1:]]
        start = end
    (main,) = in_world([Pose(np.concatenate(courses), style.body)], heading)
    everybody = [(main, slice(0, start))]
    for partner, begin in partners:
        (joints,) = in_world([partner], heading)
        whole = np.zeros_like(main)
        whole[begin : begin + len(joints)] = joints
        everybody.append((whole, slice(begin, begin + len(joints))))
    return everybody, instances


def record_video(
    settings: SyntheticSettings,
    number: int,
    camera: int,
    people: list[tuple[Array, slice]],
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """(T, 150) whole micrometres that one camera records: two bodies, absent ones zero."""
    setup = (number - FIRST_VIDEO) % settings.setups + 1
    viewpoint = draw_camera(settings, camera, random_for(settings, CAMERA, setup, camera))
    frames = len(people[0][0])
    table = np.zeros((frames, 2, 25, 3), dtype=np.int64)
    for joints, run in people:
        place = 0 if joints is people[0][0] else 1
        recording = sense(settings, viewpoint, [joints[run]], random)
        found = recording.present[0]
        table[run, place][found] = recording.joints[0][found]
    return table.reshape(frames, -1)


def _choose(settings: SyntheticSettings, random: np.random.Generator) -> Iterator[int]:
    """Actions of a video, from 0: whole random rounds through all of them, so that none is left out for long."""
    count = int(random.integers(*settings.instances, endpoint=True))
    rounds = [random.permutation(len(settings.actions)) for _ in range(-(-count // len(settings.actions)))]
    yield from (int(action) for action in np.concatenate(rounds)[:count])


def _blend(before: Array, after: Array, frames: int) -> Array:
    """(frames, angles) from one pose to another."""
    return np.asarray(before + (after - before) * ease(np.linspace(0.0, 1.0, frames))[:, None])


def _add(archive: py7zr.SevenZipFile, scratch: Path, member: str, content: bytes) -> None:
    """Add a member with fixed time and mode; py7zr takes both from a file."""
    scratch.write_bytes(content)
    scratch.chmod(0o644)
    os.utime(scratch, (_FIXED_TIME, _FIXED_TIME))
    archive.write(scratch, member)


def _write_split(path: Path, names: list[tuple[int, str]], tested: set[tuple[int, str]]) -> None:
    train = ", ".join(f"{number:04d}-{view}" for number, view in names if (number, view) not in tested)
    test = ", ".join(f"{number:04d}-{view}" for number, view in names if (number, view) in tested)
    write_text(path, f"Training videos:\n{train}\nValidation videos:\n{test}\n")
