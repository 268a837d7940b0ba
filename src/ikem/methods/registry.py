"""All methods and their stages by name. To add a method: a folder with `method.py` and `trainer.py`, and an entry in a
config. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ikem import methods as package
from ikem.methods.declaration import RUN, Method, Stage
from ikem.registry import JobName, declarations, job_name, subset

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config

METHODS: dict[str, Method] = {name: module.METHOD for name, module in declarations(package, "method")}
"""Every method, by the name of its folder: the `kind` of an entry of a config."""


def _stages() -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    for method in METHODS.values():
        for stage in method.stages:
            if found.setdefault(stage.name, stage) is not stage:
                raise ValueError(f"two stages are named {stage.name!r}; methods that share one must import it")
    return found


STAGES: dict[str, Stage] = _stages()
"""Every stage, by name."""

if TYPE_CHECKING:
    MethodEntry = Any
else:
    MethodEntry = Annotated[reduce(or_, (method.options for method in METHODS.values())), Field(discriminator="kind")]
    """The options of one of the methods: an entry of `methods` in a config."""


def encoder_states(config: Config, keys: Mapping[str, str], entry: str) -> dict[str, JobName]:
    """For each modality of a method's entry the job whose state holds its encoder."""
    options = config.methods[entry]
    stage = METHODS[options.kind].stages[-1]
    owner = {"recipe": options.recipe} if stage.shared else {"method": entry}
    run = subset(keys, *RUN)
    return {
        name: job_name(stage.name, run, **owner, **({"modality": name} if stage.per_modality else {}))
        for name in options.modalities
    }
