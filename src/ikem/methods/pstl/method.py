"""PSTL: a clip, and the same clip without its fast frames or its central joints, have equal features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from ikem.methods.declaration import Method, Stage, StageContext
from ikem.registry import Source
from ikem.settings.methods import MethodOptions

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config


class PSTL(MethodOptions):
    """Barlow Twins between the whole clip and two partial ones: without fast frames, without central joints."""

    kind: Literal["pstl"]
    projector_dim: int = Field(6144, ge=2, le=65_536)
    """Width of the projector, that of the features which are correlated."""
    off_diagonal_weight: float = Field(2e-4, ge=0, le=1000)
    """Weight of the correlations between different features."""
    fast_frames: float = Field(0.2, ge=0, le=0.9)
    """Share of the frames that the temporal mask drops because they move most: 10 of 50."""
    random_frames: float = Field(0.2, ge=0, le=0.9)
    """Share of the frames that it drops at random from those that are left: 10 of 50."""
    masked_joints: float = Field(0.32, ge=0, le=0.9)
    """Number of draws of the spatial mask, as a share of the number of joints: 8 of 25. A joint is as likely as it has
    edges, and may be drawn more than once."""
    draws: Literal["batch", "clip"] = "batch"
    """Whether augmentations are drawn once for each batch, as in the published code, or for each clip."""

    @model_validator(mode="after")
    def _frames_are_left(self) -> PSTL:
        if self.fast_frames + self.random_frames > 0.9:
            raise ValueError("random_frames: together with fast_frames at most 0.9; else no frames are left")
        return self

    def check(self, entry: str, config: Config) -> None:
        """See the base class."""
        kind = config.recipes[self.recipe].encoder.kind
        if kind != "stgcn":
            raise ValueError(f"methods.{entry}.recipe: its encoder is {kind}; only stgcn can leave joints out")


def _settings(context: StageContext) -> dict[str, Any]:
    schedule = context.recipe.schedule
    common = {"kind", "title", "published_as", "modalities", "recipe"}
    return {
        "first_epoch": 0,
        "last_epoch": schedule.epochs,
        "schedule": schedule.job_settings(),
        **context.options.model_dump(exclude=common),
    }


METHOD = Method(
    title="PSTL",
    summary="Barlow Twins between a clip and the same clip without its fast frames, and without its central joints.",
    source=Source(
        authors="Zhou, Duan, Rao et al.",
        title="Self-supervised Action Representation Learning from Partial Spatio-Temporal Skeleton Sequences",
        venue="AAAI",
        year=2023,
        arxiv="2302.09018",
    ),
    options=PSTL,
    queue=False,
    stages=(
        Stage(
            name="pstl",
            summary="PSTL: learning from partial clips, of one modality.",
            trainer="ikem.methods.pstl.trainer:PSTLTrainer",
            per_modality=True,
            settings=_settings,
            encoder="encoder.",
        ),
    ),
)
