"""The schema of a config: every key, its default, its meaning, its allowed values. Defaults stand here alone.

The sections of methods and of evaluations are in their folders of `ikem.methods` and `ikem.evaluations`.
"""

from ikem.settings.benchmark import Block, Compute, Config, Resources
from ikem.settings.data import Archive, Counts, Dataset, Decode, Prepare, Protocol

__all__ = [
    "Archive",
    "Block",
    "Compute",
    "Config",
    "Counts",
    "Dataset",
    "Decode",
    "Prepare",
    "Protocol",
    "Resources",
]
