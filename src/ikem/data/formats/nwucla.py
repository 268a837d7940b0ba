"""Northwestern-UCLA: a zip of JSON files such as `a01_s01_e00_v01.json` (action, subject, episode, view).

Each holds `{"file_name", "skeletons": T x 20 x 3, "label"}`.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import numpy as np

from ikem.data.clips import BODIES, MOST_FRAMES, ClipError, Floats, check_values

_NAME = re.compile(r"a(\d{2})_s(\d{2})_e(\d{2})_v(\d{2})", re.ASCII)
_ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
JOINTS = 20


def parse_name(stem: str) -> dict[str, int] | None:
    """Subject, view (`camera`), episode (`replication`) and action of a name such as a01_s01_e00_v01, or None."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    action, subject, episode, view = map(int, match.groups())
    return {"subject": subject, "camera": view, "setup": 0, "replication": episode, "action": action}


def label_of(action: int) -> int | None:
    """Class, from 0, of an action's number; None where there is no such action."""
    return _ACTIONS.index(action) if action in _ACTIONS else None


def read_json(data: bytes, location: str, stem: str, label: int) -> Floats:
    """Coordinates of one file.

    Args:
        data: content of the file.
        location: archive and member, for messages.
        stem: the file's name, which it must repeat.
        label: the class that the name stands for, which the file must repeat (from 1).

    Returns:
        (T, M=2, V=20, 3) float32, meters; the second body is zero.

    Raises:
        ClipError: the file is not as the format says.
    """
    try:
        content = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise ClipError("is not UTF-8 text", location=location, line=data[: error.start].count(b"\n") + 1) from error
    except json.JSONDecodeError as error:
        raise ClipError(f"is not JSON ({error.msg})", location=location, line=error.lineno) from error
    except _RepeatedKeyError as error:
        raise ClipError(f"has the key {error.args[0]!r} twice", location=location) from error
    except (ValueError, RecursionError) as error:
        raise ClipError(f"is not JSON ({type(error).__name__})", location=location, line=1) from error
    if not isinstance(content, dict) or not {"file_name", "skeletons", "label"} <= set(content):
        raise ClipError("needs the keys file_name, skeletons and label", location=location)
    if content["file_name"] != stem:
        raise ClipError("its file_name is another one than the file's own name", location=location)
    if isinstance(content["label"], bool) or content["label"] != label + 1:
        raise ClipError("its label is another one than its name says", location=location)
    frames = content["skeletons"]
    if not isinstance(frames, list) or len(frames) > MOST_FRAMES:
        raise ClipError("its skeletons are no list of frames", location=location)
    coordinates = np.zeros((len(frames), BODIES, JOINTS, 3), np.float32)
    for number, frame in enumerate(frames):
        coordinates[number, 0] = _frame(frame, number, location)
    check_values(coordinates, location)
    return coordinates


class _RepeatedKeyError(ValueError):
    """JSON allows a key twice, and readers differ in which of the values they take."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in keys if keys.count(key) > 1)[:40])
    return content


def _frame(frame: object, number: int, location: str) -> Floats:
    # By hand: NumPy would take True for 1.
    fits = (
        isinstance(frame, list)
        and len(frame) == JOINTS
        and all(isinstance(joint, list) and len(joint) == 3 for joint in frame)
        and all(type(value) in (int, float) for joint in frame for value in joint)
    )
    if fits:
        with contextlib.suppress(OverflowError), np.errstate(over="ignore"):
            return np.array(frame, np.float64).astype(np.float32)
    raise ClipError(f"frame {number + 1} is not {JOINTS} joints of three numbers", location=location)
