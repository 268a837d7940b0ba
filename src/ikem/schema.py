"""What all sections of a config have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from ikem.modalities import MODALITIES

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Names become folder names and words of a command line: letters, digits, '_', '.', '-'."""

Folder = Annotated[str, StringConstraints(pattern=r"^[^{}*?\x00-\x1f]+$")]
"""A folder; braces, '*' and '?' would be read as patterns by the workflow."""

if TYPE_CHECKING:
    ModalityName = str
else:
    ModalityName = Literal[tuple(MODALITIES)]
    """The name of a registered modality."""


class Settings(BaseModel):
    """Base of all sections: unknown keys are errors, values do not change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, use_attribute_docstrings=True
    )


def default_kind(kind: str) -> BeforeValidator:
    """For a union of sections that `kind` tells apart: the kind of a section that names none."""

    def named(value: Any) -> Any:
        return {"kind": kind, **value} if isinstance(value, Mapping) else value

    return BeforeValidator(named)
