"""Readers by format. To add a format: one file with a reader, and one entry here."""

from __future__ import annotations

from ikem.data.arrays import ArraysReader
from ikem.data.formats import NtuReader, NwuclaReader
from ikem.data.pkummd import PkummdReader
from ikem.data.work import Reader

READERS: dict[str, Reader] = {
    "ntu": NtuReader(),
    "pkummd": PkummdReader(),
    "nwucla": NwuclaReader(),
    "arrays": ArraysReader(),
}
"""Reader of each `format` that a dataset can name."""
