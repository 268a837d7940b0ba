"""Occluded and noisy test clips: how much of a linear evaluation survives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from ikem.evaluations.declaration import Evaluation
from ikem.registry import Source
from ikem.schema import Name, Settings
from ikem.settings.evaluations import EvaluationOptions

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config

Probability = Annotated[float, Field(ge=0, le=1)]


class Clean(Settings):
    """Nothing is changed: the linear evaluation again, to compare with."""

    kind: Literal["none"]

    @property
    def condition(self) -> str:
        """What tables call it."""
        return "none"


class BodyPart(Settings):
    """The joints of a body part are missing in all frames."""

    kind: Literal["part"]
    part: Literal["left arm", "right arm", "two hands", "two legs", "trunk"]
    """Which."""

    @property
    def condition(self) -> str:
        """What tables call it."""
        return self.part


class TimeBlock(Settings):
    """A block of successive frames is missing; where it begins is drawn for each clip."""

    kind: Literal["time"]
    share: float = Field(gt=0, le=1)
    """Share of the frames of the prepared clip."""

    @property
    def condition(self) -> str:
        """What tables call it."""
        return f"{100 * self.share:g} % of the frames"


class RandomJoints(Settings):
    """Each joint of each frame and body is missing with a probability."""

    kind: Literal["joints"]
    probability: Probability
    """Probability."""

    @property
    def condition(self) -> str:
        """What tables call it."""
        return f"{100 * self.probability:g} % of the joints"


class Jitter(Settings):
    """Each joint of each frame and body is moved with a probability, by the same normal number along x, y and z."""

    kind: Literal["jitter"]
    probability: Probability
    """Probability."""
    deviation: float = Field(gt=0, le=10)
    """Standard deviation, in the units of prepared clips: meters, unless `prepare.scale` is another."""

    @property
    def condition(self) -> str:
        """What tables call it."""
        return f"{100 * self.probability:g} % moved by {self.deviation:g}"


Corruption = Annotated[Clean | BodyPart | TimeBlock | RandomJoints | Jitter, Field(discriminator="kind")]

_FAMILIES = {"part": "occlusion", "time": "occlusion", "joints": "occlusion", "jitter": "noise"}


class CorruptionOptions(EvaluationOptions):
    """Classifiers of a linear evaluation, trained on clean clips, on corrupted test clips."""

    kind: Literal["corruption"]
    classifier: Name = "linear"
    """Entry of the linear evaluation whose classifiers are tested."""
    corruptions: tuple[Corruption, ...] = Field(min_length=1, max_length=1000, strict=False)
    """What is done to the test clips, one after the other."""

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len(set(self.conditions)) != len(self.conditions):
            raise ValueError("corruptions: they must differ from one another")
        return self

    @property
    def _family(self) -> str:
        return " and ".join(dict.fromkeys(_FAMILIES[item.kind] for item in self.corruptions if item.kind != "none"))

    @property
    def title(self) -> str:
        """See the base class."""
        return f"Linear evaluation under {self._family or 'no corruption'}"

    @property
    def published_as(self) -> str:
        """See the base class."""
        return self._family or "no corruption"

    @property
    def conditions(self) -> tuple[str, ...]:
        """See the base class."""
        return tuple(item.condition for item in self.corruptions)

    @property
    def builds_on(self) -> dict[str, str]:
        """See the base class."""
        return {"classifier": self.classifier}

    def check(self, entry: str, config: Config) -> None:
        """See the base class."""
        classifier = config.evaluations.get(self.classifier)
        if classifier is None or classifier.kind != "linear" or classifier.target != self.target:
            key = f"evaluations.{entry}.classifier"
            raise ValueError(f"{key}: {self.classifier!r} is no entry of kind linear with the same target")


EVALUATION = Evaluation(
    options=CorruptionOptions,
    summary="Test the classifiers of a linear evaluation on clips with missing or moved joints.",
    runs_on="frozen-encoder",
    run="ikem.evaluations.corruption.run:evaluate",
    source=Source(
        "Song, Zhang, Shan, Wang",
        "Richly Activated Graph Convolutional Network for Robust Skeleton-Based Action Recognition",
        "TCSVT",
        2021,
        arxiv="2008.03791",
    ),
)
