"""Everything that shapes the synthetic recordings."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ikem.registry import nearest
from ikem.synthetic.actions import ACTIONS, DEFAULT_ACTIONS

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Length = Annotated[int, Field(ge=1, le=10_000)]


class SyntheticSettings(BaseModel):
    """What is recorded, of whom, from where, and how badly the sensor sees it.

    There are `actions x performers x visits x cameras x replications` clips; nothing but the names' three
    digits limits them, and memory does not grow with their number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    seed: int = Field(0, ge=0, le=2**32 - 1, description="Every draw follows from it and from the clip's own name.")
    actions: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        DEFAULT_ACTIONS, min_length=1, max_length=999, description="Names of actions; the first is A001, and so on."
    )
    performers: tuple[Annotated[int, Field(ge=1, le=999)], ...] = Field(
        (1, 2, 3, 4, 5, 6, 7, 10),
        min_length=1,
        max_length=999,
        description="Performer numbers, as in the files' names.",
    )
    cameras: int = Field(3, ge=1, le=999, description="Cameras that see each performance, 45 degrees apart.")
    replications: int = Field(2, ge=1, le=999, description="How often a performer repeats an action.")
    setups: int = Field(12, ge=1, le=999, description="Setups: heights, distances and tilts of the cameras.")
    visits: int = Field(1, ge=1, le=999, description="In how many of the setups a performer is recorded.")
    frames: tuple[Length, Length] = Field((36, 80), description="Shortest and longest clip, frames at 30 a second.")

    size_spread: float = Field(0.12, ge=0.0, le=0.4, description="Deviation of body size and of limb proportions.")
    tempo_spread: float = Field(0.2, ge=0.0, le=0.6, description="Deviation of the logarithm of the tempo.")
    amplitude_spread: float = Field(0.2, ge=0.0, le=0.6, description="Deviation of the logarithm of the amplitude.")
    posture_degrees: float = Field(6, ge=0.0, le=40.0, description="Deviation of slouch and leaning.")
    sway_degrees: float = Field(1, ge=0.0, le=20.0, description="Amplitude of what a body does besides the action.")
    heading_degrees: float = Field(30.0, ge=0.0, le=180.0, description="Largest turn away from the middle camera.")
    idle_share: Share = Field(0.25, description="Largest share of a clip before the action begins, and after it ends.")
    left_share: Share = Field(0.35, description="Share of performances led by the left side.")
    seated_share: Share = Field(0.1, description="Share seated, of performances that can be.")

    tilt_degrees: float = Field(30, ge=0.0, le=60.0, description="Largest tilt of a camera, down, up or sideways.")
    noise_millimetres: float = Field(
        1.0, ge=0.0, le=10_000.0, description="Deviation of each coordinate in each frame."
    )
    drift_millimetres: float = Field(3, ge=0.0, le=1e4, description="Deviation of a joint's slow wandering.")
    inferred_factor: float = Field(
        2, ge=1.0, le=100.0, description="How much noisier a joint is that the camera cannot see."
    )

    missing_rate: Share = Field(0.01, description="Clips without any body; they are on the missing list.")
    frame_drop_rate: Share = Field(0.0005, description="Frames in which no body is found.")
    body_loss_rate: Share = Field(0.03, description="Clips in which a body is lost for a run of frames.")
    swap_rate: Share = Field(0.15, description="Two-person clips whose bodies change places for a run of frames.")
    spurious_rate: Share = Field(0.02, description="Clips with a body more than there are persons.")

    compression: int = Field(1, ge=0, le=9, description="Deflate level of the zip; 0 stores.")
    videos: Annotated[int, Field(ge=2, le=363)] = Field(8, description="PKU-MMD style: videos, each in three views.")
    instances: tuple[Length, Length] = Field((6, 10), description="PKU-MMD style: fewest and most actions in a video.")

    @field_validator("actions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - set(ACTIONS))
        if unknown:
            raise ValueError(
                f"unknown actions {', '.join(unknown)}{nearest(unknown[0], ACTIONS)}; known are {', '.join(ACTIONS)}"
            )
        if len(set(names)) != len(names):
            raise ValueError("an action is named twice")
        return names

    @field_validator("performers")
    @classmethod
    def _distinct(cls, performers: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(performers)) != len(performers):
            raise ValueError("a performer is named twice")
        return performers

    @field_validator("frames", "instances")
    @classmethod
    def _ordered(cls, limits: tuple[int, int]) -> tuple[int, int]:
        if limits[0] > limits[1]:
            raise ValueError("two counts are needed, the smaller first")
        return limits

    @property
    def clip_count(self) -> int:
        """Clips in the archive, those on the missing list included."""
        visits = min(self.visits, self.setups)
        return len(self.actions) * len(self.performers) * visits * self.cameras * self.replications


RAW_FILES: dict[str, dict[str, str]] = {
    "ntu": {"skeletons": "skeletons.zip", "missing_list": "missing_skeletons.txt"},
    "pkummd": {
        "skeletons": "skeletons.7z",
        "labels": "labels.7z",
        "cross_subject": "cross-subject.txt",
        "cross_view": "cross-view.txt",
    },
}
"""Raw files of synthetic recordings, by format and role: their names in `{dataset}/raw/`."""
