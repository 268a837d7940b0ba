"""Reading numbers from bytes, compiled. All of it is in this file: numba's disk cache looks at one file only.

A decimal number of at most 18 digits whose value is a product or quotient of two exactly represented doubles is
computed here, correctly rounded. Any other one is left to Python's float(), so that a coordinate equals float() in
any case. Bytes are looked at eight at a time, as a little-endian word whose lowest byte is the first character.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikem.compiling import compiled
from ikem.data.clips import LARGEST, MOST_FRAMES, Floats
from ikem.data.numba_intrinsics import inlined, load, set_bits, trailing_zeros

Bytes = NDArray[np.uint8]
Table = NDArray[np.int64]

LONGEST_NUMBER = 400
"""Characters of a number; a longer one is no measurement."""

DONE, LATER, BAD = 0, 1, 2
"""What `number` says: value computed; left to float(); not a number."""

JOINTS = 25
BODY_FIELDS = 10
JOINT_FIELDS = 12

(OK, ENDS, COUNT, NUMBER, BODY_LINE, JOINT_LINE, JOINT_COUNT, MORE, MANY) = range(9)
"""What scanning a file ends with: well, or the kind of fault."""

_TENS = np.array([10.0**power for power in range(23)])
_WHOLE_TENS = np.array([10**power for power in range(9)], np.uint64)
_EXACT = np.uint64(1 << 53)
_HIGH = np.uint64(0x8080808080808080)
_LOW = np.uint64(0x7F7F7F7F7F7F7F7F)
_FEEDS = np.uint64(0x0A0A0A0A0A0A0A0A)
_ZEROS = np.uint64(0x3030303030303030)
_PAST_BLANK = np.uint64(0x5F5F5F5F5F5F5F5F)  # added to a byte below 128, gives 128 or more from 33 on
_PAST_NINE = np.uint64(0x7676767676767676)  # ... from 10 on
_PAIRS = np.uint64(0x00FF00FF00FF00FF)
_FOURS = np.uint64(0x0000FFFF0000FFFF)


@inlined
def word_at(data: Bytes, position: int) -> np.uint64:
    """The eight bytes from `position` on; zero beyond the end."""
    if position + 8 <= data.size:
        return load(data, position)  # type: ignore[call-arg, no-any-return]
    word = np.uint64(0)
    for at in range(position, data.size):
        word |= np.uint64(data[at]) << np.uint64(8 * (at - position))
    return word


@inlined
def skip_blank(data: Bytes, position: int, line: int) -> tuple[int, int]:
    """Place of the next character that is no white space, and its line."""
    size = data.size
    if position + 1 < size and data[np.uintp(position)] == 10 and data[position + 1] > 32:  # as a rule
        return position + 1, line + 1
    while position < size:
        character = data[np.uintp(position)]
        if character == 10:
            line += 1
        elif character != 32 and character != 13 and character != 9:
            break
        position += 1
    return position, line


@inlined
def skip_space(data: Bytes, position: int) -> int:
    """Position of the next character of the line that is no space; the line feed or the end if there is none."""
    size = data.size
    while position < size and (
        data[np.uintp(position)] == 32 or data[np.uintp(position)] == 13 or data[np.uintp(position)] == 9
    ):
        position += 1
    return position


@compiled(nogil=True)
def skip_token(data: Bytes, position: int) -> int:
    """Place after the token that starts here."""
    size = data.size
    while position < size and data[np.uintp(position)] > 32:
        position += 1
    return position


@inlined
def is_ended(data: Bytes, position: int) -> bool:
    """Whether white space or the end is here."""
    if position >= data.size:
        return True
    character = data[np.uintp(position)]
    return bool(character == 32 or character == 10 or character == 13 or character == 9)


@inlined
def count_fields(data: Bytes, position: int) -> tuple[int, int]:
    """Number of tokens up to the end of the line, and the position of its line feed (or the end).

    This is where most of a `.skeleton` file goes by.
    """
    size = data.size
    count = 0
    inside = np.uint64(0)  # 1: the byte before belongs to a token
    while position < size:
        word = word_at(data, position)
        token = (((word & _LOW) + _PAST_BLANK) | word) & _HIGH  # the high bit of each byte that is no white space
        starts = token & ~((token << np.uint64(8)) | (inside << np.uint64(7)))
        feed = word ^ _FEEDS
        feeds = ~(((feed & _LOW) + _LOW) | feed) & _HIGH
        if feeds:
            before_feed = feeds ^ (feeds - np.uint64(1))
            count += set_bits(starts & before_feed)  # type: ignore[call-arg]
            return count, position + (trailing_zeros(feeds) >> 3)  # type: ignore[call-arg]
        count += set_bits(starts)  # type: ignore[call-arg]
        inside = token >> np.uint64(63)
        position += 8
    return count, size


@compiled(nogil=True)
def whole_number(data: Bytes, position: int) -> tuple[int, int]:
    """Value of the digits here (-1: not a number of at most 18 digits) and the position after the token."""
    end = skip_token(data, position)
    if end == position or end - position > 18 or not is_ended(data, end):
        return -1, end
    value: Any = 0
    for at in range(position, end):
        digit = np.int64(data[at]) - 48
        if digit < 0 or digit > 9:
            return -1, end
        value = value * 10 + digit
    return value, end


@inlined
def number(data: Bytes, position: int) -> tuple[int, float, int]:
    """Decimal number here: DONE, LATER or BAD, its value, the position after the token."""
    size = data.size
    start = position
    # Signs and numbers of digits follow no pattern, so a branch on them costs more than the arithmetic it saves.
    character = data[np.uintp(position)] if position < size else 0
    negative = np.int64(character == 45)
    position += int(negative) + int(character == 43)
    first = position
    mantissa = np.uint64(0)  # may wrap; then there are more than 18 digits, and it is not used
    while position < size and 48 <= data[np.uintp(position)] <= 57:
        mantissa = mantissa * np.uint64(10) + np.uint64(data[np.uintp(position)] - 48)
        position += 1
    digits = position - first
    power = 0
    if position < size and data[np.uintp(position)] == 46:
        position += 1
        first = position
        while position < size and 48 <= data[np.uintp(position)] <= 57:
            word = word_at(data, position) ^ _ZEROS
            others = (((word & _LOW) + _PAST_NINE) | word) & _HIGH
            here = trailing_zeros(others) >> 3  # type: ignore[call-arg] # digits of this word
            word <<= np.uint64(64 - 8 * here)
            word = (word * np.uint64(10) + (word >> np.uint64(8))) & _PAIRS
            word = (word * np.uint64(100) + (word >> np.uint64(16))) & _FOURS
            word = (word * np.uint64(10000) + (word >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
            mantissa = mantissa * _WHOLE_TENS[here] + word
            position += here
        power = first - position
        digits -= power
    good = digits > 0
    if position < size and (data[np.uintp(position)] | 32) == 101:
        position += 1
        below = False
        if position < size and (data[np.uintp(position)] == 45 or data[np.uintp(position)] == 43):
            below = data[np.uintp(position)] == 45
            position += 1
        first = position
        exponent: Any = 0
        while position < size and 48 <= data[np.uintp(position)] <= 57:
            exponent = min(exponent * 10 + np.int64(data[np.uintp(position)]) - 48, 99999)
            position += 1
        good = good and position > first
        power += -exponent if below else exponent
    if not good or not is_ended(data, position) or position - start > LONGEST_NUMBER:
        return BAD, 0.0, skip_token(data, position)
    if digits > 18 or mantissa > _EXACT or power > 22 or power < -22:
        return LATER, 0.0, position
    value = float(np.int64(mantissa))
    value = value * _TENS[power] if power >= 0 else value / _TENS[-power]
    return DONE, value * (1 - 2 * negative), position


@compiled(nogil=True)
def grown(table: Table) -> Table:
    """The table with room for twice as many rows."""
    larger = np.empty((2 * table.shape[0], table.shape[1]), np.int64)
    larger[: table.shape[0]] = table
    return larger


@compiled(nogil=True)
def fail(report: Table, status: int, line: int, position: int, got: int) -> None:
    """Report a fault: its kind, its line, its position, and what was found there."""
    report[0, 0], report[0, 1], report[0, 2], report[0, 3] = status, line, position, got


@compiled(nogil=True)
def keep_later(later: Table, left: int, token: tuple[int, int], index: int, line: int) -> Table:
    """The table with a token added that is left to float(): start, end, index of its value, line."""
    if left == later.shape[0]:
        later = grown(later)
    later[left, 0], later[left, 1] = token
    later[left, 2], later[left, 3] = index, line
    return later


@compiled(nogil=True)
def scan_count(data: Bytes, position: int) -> tuple[int, int]:
    """A whole number alone on its line (-1: it is something else), and the position of the line feed."""
    value, end = whole_number(data, position)
    rest, after = count_fields(data, end)
    return (value if rest == 0 else -1), after


@compiled(nogil=True)
def scan_skeleton(data: Bytes, keep: int, report: Table) -> tuple[Floats, Table, Table]:
    """Read a `.skeleton` file; of each frame the first `keep` bodies.

    Args:
        data: the file.
        keep: bodies of a frame to keep.
        report: (1, 5) int64, filled with status, line, position, what was found there, T.

    Returns:
        coordinates of the B kept bodies (B, 25, 3) float32; for each its frame, position in the frame, id, line (B, 4);
        tokens left to float().
    """
    size = data.size
    room = size // 600 + 2  # a body has at least 600 bytes
    values = np.empty((room, JOINTS, 3), np.float32)
    index = np.empty((room, 4), np.int64)
    later = np.empty((8, 4), np.int64)
    left = count = frame = body = joint = 0
    fail(report, OK, 1, 0, 0)
    nothing = values[:0], index[:0], later[:0]
    position, line = skip_blank(data, 0, 1)
    frames, after = scan_count(data, position)
    report[0, 4] = frames
    if position >= size or frames < 0 or frames > MOST_FRAMES:
        fail(report, ENDS if position >= size else COUNT if frames < 0 else MANY, line, position, max(frames, 0))
        return nothing
    position = after
    for frame in range(frames):
        position, line = skip_blank(data, position, line)
        bodies, after = scan_count(data, position)
        if position >= size or bodies < 0:
            fail(report, ENDS if position >= size else COUNT, line, position, frame if position >= size else 1)
            return nothing
        position = after
        for body in range(bodies):
            position, line = skip_blank(data, position, line)
            identity, end = whole_number(data, position)
            rest, after = count_fields(data, end)
            if position >= size or rest != BODY_FIELDS - 1 or identity < 0:
                status = ENDS if position >= size else BODY_LINE if rest != BODY_FIELDS - 1 else COUNT
                fail(
                    report, status, line, position, frame if status == ENDS else rest + 1 if status == BODY_LINE else 2
                )
                return nothing
            body_line = line
            position, line = skip_blank(data, after, line)
            joints, after = scan_count(data, position)
            if position >= size or joints != JOINTS:
                status = ENDS if position >= size else COUNT if joints < 0 else JOINT_COUNT
                fail(report, status, line, position, frame if status == ENDS else 3 if joints < 0 else joints)
                return nothing
            position = after
            for joint in range(JOINTS):
                position, line = skip_blank(data, position, line)
                if position >= size:
                    fail(report, ENDS, line, position, frame)
                    return nothing
                for axis in range(3):
                    position = skip_space(data, position)
                    status, value, end = number(data, position)
                    if status == BAD or abs(value) > LARGEST:
                        short = position >= size or data[np.uintp(position)] == 10
                        fail(report, JOINT_LINE if short else NUMBER, line, position, axis)
                        return nothing
                    if body < keep:
                        values[count, joint, axis] = value
                        if status != DONE:
                            later = keep_later(later, left, (position, end), (count * JOINTS + joint) * 3 + axis, line)
                            left += 1
                    position = end
                rest, position = count_fields(data, position)
                if rest != JOINT_FIELDS - 3:
                    fail(report, JOINT_LINE, line, position, rest + 3)
                    return nothing
            if body < keep:
                index[count, 0], index[count, 1], index[count, 2], index[count, 3] = frame, body, identity, body_line
                count += 1
    position, line = skip_blank(data, position, line)
    if position < size:
        fail(report, MORE, line, position, frames)
    return values[:count], index[:count], later[:left]


@compiled(nogil=True)
def scan_table(data: Bytes, columns: int, report: Table) -> tuple[Floats, Table]:
    """Read lines of `columns` numbers each; blank lines are skipped.

    Args:
        data: the file.
        columns: numbers of a line.
        report: as for `scan_skeleton`.

    Returns:
        the numbers (rows, columns) float32; tokens left to float().
    """
    size = data.size
    values = np.empty((size // (2 * columns) + 1, columns), np.float32)  # a number has two bytes with its space
    later = np.empty((8, 4), np.int64)
    left = rows = 0
    position, line = skip_blank(data, 0, 1)
    fail(report, OK, line, position, 0)
    while position < size:
        if rows == MOST_FRAMES:
            fail(report, MANY, line, position, rows)
            break
        for column in range(columns):
            position = skip_space(data, position)
            status, value, end = number(data, position)
            if status == BAD or abs(value) > LARGEST:
                short = position >= size or data[np.uintp(position)] == 10
                fail(report, JOINT_LINE if short else NUMBER, line, position, column)
                return values[:0], later[:0]
            values[rows, column] = value
            if status != DONE:
                later = keep_later(later, left, (position, end), rows * columns + column, line)
                left += 1
            position = end
        rest, position = count_fields(data, position)
        if rest > 0:
            fail(report, JOINT_LINE, line, position, columns + rest)
            break
        rows += 1
        position, line = skip_blank(data, position, line)
    return values[:rows], later[:left]
