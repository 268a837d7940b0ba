"""ActCLR: regions of motion are kept, all others are changed, and the relations to the queue are distilled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from ikem.augmentations.registry import AUGMENTATIONS, AugmentationEntry
from ikem.methods.aimclr.method import METHOD as AIMCLR
from ikem.methods.declaration import Method, Stage, StageContext, epochs
from ikem.registry import JobName, Source, nearest
from ikem.schema import Count, Name, Settings
from ikem.settings.methods import MethodOptions

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config


def _entries(**options: dict[str, Any]) -> tuple[AugmentationEntry, ...]:
    return tuple(AUGMENTATIONS[name].options(**values) for name, values in options.items())


NORMAL: tuple[AugmentationEntry, ...] = _entries(
    swap={}, rotation={}, gaussian_noise={}, gaussian_blur={}, axis_mask={}
)
STRONG: tuple[AugmentationEntry, ...] = _entries(
    swap={},
    rotation={},
    gaussian_noise={"deviation": 0.05},
    gaussian_blur={},
    axis_mask={},
    speed={},
    bone_scale={},
)


class Phase(Settings):
    """A part of the training by how many augmentations it has; which ones is drawn for each epoch."""

    until: int = Field(ge=1, le=Count)
    """The phase ends after this epoch."""
    normal: int = Field(ge=0, le=100)
    """Augmentations of the normal view."""
    strong: int = Field(ge=0, le=100)
    """Augmentations of the strong view."""


class ActCLR(MethodOptions):
    """Distillation of relations to a queue, into views in which only what does not move is changed."""

    kind: Literal["actclr"]
    start: Name = "aimclr"
    """Method whose encoders and projection heads it starts from."""
    normal_augmentations: tuple[AugmentationEntry, ...] = Field(NORMAL, max_length=100, strict=False)
    """Augmentations of the normal view, after those of the recipe."""
    strong_augmentations: tuple[AugmentationEntry, ...] = Field(STRONG, max_length=100, strict=False)
    """Augmentations of the strong view, after those of the recipe."""
    phases: tuple[Phase, ...] = Field(
        (
            Phase(until=100, normal=5, strong=7),
            Phase(until=200, normal=3, strong=5),
            Phase(until=300, normal=1, strong=3),
        ),
        max_length=100,
        strict=False,
    )
    """Phases, in order. In epochs after the last one nothing is augmented, by the recipe neither."""
    fine_mixing_epoch: int = Field(200, ge=0, le=Count)
    """Epochs with coarse mixing; then fewer parts of the body and shorter times are mixed."""
    neighbors: float = Field(0.125, gt=0, le=1)
    """Share of the queue whose similarities are distilled, the nearest to the key: 8192 of 65536."""
    duplicate: float = Field(0.95, ge=-1, le=1)
    """Similarity from which an entry of the queue counts as the clip itself, and is no neighbor."""
    teacher_temperature: float = Field(0.04, ge=0.01, le=10)
    """Temperature of the key's similarities."""
    student_temperature: float = Field(0.1, ge=0.01, le=10)
    """Temperature of the squared similarities of the views."""
    actionlet: Literal["corrected", "released"] = "corrected"
    """How features are normalized when the region of motion is found: along their width, or each number by itself as
    in the released code, whose regions are therefore empty."""
    mixed_view: Literal["released", "weak"] = "released"
    """What the mixed view is made of: joints with exchanged bone lengths, as in the released code; or the weak view."""

    @model_validator(mode="after")
    def _phases_are_possible(self) -> ActCLR:
        ends = [phase.until for phase in self.phases]
        if ends != sorted(set(ends)):
            raise ValueError("phases: each must end later than the one before it")
        for phase in self.phases:
            most = len(self.normal_augmentations), len(self.strong_augmentations)
            if phase.normal > most[0] or phase.strong > most[1]:
                raise ValueError(f"phases: there are {most[0]} normal and {most[1]} strong augmentations")
        return self

    def check(self, entry: str, config: Config) -> None:
        """See the base class."""
        from ikem.methods.registry import METHODS

        known = sorted(name for name, other in config.methods.items() if METHODS[other.kind].teaches)
        if self.start not in known:
            allowed = f"{nearest(self.start, known)}; allowed are {', '.join(known)}"
            raise ValueError(f"methods.{entry}.start: {self.start!r} has no projection head{allowed}")
        started = [entry]
        while (first := getattr(config.methods[started[-1]], "start", None)) in config.methods:
            if first in started:
                raise ValueError(f"methods.{entry}.start: {' starts from '.join([*started, first])}, without an end")
            started.append(first)
        if entry not in _entries_that_run(config):
            return  # an entry of the library
        start = config.methods[self.start]
        missing = [name for name in self.modalities if name not in start.modalities]
        if missing:
            raise ValueError(f"methods.{entry}.modalities: {self.start} has no {', '.join(missing)}")
        if config.recipes[self.recipe].encoder != config.recipes[start.recipe].encoder:
            raise ValueError(f"methods.{entry}.recipe: its encoder is not that of {self.start}, which it starts from")


def _entries_that_run(config: Config) -> set[str]:
    """The entries of the benchmark, and those that they start from or learn from."""
    found: set[str] = set()
    waiting = [name for block in config.benchmark for name in block.methods]
    while waiting:
        name = waiting.pop()
        if name not in found and name in config.methods:
            found.add(name)
            waiting += [getattr(config.methods[name], key, "") for key in ("start", "teacher")]
    return found


def _settings(context: StageContext) -> dict[str, Any]:
    recipe = context.recipe
    options = context.options.model_dump(mode="json", exclude={"kind", "title", "published_as", "recipe", "start"})
    return {
        **epochs(recipe, 0, recipe.schedule.epochs),
        **options,
        "modalities": context.modalities,
        "neighbors": max(1, round(options["neighbors"] * recipe.contrast.queue_size)),
    }


def _start(context: StageContext) -> dict[str, JobName]:
    from ikem.methods.registry import encoder_states

    (modality,) = context.modalities
    return {"start": encoder_states(context.config, context.keys, context.options.start)[modality]}


METHOD = Method(
    title="ActCLR",
    summary="Views in which only what does not move is changed learn how the clip relates to a queue.",
    source=Source(
        authors="Lin, Zhang, Liu",
        title="Actionlet-Dependent Contrastive Learning for Unsupervised Skeleton-Based Action Recognition",
        venue="CVPR",
        year=2023,
        arxiv="2303.10904",
    ),
    options=ActCLR,
    stages=(
        Stage(
            name="actclr",
            summary="ActCLR: one modality, from the states of another method on.",
            trainer="ikem.methods.actclr.trainer:ActCLRTrainer",
            per_modality=True,
            settings=_settings,
            inputs=_start,
            follows=AIMCLR.stages[-1:],
        ),
    ),
    teaches=True,
)
