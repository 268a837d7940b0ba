"""All augmentations by name. To add one: a file of this folder with its options, a function and `AUGMENTATION`.

Nothing here imports torch.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ikem import augmentations as package
from ikem.augmentations.declaration import Augmentation

_SHARED = {"declaration", "registry", "views"}

AUGMENTATIONS: dict[str, Augmentation] = {
    name: importlib.import_module(f"{package.__name__}.{name}").AUGMENTATION
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    if name not in _SHARED
}
"""Every augmentation, by the name of its file: the `kind` of an entry of a list of augmentations."""

if TYPE_CHECKING:
    AugmentationEntry = Any
else:
    AugmentationEntry = Annotated[
        reduce(or_, (each.options for each in AUGMENTATIONS.values())), Field(discriminator="kind")
    ]
    """The options of one of the augmentations."""

PUBLISHED: tuple[AugmentationEntry, ...] = tuple(AUGMENTATIONS[name].options() for name in ("crop", "shear"))
"""The augmentations of the published methods, applied in this order."""


def parse_augmentations(settings: Iterable[Mapping[str, Any]]) -> list[AugmentationEntry]:
    """The options of each augmentation, from the settings of a job."""
    return [AUGMENTATIONS[values["kind"]].options(**values) for values in settings]
