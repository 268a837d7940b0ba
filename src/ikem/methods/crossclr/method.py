"""CrosSCLR: stage 2 with the explicit exchange (mined positives) alone."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ikem.methods.declaration import Method, Stage, StageContext
from ikem.methods.ikem.method import ExchangeOptions, stage2
from ikem.methods.skeletonclr.method import MOMENTUM_CONTRAST
from ikem.registry import Source
from ikem.schema import ModalityName


class CrosSCLR(ExchangeOptions):
    """Stage 2 with the explicit exchange (mined positives) alone."""

    kind: Literal["crossclr"]
    momentum_modalities: tuple[ModalityName, ...] | None = Field(None, max_length=100, strict=False)
    """Modalities whose key encoder keeps its momentum (EMA) update in stage 2; null: all."""


def _exchange(context: StageContext) -> dict[str, Any]:
    chosen = context.options.momentum_modalities
    following = [name for name in context.options.modalities if chosen is None or name in chosen]
    return {**stage2(context), "momentum_modalities": following, "explicit": True, "implicit": False}


METHOD = Method(
    title="CrosSCLR",
    summary="Each modality learns by momentum contrast, first alone, then with positives that the others mine for it.",
    source=Source(
        authors="Li, Wang, Ni et al.",
        title="3D Human Action Representation Learning via Cross-View Consistency Pursuit",
        venue="CVPR",
        year=2021,
        arxiv="2104.14466",
    ),
    options=CrosSCLR,
    stages=(
        MOMENTUM_CONTRAST,
        Stage(
            name="crossclr",
            summary="CrosSCLR, stage 2: the modalities of a method mine positives for one another.",
            trainer="ikem.methods.ikem.trainer:ExchangeTrainer",
            settings=_exchange,
            inputs=lambda context: context.states(MOMENTUM_CONTRAST),
            follows=(MOMENTUM_CONTRAST,),
            divisible=True,
        ),
    ),
    teaches=True,
)
