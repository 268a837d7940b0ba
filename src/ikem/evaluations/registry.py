"""All evaluations by name. To add one: a folder with `evaluation.py`, and an entry in a config. No torch here."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ikem import evaluations as package
from ikem.evaluations.declaration import Evaluation
from ikem.registry import declarations

EVALUATIONS: dict[str, Evaluation] = {name: module.EVALUATION for name, module in declarations(package, "evaluation")}
"""Every evaluation, by the name of its folder: the `kind` of an entry of a config."""

if TYPE_CHECKING:
    EvaluationEntry = Any
else:
    EvaluationEntry = Annotated[
        reduce(or_, (evaluation.options for evaluation in EVALUATIONS.values())), Field(discriminator="kind")
    ]
    """The options of one of the evaluations: an entry of `evaluations` in a config."""
