"""What all sections of a config have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints

from ikem.modalities import MODALITIES

_LONGEST_NAME = 255
"""Bytes of the name of a file or folder, on all common file systems."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Names become folder names and words of a command line: letters, digits, '_', '.', '-'."""


def path_of(text: str) -> str:
    """A path in its one spelling: `./a//b/` is `a/b`.

    Raises:
        ValueError: no file system allows it.
    """
    path = Path(text)
    if "\0" in text or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise ValueError(f"names of files and folders have at most {_LONGEST_NAME} bytes, none of them 0")
    return str(path)


Folder = Annotated[str, StringConstraints(pattern=r"^[^{}*?\x00-\x1f]+$", max_length=1000), AfterValidator(path_of)]
"""A folder; braces, '*' and '?' would be read as patterns by the workflow."""

Title = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""What tables and figures show."""

Count = 1_000_000
"""The largest number of things of one kind (epochs, keys of a queue, neighbors): far above use, far below overflow."""

if TYPE_CHECKING:
    ModalityName = str
else:
    ModalityName = Literal[tuple(MODALITIES)]
    """The name of a registered modality."""


class Settings(BaseModel):
    """Base of all sections: unknown keys are errors, values do not change."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


def default_kind(kind: str) -> BeforeValidator:
    """For a union of sections that `kind` distinguishes: the kind of a section that names none."""

    def named(value: Any) -> Any:
        return {"kind": kind, **value} if isinstance(value, Mapping) else value

    return BeforeValidator(named)
