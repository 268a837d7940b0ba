"""Readers by format. To add a format: one file with a reader, and one entry here. A reader is imported when used."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ikem.registry import load

if TYPE_CHECKING:
    from ikem.data.formats.base import Reader

FORMATS: dict[str, str] = {
    "ntu": "ikem.data.formats.clip_per_member:NtuReader",
    "pkummd": "ikem.data.formats.pkummd:PkummdReader",
    "nwucla": "ikem.data.formats.clip_per_member:NwuclaReader",
    "arrays": "ikem.data.formats.arrays:ArraysReader",
}
"""Class of the reader of each `format` that a dataset can name."""


@cache
def reader_of(name: str) -> Reader:
    """The reader of a format."""
    reader: Reader = load(FORMATS[name])()
    return reader
