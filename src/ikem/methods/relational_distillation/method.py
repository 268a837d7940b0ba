"""Relational cross-modality distillation: a teacher's modalities teach fewer encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ikem.methods.declaration import Method, Stage, StageContext
from ikem.registry import JobName, Source, nearest
from ikem.schema import Count, Name
from ikem.settings.methods import MethodOptions
from ikem.settings.training import DistillationSchedule, Relation

if TYPE_CHECKING:
    from ikem.settings.benchmark import Config


class RelationalDistillation(MethodOptions):
    """Relational distillation of a teacher's modalities into fewer encoders."""

    kind: Literal["relational_distillation"]
    teacher: Name
    """Method whose encoders teach: one whose states hold features of a projection head."""
    top_k: int = Field(1, ge=1, le=Count)
    """Positives mined for each clip by each teacher modality."""
    contrast: Relation = Relation()
    """Queue of the teacher's features, and temperature."""
    schedule: DistillationSchedule = DistillationSchedule()
    """Schedule of distillation."""
    mining_queue: Literal["corrected", "published"] = "corrected"
    """Queue that angular velocity mines in: its own, or the bone queue as in the published code."""
    teacher_mode: Literal["evaluation", "published"] = "evaluation"
    """BatchNorm and dropout of the frozen teacher: evaluation mode, or training mode as in the published code."""
    relations: bool = True
    """Take over how the teacher's modalities relate a clip to the queue. False, a control: plain distillation, in which
    a student is contrasted with the teacher's joined feature (InfoNCE), and nothing is mined."""

    def check(self, entry: str, config: Config) -> None:
        """See the base class."""
        from ikem.methods.registry import METHODS

        teachers = sorted(name for name, other in config.methods.items() if METHODS[other.kind].teaches)
        if self.teacher not in teachers:
            known = f"{nearest(self.teacher, teachers)}; allowed are {', '.join(teachers)}"
            raise ValueError(f"methods.{entry}.teacher: {self.teacher!r} cannot teach{known}")
        queue = self.contrast.queue_size
        if self.top_k > queue:
            raise ValueError(f"methods.{entry}.top_k: more than the queue has; allowed are 1 to {queue}")

    def default_title(self, entry: str, config: Config) -> str:
        """See the base class."""
        teacher = config.methods[self.teacher]
        return f"Student of {teacher.title or teacher.default_title(self.teacher, config)}"


def _settings(context: StageContext) -> dict[str, Any]:
    options, config = context.options, context.config
    teacher = config.methods[options.teacher]
    return {
        "teacher_modalities": list(teacher.modalities),
        "teacher_encoder": config.recipes[teacher.recipe].encoder.model_dump(),
        "first_epoch": 0,
        "last_epoch": options.schedule.epochs,
        "schedule": options.schedule.job_settings(),
        **options.model_dump(include={"top_k", "contrast", "mining_queue", "teacher_mode", "relations"}),
    }


def _teacher(context: StageContext) -> dict[str, JobName]:
    from ikem.methods.registry import encoder_states

    states = encoder_states(context.config, context.keys, context.options.teacher)
    return {f"teacher_{modality}": state for modality, state in states.items()}


METHOD = Method(
    title="Relational distillation",
    summary="Students take over how a teacher's modalities relate a clip to a queue of others.",
    source=Source(
        authors="Wei, Peng, Roitberg et al.",
        title="Elevating Skeleton-Based Action Recognition with Efficient Multi-Modality Self-Supervision",
        venue="ICASSP",
        year=2024,
        arxiv="2309.12009",
    ),
    options=RelationalDistillation,
    stages=(
        Stage(
            name="relational_distillation",
            summary="Distill the modalities of a teacher into fewer students.",
            trainer="ikem.methods.relational_distillation.trainer:DistillationTrainer",
            settings=_settings,
            inputs=_teacher,
            learns_from_teacher=True,
            encoder="student.{modality}.encoder.",
        ),
    ),
)
