"""What an evaluation declares. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ikem.evaluations.metrics import CLASSIFICATION
from ikem.registry import Source
from ikem.settings.evaluations import EvaluationOptions


@dataclass(frozen=True)
class Evaluation:
    """A registered evaluation. Its job type, its rule and the word of `status` are the name of its folder.

    Attributes:
        options: its section of a config.
        summary: what its rule does, in a sentence; `snakemake --list` shows it.
        runs_on: "embeddings", computed once for each method; "frozen-encoder", where it needs embeddings of other clips
            than those on the disk; or "encoder", which it trains further.
        run: "module:function"; takes an `EmbeddingTask`, a `FrozenEncoderTask` or an `EncoderTask` of
            `ikem.evaluations.task`, and yields an `Outcome` for each modality and for their fusion.
        keeps: what it writes besides, for other evaluations: the part "NAME" is stored as `{evaluation}.NAME`.
        metrics: names of the metrics that it gives, the headline first; see `ikem.evaluations.metrics.METRICS`.
        source: where it was published.
    """

    options: type[EvaluationOptions]
    summary: str
    runs_on: Literal["embeddings", "frozen-encoder", "encoder"]
    run: str
    keeps: tuple[str, ...] = ()
    metrics: tuple[str, ...] = CLASSIFICATION
    source: Source | None = None
