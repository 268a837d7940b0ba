"""The ceiling: an encoder trained with all labels."""

from __future__ import annotations

from typing import Any, Literal

from ikem.methods.declaration import Method, Stage, StageContext
from ikem.settings.methods import MethodOptions
from ikem.settings.training import LabelSchedule


class Supervised(MethodOptions):
    """The encoder trained with all labels: the ceiling."""

    kind: Literal["supervised"]
    schedule: LabelSchedule = LabelSchedule()
    """Schedule of training with labels."""


def _settings(context: StageContext) -> dict[str, Any]:
    schedule = context.options.schedule
    return {
        "first_epoch": 0,
        "last_epoch": schedule.epochs,
        "schedule": schedule.job_settings(),
    }


METHOD = Method(
    title="Supervised",
    summary="Control: encoder and linear classifier trained with all labels.",
    options=Supervised,
    stages=(
        Stage(
            name="supervised",
            summary="The ceiling: encoder and classifier of one modality trained with all labels.",
            trainer="ikem.methods.supervised.trainer:supervised_trainer",
            per_modality=True,
            settings=_settings,
            encoder="encoder.",
        ),
    ),
    ranked=False,
)
