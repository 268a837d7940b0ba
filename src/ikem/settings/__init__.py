"""The schema of a config: every key, its default, its meaning, its allowed values. Defaults stand here alone."""

from ikem.schema import ModalityName, Name, Settings
from ikem.settings.benchmark import Block, Compute, Config, Resources
from ikem.settings.data import Archive, Counts, Dataset, Decode, Prepare, Protocol
from ikem.settings.evaluations import Evaluation, Finetune, Knn, Linear, Semi
from ikem.settings.methods import IKEM, CrosSCLR, Method, Random, SkeletonCLR, Student, Supervised
from ikem.settings.training import Contrast, Encoder, Recipe, Relation, Schedule

__all__ = [
    "IKEM",
    "Archive",
    "Block",
    "Compute",
    "Config",
    "Contrast",
    "Counts",
    "CrosSCLR",
    "Dataset",
    "Decode",
    "Encoder",
    "Evaluation",
    "Finetune",
    "Knn",
    "Linear",
    "Method",
    "ModalityName",
    "Name",
    "Prepare",
    "Protocol",
    "Random",
    "Recipe",
    "Relation",
    "Resources",
    "Schedule",
    "Semi",
    "Settings",
    "SkeletonCLR",
    "Student",
    "Supervised",
]
