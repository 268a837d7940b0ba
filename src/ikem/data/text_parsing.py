"""What the text formats have in common besides the compiled code: left-over numbers, words for faults, encodings."""

from __future__ import annotations

import numpy as np

from ikem.data.clips import LARGEST, ClipError, Floats
from ikem.data.number_parser import LONGEST_NUMBER, Table


def fill_later(data: bytes, values: Floats, later: Table, location: str) -> None:
    """Put float() of each token left over into the flat `values`; a row of `later` is start, end, index, line."""
    for start, end, index, line in later.tolist():
        value = float(data[start:end])
        if not abs(value) <= LARGEST:
            raise ClipError(bad_number(data, start), location=location, line=line)
        values[index] = value


def bad_number(data: bytes, position: int) -> str:
    """Say what is wrong with the token at `position`, which should have been a coordinate."""
    token = (
        data[position : position + LONGEST_NUMBER + 1].split(maxsplit=1)[0]
        if data[position : position + 1].strip()
        else b""
    )
    if len(token) > LONGEST_NUMBER:
        return f"something of more than {LONGEST_NUMBER} characters is not a number"
    shown = repr(token[:40].decode("ascii", "backslashreplace"))
    try:
        value = float(token)
    except ValueError:
        value = 0.0
        hints = (b"nan", b"inf", b"#ind", b"#qnan")
        if any(hint in token.lower() for hint in hints):
            return f"{shown} is not a finite number"
    if not np.isfinite(value):
        return f"{shown} is not a finite number"
    if abs(value) > LARGEST:
        return f"{shown} is beyond {LARGEST:g} m"
    return f"{shown} is not a number"


def encoding_problem(data: bytes) -> str | None:
    """Why bytes that should be plain text cannot be, or None."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:64]:
        return "is not plain text (it looks like UTF-16 or binary data)"
    return None


def without_mark(data: bytes) -> bytes:
    """The bytes without a byte-order mark."""
    return data[3:] if data.startswith(b"\xef\xbb\xbf") else data
