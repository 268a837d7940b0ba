"""NTU RGB+D 60 and 120: zips of `.skeleton` text files.

A file holds a count of frames; per frame a count of bodies; per body a line of 10 fields (the body's id first), a count
of joints (25), and a line of 12 fields for each joint, x y z first. The other nine fields of a joint are counted, not
read. White space may be of any kind and lines may be blank; everything else must be as said, to the last line.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ikem.data.clips import BODIES, MOST_FRAMES, NTU_NAME, ClipError, Floats
from ikem.data.number_parser import (
    BODY_FIELDS,
    BODY_LINE,
    COUNT,
    ENDS,
    JOINT_COUNT,
    JOINT_FIELDS,
    JOINT_LINE,
    JOINTS,
    MANY,
    NUMBER,
    OK,
    scan_skeleton,
)
from ikem.data.text_parsing import bad_number, encoding_problem, fill_later, without_mark

BodyRule = Literal["first-two", "most-active"]

_MOST_IDS = 64
"""Body ids of a clip; published ones have less than ten."""

_FRAME_BYTES = BODIES * JOINTS * 3 * 4
_LARGEST_GROWTH = 20
"""Times the size of its text that a clip's array may have, beyond 1 MiB. A body's text is five times its array."""


def parse_name(stem: str) -> dict[str, int] | None:
    """Setup, camera, subject, replication and action of a name such as S001C001P001R001A001, or None."""
    match = NTU_NAME.fullmatch(stem)
    if match is None:
        return None
    setup, camera, subject, replication, action = map(int, match.groups())
    return {"subject": subject, "camera": camera, "setup": setup, "replication": replication, "action": action}


def read_skeleton(data: bytes, location: str, bodies: BodyRule = "first-two") -> Floats:
    """Coordinates of a `.skeleton` file.

    Args:
        data: content of the file.
        location: archive and member, for messages.
        bodies: "first-two" keeps the first two bodies of each frame, in file order. "most-active" follows bodies by
            their id and keeps the two that move most in all the clip (see `most_active`), each at an index of its own.

    Returns:
        (T, M=2, V=25, 3) float32, meters; absent bodies are zero. Every value equals `numpy.float32(float(text))`.

    Raises:
        ClipError: the file is not as the format says; the message has the line, from 1, and the reason.
    """
    problem = encoding_problem(data)
    if problem:
        raise ClipError(
            problem, location=location, line=1, hint="Save it as plain text, or get it again from its owner"
        )
    data = without_mark(data)
    keep = BODIES if bodies == "first-two" else MOST_FRAMES * BODIES
    report = np.zeros((1, 5), np.int64)
    values, index, later = scan_skeleton(np.frombuffer(data, np.uint8), keep, report)
    status, line, offset, got, frames = report[0].tolist()
    if status != OK:
        raise ClipError(_reason(status, data, offset, got), location=location, line=line)
    if frames == 0:
        raise ClipError("has no frames", location=location, line=line)
    if frames * _FRAME_BYTES > _LARGEST_GROWTH * len(data) + (1 << 20):
        raise ClipError(f"has {frames} frames in {len(data)} bytes; nearly all are empty", location=location)
    fill_later(data, values.reshape(-1), later, location)
    if bodies == "most-active":
        return most_active(values, index, frames, location)
    coordinates = np.zeros((frames, BODIES, JOINTS, 3), np.float32)
    coordinates[index[:, 0], index[:, 1]] = values
    return coordinates


def most_active(values: Floats, index: NDArray[np.int64], frames: int, location: str) -> Floats:
    """Keep the two bodies that move most, each at an index of its own, the more active one first.

    A body is an id, or several that are never in the same frame (see `join_ids`). How much a body moves is the sum of
    its squared distances, over its frames and joints, from each joint's mean position: its total variance times the
    number of its frames, so that a body seen for a moment counts little. Ties go to the body seen first.

    Args:
        values: (B, V, 3) float32, all bodies of all frames, in order of the frames.
        index: (B, 4) int64: frame, index in the frame, body id, line.
        frames: T.
        location: for messages.

    Returns:
        (T, M=2, V, 3) float32.

    Raises:
        ClipError: a frame has two bodies of one id, or there are more ids than a recording has.
    """
    pairs = [(frame, identity) for frame, identity in index[:, [0, 2]].tolist()]
    if len(set(pairs)) < len(pairs):
        first = {pair: row for row, pair in reversed(list(enumerate(pairs)))}
        line = next(int(index[row, 3]) for row, pair in enumerate(pairs) if first[pair] != row)
        raise ClipError("a frame has two bodies of one id", location=location, line=line)
    if len({identity for _, identity in pairs}) > _MOST_IDS:
        raise ClipError(f"has more than {_MOST_IDS} body ids, which is no clip", location=location)
    flat = values.reshape(len(values), JOINTS * 3).astype(np.float64)
    bodies = join_ids(flat, index)
    movement = [((flat[rows] - flat[rows].mean(axis=0)) ** 2).sum() for rows in bodies]
    coordinates = np.zeros((frames, BODIES, JOINTS, 3), np.float32)
    for number, body in enumerate(np.argsort(np.negative(movement), kind="stable")[:BODIES]):
        rows = bodies[body]
        coordinates[index[rows, 0], number] = values[rows]
    return coordinates


def join_ids(flat: NDArray[np.float64], index: NDArray[np.int64]) -> list[list[int]]:
    """Bodies, each with its rows in order of the frames: a sensor that loses a person continues under another id.

    An id that appears is joined to the body without a frame in common that was last seen nearest to it, by the sum of
    squared distances of the joints. Of several ids that appear in one frame the nearest is joined first.

    Args:
        flat: (B, V * 3), all bodies of all frames.
        index: as for `most_active`.
    """
    rows_of: dict[int, list[int]] = {}
    for row, identity in enumerate(index[:, 2].tolist()):
        rows_of.setdefault(identity, []).append(row)
    frame = index[:, 0]
    bodies: list[list[int]] = []
    for first in sorted({int(frame[rows[0]]) for rows in rows_of.values()}):
        appearing = [rows for rows in rows_of.values() if frame[rows[0]] == first]
        before = len(bodies)
        while appearing:
            options = []
            for number, rows in enumerate(appearing):
                for body in range(before):
                    if set(frame[rows]).isdisjoint(frame[bodies[body]]):
                        last = max(row for row in bodies[body] if frame[row] < first)
                        options.append((float(((flat[last] - flat[rows[0]]) ** 2).sum()), number, body))
            if not options:
                bodies += appearing
                break
            _, number, body = min(options)
            bodies[body] = sorted(bodies[body] + appearing.pop(number))
    return bodies


def _reason(status: int, data: bytes, offset: int, got: int) -> str:
    token = repr(data[offset : offset + 40].split(b"\n", 1)[0].decode("ascii", "backslashreplace").strip())
    if status == ENDS:
        return f"the file ends in frame {got + 1}; it is cut off" if data.strip() else "the file is empty"
    if status == COUNT:
        wanted = ("a count of frames", "a count of bodies", "a body's id", "a count of joints")[got]
        return f"{token} is not {wanted}"
    if status == NUMBER:
        return bad_number(data, offset)
    if status == BODY_LINE:
        return f"a body's line has {got} fields, expected {BODY_FIELDS}"
    if status == JOINT_LINE:
        return f"a joint's line has {got} fields, expected {JOINT_FIELDS}"
    if status == JOINT_COUNT:
        return f"a body has {got} joints, expected {JOINTS}"
    if status == MANY:
        return f"{got} frames are declared, more than {MOST_FRAMES} is no clip"
    return f"continues after its last frame ({got} frames are declared)"
