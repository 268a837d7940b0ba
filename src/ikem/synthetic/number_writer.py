"""Whole numbers as decimal text, compiled: formatting each number in Python would take most of the time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ikem.compiling import compiled

_MINUS, _POINT, _ZERO, _SPACE, _NEWLINE = 45, 46, 48, 32, 10
_LONGEST = 24  # bytes of a number with its separator: sign, 19 digits, point


@compiled()
def _put(text, position, value, decimals):  # type: ignore[no-untyped-def]
    """Write value / 10**decimals at `position`, without trailing zeros; returns the position after it."""
    ten = np.uint64(10)  # unsigned division is much the faster one
    if value < 0:
        text[position] = _MINUS
        position += 1
        value = -value
    rest = np.uint64(value)
    while decimals > 0 and rest % ten == 0:
        rest //= ten
        decimals -= 1
    digits = 1
    limit = ten
    while digits < 19 and rest >= limit:
        limit *= ten
        digits += 1
    digits = max(digits, decimals + 1)
    end = position + digits + (1 if decimals > 0 else 0)
    at = end
    for digit in range(digits):
        at -= 1
        text[at] = _ZERO + rest % ten
        rest //= ten
        if digit + 1 == decimals:
            at -= 1
            text[at] = _POINT
    return end


@compiled()
def _put_row(text, position, values, decimals):  # type: ignore[no-untyped-def]
    """Write a line of numbers separated by spaces; returns the position after it."""
    for column in range(len(values)):
        position = _put(text, position, values[column], decimals[column])
        text[position] = _SPACE
        position += 1
    text[position - 1] = _NEWLINE
    return position


@compiled()
def _put_clip(text, listed, heads, head_decimals, joints, joint_decimals):  # type: ignore[no-untyped-def]
    frames, bodies = listed.shape
    position = _put(text, 0, frames, 0)
    text[position] = _NEWLINE
    position += 1
    for frame in range(frames):
        count = 0
        while count < bodies and listed[frame, count] >= 0:
            count += 1
        position = _put(text, position, count, 0)
        text[position] = _NEWLINE
        position += 1
        for slot in range(count):
            body = listed[frame, slot]
            position = _put_row(text, position, heads[body, frame], head_decimals)
            position = _put(text, position, joints.shape[2], 0)
            text[position] = _NEWLINE
            position += 1
            for joint in range(joints.shape[2]):
                position = _put_row(text, position, joints[body, frame, joint], joint_decimals)
    return position


@compiled()
def _put_table(text, rows, decimals):  # type: ignore[no-untyped-def]
    position = 0
    for row in range(len(rows)):
        position = _put_row(text, position, rows[row], decimals)
    return position


def format_clip(
    listed: NDArray[np.int64],
    heads: NDArray[np.int64],
    head_decimals: NDArray[np.int64],
    joints: NDArray[np.int64],
    joint_decimals: NDArray[np.int64],
) -> bytes:
    """The text of an NTU clip.

    Args:
        listed: (T, B) the bodies of each frame in order, -1 after the last.
        heads: (B, T, 10) fields of a body's line, scaled by 10**head_decimals (10,).
        joints: (B, T, V, 12) fields of a joint's line, scaled by 10**joint_decimals (12,).
    """
    frames, bodies = listed.shape
    numbers = 1 + frames * (1 + bodies * (heads.shape[2] + 1 + joints.shape[2] * joints.shape[3]))
    text = np.empty(numbers * _LONGEST, dtype=np.uint8)
    return text[: _put_clip(text, listed, heads, head_decimals, joints, joint_decimals)].tobytes()


def format_table(rows: NDArray[np.int64], decimals: int) -> bytes:
    """Lines of numbers: rows (R, C), scaled by 10**decimals."""
    text = np.empty(max(1, rows.size) * _LONGEST, dtype=np.uint8)
    return text[: _put_table(text, rows, np.full(rows.shape[1], decimals))].tobytes()
