"""What became of the clips of each dataset: how many were read, rejected, left out, and used by each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ikem.errors import InputError
from ikem.files import read_json, write_text
from ikem.report.markdown import escape
from ikem.report.results import clean
from ikem.workflow.plan import Plan


@dataclass(frozen=True)
class DatasetCounts:
    """Clips of one dataset.

    Attributes:
        dataset: entry of the config.
        title: what tables call it.
        clips: that were decoded.
        rejected: that could not be read; `reasons` says how many for which reason.
        left_out: how many were left out on purpose, by reason.
        splits: for each protocol the clips of its parts: "train", "test", "unused".
    """

    dataset: str
    title: str
    clips: int
    rejected: int
    reasons: Mapping[str, int]
    left_out: Mapping[str, int]
    splits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def line(self) -> tuple[str, ...]:
        """The cells of a table, under `HEADER`."""
        splits = [
            f"{protocol}: {', '.join(f'{count} {part}' for part, count in parts.items())}"
            for protocol, parts in self.splits.items()
        ]
        return (
            clean(self.title), str(self.clips), _counted(self.rejected, self.reasons),
            _counted(sum(self.left_out.values()), self.left_out), "; ".join(splits),
        )  # fmt: skip


_LEFT_OUT = {
    "missing list": "on the missing list",
    "other setups": "of other setups",
    "empty instances": "without any body",
}
"""The reasons of decode.json as a sentence has them."""

HEADER = ("Dataset", "Clips", "Rejected", "Left out on purpose", "Splits")
"""Titles of the columns of `DatasetCounts.line`."""


def read_counts(plan: Plan) -> list[DatasetCounts]:
    """The counts of every dataset of the benchmark, or transferred to, whose data is there, in the order of the config.

    Raises:
        InputError: a summary of decoding, or a split, is damaged.
    """
    found = []
    used = dict.fromkeys((block.dataset, name) for block in plan.config.benchmark for name in block.protocols)
    evaluations = (plan.config.evaluations[name] for block in plan.config.benchmark for name in block.evaluations)
    used |= dict.fromkeys((item.target.dataset, item.target.protocol) for item in evaluations if item.target)
    for dataset in dict.fromkeys(dataset for dataset, _ in used):
        path = plan.job("decode", {"dataset": dataset}).output.with_name("decode.json")
        if not path.exists():  # only results were copied here
            continue
        protocols = [protocol for owner, protocol in used if owner == dataset]
        summary, splits = read_json(path), {}
        for protocol in protocols:
            split = plan.job("split", {"dataset": dataset, "protocol": protocol}).output
            if split.exists():
                content = read_json(split)
                splits[protocol] = _parts(content, split)
        try:
            found.append(
                DatasetCounts(
                    dataset,
                    plan.config.datasets[dataset].title,
                    int(summary["clips"]),
                    int(summary["rejected"]),
                    dict(summary["rejected_by_reason"]),
                    dict(summary["left_out"]),
                    splits,
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"lacks {error}", location=str(path), hint="Decode the dataset again") from error
    return found


def write_counts(counts: Sequence[DatasetCounts], path: Path) -> None:
    """Write the counts as a Markdown table."""
    lines = [HEADER, ("---", "---:", "---", "---", "---"), *(dataset.line for dataset in counts)]
    escaped = ["| " + " | ".join(cell if number == 1 else escape(cell) for cell in line) + " |"
               for number, line in enumerate(lines)]  # fmt: skip
    write_text(path, "\n".join(["# Clips of each dataset", "", *escaped]) + "\n")


def _parts(split: Any, path: Path) -> dict[str, int]:
    try:
        return {"train": len(split["train"]), "test": len(split["test"]), "unused": int(split["unused"])}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"lacks {error}", location=str(path), hint="Delete it and run again") from error


def _counted(total: int, reasons: Mapping[str, int]) -> str:
    return f"{total} ({reasons_text(total, reasons)})" if total else "0"


def reasons_text(total: int, reasons: Mapping[str, int]) -> str:
    """Reasons with the number of clips of each, or without it where all have the same reason."""
    texts = [(count, clean(_LEFT_OUT.get(reason, reason))) for reason, count in reasons.items()]
    return "; ".join(text if count == total else f"{count}: {text}" for count, text in texts)
