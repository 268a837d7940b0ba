"""Reading numbers from bytes, compiled. All of it is in this file: numba's disk cache looks at one file only.

A decimal number of at most 18 digits whose value is a product or quotient of two exactly represented doubles is
computed here, correctly rounded. Any other one is left to Python's float(), so that a coordinate equals float() in
any case. Bytes are looked at eight at a time, as a little-endian word whose lowest byte is the first character.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ikem.data.clips import LARGEST, MOST_FRAMES, Floats

Bytes = NDArray[np.uint8]
Table = NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., Any])

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


def compiled(function: Function) -> Function:
    """Compile with numba; keep the machine code on disk where there is a place for it."""
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder that can be written to
        return cast(Function, numba.njit(nogil=True)(function))


@intrinsic  # type: ignore[untyped-decorator]
def _load(typing_context: Any, data: Any, place: Any) -> Any:
    """The eight bytes from `place` on, which must all be inside the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        return builder.load(builder.bitcast(address, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def _trailing_zeros(typing_context: Any, word: Any) -> Any:
    """Number of zero bits below the lowest set bit."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _set_bits(typing_context: Any, word: Any) -> Any:
    """Number of set bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@compiled
def word_at(data: Bytes, place: int) -> np.uint64:
    """The eight bytes from `place` on; zero beyond the end."""
    if place + 8 <= data.size:
        return _load(data, place)  # type: ignore[call-arg, no-any-return]
    word = np.uint64(0)
    for at in range(place, data.size):
        word |= np.uint64(data[at]) << np.uint64(8 * (at - place))
    return word


@compiled
def skip_blank(data: Bytes, place: int, line: int) -> tuple[int, int]:
    """Place of the next character that is no white space, and its line."""
    size = data.size
    while place < size:
        character = data[place]
        if character == 10:
            line += 1
        elif character != 32 and character != 13 and character != 9:
            break
        place += 1
    return place, line


@compiled
def skip_space(data: Bytes, place: int) -> int:
    """Place of the next character of the line that is no space; the line feed or the end if there is none."""
    size = data.size
    while place < size and (data[place] == 32 or data[place] == 13 or data[place] == 9):
        place += 1
    return place


@compiled
def skip_token(data: Bytes, place: int) -> int:
    """Place after the token that starts here."""
    size = data.size
    while place < size and data[place] > 32:
        place += 1
    return place


@compiled
def count_fields(data: Bytes, place: int) -> tuple[int, int]:
    """Number of tokens up to the end of the line, and the place of its line feed (or the end).

    This is where most of a `.skeleton` file goes by.
    """
    size = data.size
    count = 0
    inside = np.uint64(0)  # 1: the byte before belongs to a token
    while place < size:
        word = word_at(data, place)
        token = (((word & _LOW) + _PAST_BLANK) | word) & _HIGH  # the high bit of each byte that is no white space
        starts = token & ~((token << np.uint64(8)) | (inside << np.uint64(7)))
        feed = word ^ _FEEDS
        feeds = ~(((feed & _LOW) + _LOW) | feed) & _HIGH
        if feeds:
            before_feed = feeds ^ (feeds - np.uint64(1))
            count += _set_bits(starts & before_feed)  # type: ignore[call-arg]
            return count, place + (_trailing_zeros(feeds) >> 3)  # type: ignore[call-arg]
        count += _set_bits(starts)  # type: ignore[call-arg]
        inside = token >> np.uint64(63)
        place += 8
    return count, size


@compiled
def whole_number(data: Bytes, place: int) -> tuple[int, int]:
    """Value of the digits here (-1: not a number of at most 18 digits) and the place after the token."""
    end = skip_token(data, place)
    if end == place or end - place > 18:
        return -1, end
    value: Any = 0
    for at in range(place, end):
        digit = np.int64(data[at]) - 48
        if digit < 0 or digit > 9:
            return -1, end
        value = value * 10 + digit
    return value, end


@compiled
def number(data: Bytes, place: int) -> tuple[int, float, int]:
    """Decimal number here: DONE, LATER or BAD, its value, the place after the token."""
    size = data.size
    start = place
    negative = False
    character = data[place] if place < size else 0
    if character == 45 or character == 43:
        negative = character == 45
        place += 1
    first = place
    mantissa = np.uint64(0)  # may wrap; then there are more than 18 digits, and it is not used
    while place < size and 48 <= data[place] <= 57:
        mantissa = mantissa * np.uint64(10) + np.uint64(data[place] - 48)
        place += 1
    digits = place - first
    power = 0
    if place < size and data[place] == 46:
        place += 1
        first = place
        while True:
            word = word_at(data, place) ^ _ZEROS
            others = (((word & _LOW) + _PAST_NINE) | word) & _HIGH
            here = _trailing_zeros(others) >> 3  # type: ignore[call-arg] # 8 where all are digits
            if here == 0:
                break
            word <<= np.uint64(64 - 8 * here)
            word = (word * np.uint64(10) + (word >> np.uint64(8))) & _PAIRS
            word = (word * np.uint64(100) + (word >> np.uint64(16))) & _FOURS
            word = (word * np.uint64(10000) + (word >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
            mantissa = mantissa * _WHOLE_TENS[here] + word
            place += here
            if here < 8:
                break
        power = first - place
        digits -= power
    good = digits > 0
    if place < size and (data[place] | 32) == 101:
        place += 1
        below = False
        if place < size and (data[place] == 45 or data[place] == 43):
            below = data[place] == 45
            place += 1
        first = place
        exponent: Any = 0
        while place < size and 48 <= data[place] <= 57:
            exponent = min(exponent * 10 + np.int64(data[place]) - 48, 99999)
            place += 1
        good = good and place > first
        power += -exponent if below else exponent
    if not good or (place < size and data[place] > 32) or place - start > LONGEST_NUMBER:
        return BAD, 0.0, skip_token(data, place)
    if digits > 18 or mantissa > _EXACT or power > 22 or power < -22:
        return LATER, 0.0, place
    value = float(np.int64(mantissa))
    value = value * _TENS[power] if power >= 0 else value / _TENS[-power]
    return DONE, -value if negative else value, place


@compiled
def grown(table: Table) -> Table:
    """The table with room for twice as many rows."""
    larger = np.empty((2 * table.shape[0], table.shape[1]), np.int64)
    larger[: table.shape[0]] = table
    return larger


@compiled
def scan_skeleton(data: Bytes, keep: int) -> tuple[int, int, int, int, int, int, Floats, Table, Table]:
    """Read a file; of each frame the first `keep` bodies.

    Returns:
        status; line and place of the fault; what was found there; T; number of kept bodies B; their coordinates
        (>= B, 25, 3); for each its frame, place in the frame, id, line (>= B, 4); tokens left to float()
        (start, end, index, line).
    """
    size = data.size
    room = size // 600 + 2  # a body has at least 600 bytes
    values = np.empty((room, JOINTS, 3), np.float32)
    index = np.empty((room, 4), np.int64)
    later = np.empty((8, 4), np.int64)
    left = count = 0
    place, line = skip_blank(data, 0, 1)
    frames, end = whole_number(data, place)
    rest, after = count_fields(data, end)
    if place >= size:
        return ENDS, line, place, 0, 0, 0, values, index, later[:0]
    if frames < 0 or rest > 0:
        return COUNT, line, place, 0, 0, 0, values, index, later[:0]
    if frames > MOST_FRAMES:
        return MANY, line, place, frames, 0, 0, values, index, later[:0]
    place = after
    for frame in range(frames):
        place, line = skip_blank(data, place, line)
        if place >= size:
            return ENDS, line, place, frame, frames, 0, values, index, later[:0]
        bodies, end = whole_number(data, place)
        rest, after = count_fields(data, end)
        if bodies < 0 or rest > 0:
            return COUNT, line, place, 1, frames, 0, values, index, later[:0]
        place = after
        for body in range(bodies):
            place, line = skip_blank(data, place, line)
            if place >= size:
                return ENDS, line, place, frame, frames, 0, values, index, later[:0]
            identity, end = whole_number(data, place)
            if identity < 0:
                return COUNT, line, place, 2, frames, 0, values, index, later[:0]
            rest, after = count_fields(data, end)
            if rest != BODY_FIELDS - 1:
                return BODY_LINE, line, place, rest + 1, frames, 0, values, index, later[:0]
            body_line = line
            place, line = skip_blank(data, after, line)
            if place >= size:
                return ENDS, line, place, frame, frames, 0, values, index, later[:0]
            joints, end = whole_number(data, place)
            rest, after = count_fields(data, end)
            if joints < 0 or rest > 0:
                return COUNT, line, place, 3, frames, 0, values, index, later[:0]
            if joints != JOINTS:
                return JOINT_COUNT, line, place, joints, frames, 0, values, index, later[:0]
            place = after
            for joint in range(JOINTS):
                place, line = skip_blank(data, place, line)
                if place >= size:
                    return ENDS, line, place, frame, frames, 0, values, index, later[:0]
                for axis in range(3):
                    place = skip_space(data, place)
                    if place >= size or data[place] == 10:
                        return JOINT_LINE, line, place, axis, frames, 0, values, index, later[:0]
                    status, value, end = number(data, place)
                    if status == BAD or abs(value) > LARGEST:
                        return NUMBER, line, place, 0, frames, 0, values, index, later[:0]
                    if body < keep:
                        values[count, joint, axis] = value
                        if status != DONE:
                            if left == later.shape[0]:
                                later = grown(later)
                            later[left, 0], later[left, 1] = place, end
                            later[left, 2], later[left, 3] = (count * JOINTS + joint) * 3 + axis, line
                            left += 1
                    place = end
                rest, place = count_fields(data, place)
                if rest != JOINT_FIELDS - 3:
                    return JOINT_LINE, line, place, rest + 3, frames, 0, values, index, later[:0]
            if body < keep:
                index[count, 0], index[count, 1] = frame, body
                index[count, 2], index[count, 3] = identity, body_line
                count += 1
    place, line = skip_blank(data, place, line)
    if place < size:
        return MORE, line, place, frames, frames, 0, values, index, later[:0]
    return OK, line, place, 0, frames, count, values, index, later[:left]
