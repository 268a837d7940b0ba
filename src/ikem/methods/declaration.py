"""What a method declares. Nothing here imports torch.

A method trains in stages. From the declaration of a stage follow its job type, its rule and the word that `status`
shows (all three are its name), its paths, its resources, and which of its states holds which encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ikem.registry import JobName, Source, job_name, subset
from ikem.settings.methods import MethodOptions
from ikem.settings.training import Recipe

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config

RUN = ("dataset", "protocol", "seed")
"""Wildcards of a run."""


@dataclass(frozen=True)
class StageContext:
    """The job of a stage, as the functions of its declaration see it.

    Attributes:
        config: the whole config.
        keys: wildcards of the job: dataset, protocol, seed, and `method` or (a shared stage) `recipe`, and `modality`
            where the stage has a job for each.
    """

    config: Config
    keys: Mapping[str, str]

    @cached_property
    def options(self) -> Any:
        """Options of the method; a shared stage has none, since it belongs to all methods of a recipe."""
        return self.config.methods[self.keys["method"]]

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the method, or of the shared stage."""
        return self.config.recipes[self.keys.get("recipe") or self.options.recipe]

    @cached_property
    def modalities(self) -> list[str]:
        """The modalities that the job trains."""
        return [self.keys["modality"]] if "modality" in self.keys else list(self.options.modalities)

    def states(self, stage: Stage) -> dict[str, JobName]:
        """For each modality of this job the job of a stage that trains each modality by itself."""
        run = subset(self.keys, *RUN)
        owner = "recipe" if stage.shared else "method"
        value = self.keys.get(owner) or self.options.recipe
        return {name: job_name(stage.name, run, **{owner: value, "modality": name}) for name in self.modalities}


def _nothing(context: StageContext) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Stage:
    """One training job of a method.

    Attributes:
        name: job type, rule, and word of `status`: letters, digits and "_".
        summary: what the rule does, in a sentence; `snakemake --list` shows it.
        trainer: "module:class" of the trainer; see `ikem.training.loop.Trainer`.
        per_modality: a job for each modality, or one for the whole method.
        independent_modalities: whether that one job treats each modality by itself, so that none depends on which
            others there are.
        shared: its jobs belong to a recipe: methods that name the same recipe and modality share them.
        settings: further settings of the job, all that shapes its result; they must include `first_epoch`, `last_epoch`
            and `schedule` (`epochs` gives them).
        inputs: the states that it starts from, or learns from, by the name under which the trainer finds them.
        follows: stages that it starts from; they run with higher priority.
        learns_from_teacher: whether its inputs are states of any method that teaches; they run with higher priority.
        divisible: whether several processes may share its modalities: its trainer has the encoders of `model.own`
            alone, and gathers what it needs of others, see `ikem.training.process_group`.
        encoder: prefix of an encoder's parameters in the state, with "{modality}" for its name.
    """

    name: str
    summary: str
    trainer: str
    per_modality: bool = False
    independent_modalities: bool = False
    shared: bool = False
    settings: Callable[[StageContext], dict[str, Any]] = _nothing
    inputs: Callable[[StageContext], dict[str, JobName]] = _nothing
    follows: tuple[Stage, ...] = ()
    learns_from_teacher: bool = False
    divisible: bool = False
    encoder: str = "query.{modality}.encoder."

    @property
    def output(self) -> str:
        """Pattern of the state that it ends with, below the results folder."""
        owner = "{recipe}" if self.shared else "{method}"
        modality = "/{modality}" if self.per_modality else ""
        return f"{{dataset}}/{{protocol}}/seed{{seed}}/{self.name}/{owner}{modality}/state.safetensors"


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        title: what the field calls it.
        options: its section of a config; `kind` is the name of its folder.
        source: where it was published; None for controls.
        stages: in order; the last one's states hold the encoders.
        ranked: whether it may be the best of a column; not so the untrained floor and the ceiling with labels.
        teaches: whether relational distillation may learn from it: its states hold features of a projection head.
        queue: whether it contrasts clips with a queue of keys, as `contrast` of a recipe says.
        summary: a sentence for the documentation.
    """

    title: str
    options: type[MethodOptions]
    stages: tuple[Stage, ...]
    summary: str
    source: Source | None = None
    ranked: bool = True
    teaches: bool = False
    queue: bool = True

    @property
    def independent_modalities(self) -> bool:
        """Whether the encoder of a modality is the same whichever others the method has."""
        return all(stage.per_modality or stage.independent_modalities for stage in self.stages)


def epochs(recipe: Recipe, first: int, last: int) -> dict[str, Any]:
    """The part of a recipe that epochs first..last (exclusive) see, as settings of a job."""
    schedule = recipe.schedule.job_settings(last)
    return {"first_epoch": first, "last_epoch": last, "schedule": schedule, "contrast": recipe.contrast.model_dump()}
