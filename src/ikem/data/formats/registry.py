"""Readers by format. To add a format: one file with a reader, and one entry here."""

from __future__ import annotations

from ikem.data.formats.arrays import ArraysReader
from ikem.data.formats.base import Reader
from ikem.data.formats.clip_per_member import NtuReader, NwuclaReader
from ikem.data.formats.pkummd import PkummdReader

READERS: dict[str, Reader] = {
    "ntu": NtuReader(),
    "pkummd": PkummdReader(),
    "nwucla": NwuclaReader(),
    "arrays": ArraysReader(),
}
"""Reader of each `format` that a dataset can name."""
