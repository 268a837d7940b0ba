"""The long table: a line for each metric of each stream of each run.

An evaluation job writes `{"rows": [...]}`, a row with all metrics of a stream; gathering writes all of them, and what
is missing with its reason, to `results.csv`. Tables, figures and the report follow from that file alone.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ikem.errors import InputError
from ikem.evaluations.metrics import METRICS
from ikem.files import read_json, spreadsheet_cell, text_of_cell, write_text
from ikem.schema import ModalityName

MODALITIES: tuple[str, ...] = get_args(ModalityName)
"""The modalities in the order in which every table shows them."""

COLUMNS = (
    "dataset",
    "protocol",
    "method",
    "streams",
    "evaluation",
    "seed",
    "label_subset",
    "condition",
    "metric",
    "value",
    "train_clips",
    "test_clips",
    "classes",
    "complete",
    "rejected_clips",
    "note",
)
"""Columns of results.csv."""

_PLACES = 4
"""Decimals of a percentage in results.csv."""
_TEXT = ("dataset", "protocol", "method", "streams", "evaluation", "condition")
_WHOLE = ("seed", "label_subset", "train_clips", "test_clips", "classes", "rejected_clips")

Confusion = np.ndarray[tuple[int, int], np.dtype[np.int64]]
"""(K, K) counts of clips: rows are true classes, columns predicted ones."""


class Row(BaseModel):
    """The figures of one evaluation of one method on one split: one row of the long table."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    dataset: str = Field(min_length=1)
    """Entry of the dataset in the config."""
    protocol: str = Field(min_length=1)
    """Entry of the protocol (split)."""
    method: str = Field(min_length=1)
    """Entry of the method."""
    streams: str
    """One modality, or those that are fused, joined by '+' in the order of `MODALITIES`."""
    evaluation: str = Field(min_length=1)
    """Entry of the evaluation."""
    seed: int
    """Seed of the run."""
    label_subset: int | None = None
    """Number of the label subset; only evaluations that draw clips with labels have one."""
    condition: str = Field("", max_length=200)
    """Under which of its conditions the evaluation tested, in words; only some have conditions."""
    metrics: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)]] = Field(min_length=1)
    """Metrics by name, see `ikem.evaluations.metrics.METRICS`. `best_epoch_top1` is never the headline: it is the top-1
    of the epoch that is best on the test clips, so the test labels chose it."""
    train_clips: int = Field(ge=0)
    """Clips with labels that the evaluation trained on."""
    test_clips: int = Field(ge=1)
    """Clips tested."""
    classes: int = Field(ge=1)
    """Number of classes K."""
    complete: bool
    """False: the data are not the published number of clips."""
    rejected_clips: int | None = Field(None, ge=0)
    """Clips of the dataset that could not be read; gathering adds it, from the summary of decoding."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        parts = self.streams.split("+")
        if parts != [modality for modality in MODALITIES if modality in parts]:
            raise ValueError(
                f"streams {self.streams!r} is not some of {', '.join(MODALITIES)} joined by '+' in this order"
            )
        for name, value in self.metrics.items():
            if name not in METRICS:
                raise ValueError(f"metric {name!r} is not known; allowed are {', '.join(METRICS)}")
            if METRICS[name].unit == "percent" and value > 100:
                raise ValueError(f"{name} ({value}) is more than 100 percent")
        top1, top5 = self.metrics.get("top1", 0.0), self.metrics.get("top5", 100.0)
        if top5 < top1 - 1e-6:
            raise ValueError(f"top5 ({top5}) is less than top1 ({top1})")
        return self


@dataclass(frozen=True, order=True)
class Missing:
    """A cell without figures: its run failed, or did not take place.

    Attributes:
        dataset, protocol, method, evaluation: entries of the config.
        seed: seed of the run.
        reason: why, in one clause that a reader of the tables understands.
    """

    dataset: str
    protocol: str
    method: str
    evaluation: str
    seed: int
    reason: str


def read_rows(path: str | Path) -> list[Row]:
    """Rows of the JSON file of one evaluation.

    Raises:
        InputError: the file is missing, is not JSON, or a row is not what `Row` says.
    """
    content = read_json(path)
    hint = "Delete it and run the evaluation again"
    if not isinstance(content, dict) or set(content) != {"rows"} or not isinstance(content["rows"], list):
        raise InputError('does not hold {"rows": [...]} alone', location=str(path), hint=hint)
    rows: list[Row] = []
    for number, item in enumerate(content["rows"]):
        try:
            rows.append(Row.model_validate(item))
        except ValidationError as error:
            raise InputError(f"row {number}: {_first(error)}", location=str(path), hint=hint) from error
    _require_different(rows, str(path))
    return rows


def write_results(rows: Iterable[Row], missing: Iterable[Missing], path: str | Path) -> None:
    """Write the long table. The same rows give the same bytes, in whatever order they come.

    Percentages have four decimals. A missing cell is a row without figures whose `note` says why.

    Raises:
        InputError: two rows are of the same cell.
    """
    found = sorted(rows, key=row_order)
    _require_different(found, str(path))
    lines = [((*row_order(row), number), line) for row in found for number, line in enumerate(_lines(row))]
    for cell in sorted(set(missing)):
        line = {column: str(getattr(cell, column, "")) for column in COLUMNS}
        order = (cell.dataset, cell.protocol, cell.evaluation, cell.method, (9, ()), cell.seed, -1, "", 0)
        lines.append((order, line | {"note": spreadsheet_cell(clean(cell.reason)) or "no reason was given"}))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(line for _, line in sorted(lines, key=lambda pair: pair[0]))
    write_text(path, stream.getvalue())


def read_results(path: str | Path) -> tuple[list[Row], list[Missing]]:
    """Rows and missing cells of a long table.

    Raises:
        InputError: the file cannot be read, or a line is not one that `write_results` writes.
    """
    hint = "Gather the results again; it needs no training"
    missing: list[Missing] = []
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise InputError(f"columns must be {', '.join(COLUMNS)}", location=str(path), hint=hint)
            numbered = [(reader.line_num, line) for line in reader]
            for number, line in numbered:
                if line["note"]:
                    names = {key: line[key] for key in _TEXT if key not in ("streams", "condition")}
                    try:
                        missing.append(Missing(**names, seed=int(line["seed"]), reason=text_of_cell(line["note"])))
                    except ValueError as error:
                        raise InputError(f"line {number}: {error}", location=str(path), hint=hint) from error
            try:
                rows = _collected((number, line) for number, line in numbered if not line["note"])
            except ValueError as error:
                raise InputError(str(error), location=str(path), hint=hint) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", location=str(path), hint=hint) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"is not a CSV file ({error})", location=str(path), hint=hint) from error
    _require_different(rows, str(path))
    return rows, missing


def streams_of(path: str | Path) -> set[str]:
    """The streams whose confusion matrices a file of `read_confusion` holds.

    Raises:
        InputError: the file cannot be read.
    """
    return {name.split(".")[0] for name in _matrices(path)}


def read_confusion(path: str | Path, streams: str | None = None) -> Confusion:
    """Confusion matrix of an evaluation, summed over its label subsets.

    Args:
        path: `.npz` file with an array for each `<streams>` or `<streams>.subset<n>`.
        streams: which; by default those with the most modalities.

    Raises:
        InputError: the file cannot be read or holds no such matrix.
    """
    matrices = _matrices(path)
    wanted = streams or max((name.split(".")[0] for name in matrices), key=lambda name: name.count("+"), default="")
    chosen = [matrix for name, matrix in sorted(matrices.items()) if name.split(".")[0] == wanted]
    if not chosen:
        raise InputError(f"holds no matrix of {wanted or 'any stream'!r}", location=str(path))
    for matrix in chosen:
        square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.shape == chosen[0].shape
        if not square or not np.issubdtype(matrix.dtype, np.integer) or (matrix < 0).any():
            raise InputError(f"matrix of {wanted!r} is not (K, K) counts", location=str(path))
    total: Confusion = np.sum(chosen, axis=0, dtype=np.int64)
    return total


def _matrices(path: str | Path) -> dict[str, np.ndarray[Any, Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"is not an .npz file of arrays ({error})", location=str(path)) from error


def clean(text: str) -> str:
    """`text` in one line, without characters that steer a terminal."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def streams_order(streams: str) -> tuple[int, tuple[int, ...]]:
    """Sort key: single modalities in the order of `MODALITIES`, then fusions by their number of modalities."""
    parts = [part for part in streams.split("+") if part]
    known = {modality: number for number, modality in enumerate(MODALITIES)}
    return len(parts), tuple(known.get(part, len(known)) for part in parts)


def widest_streams(names: Iterable[str]) -> str:
    """The streams with the most modalities; among equals the first in order."""
    return min(names, key=lambda name: (-streams_order(name)[0], streams_order(name)))


def row_order(row: Row) -> tuple[Any, ...]:
    """Sort key; two rows that have the same are of the same cell and run."""
    subset = -1 if row.label_subset is None else row.label_subset
    order = row.dataset, row.protocol, row.evaluation, row.method, streams_order(row.streams), row.seed, subset
    return *order, row.condition


def _lines(row: Row) -> Iterator[dict[str, str]]:
    """A line for each metric, in the order of `METRICS`."""
    common = {"note": "", "complete": "true" if row.complete else "false"}
    common |= {name: getattr(row, name) for name in _TEXT}
    for name in _WHOLE:
        value = getattr(row, name)
        common[name] = "" if value is None else str(value)
    for metric, described in METRICS.items():
        if metric in row.metrics:
            digits = _PLACES if described.unit == "percent" else 0
            yield common | {"metric": metric, "value": f"{row.metrics[metric]:.{digits}f}"}


def _collected(lines: Iterable[tuple[int, Mapping[str, str]]]) -> list[Row]:
    """Rows from the lines of their metrics, each with its number in the file.

    Raises:
        ValueError: a line is not one that `write_results` writes; the message begins with its number.
    """
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for number, line in lines:
        try:
            key = tuple(line[name] for name in COLUMNS if name not in ("metric", "value"))
            values: dict[str, Any] = {name: line[name] for name in _TEXT} | {"metrics": {}}
            values |= {name: int(line[name]) if line[name] else None for name in _WHOLE}
            values |= {"complete": {"true": True, "false": False}.get(line["complete"])}
            metrics = rows.setdefault(key, values)["metrics"]
            if line["metric"] in metrics:
                raise ValueError(f"{line['metric']} is given twice")
            metric = {line["metric"]: float(line["value"])}
            Row.model_validate(values | {"metrics": metric})
            metrics |= metric
        except (ValueError, TypeError, KeyError) as error:
            fault = _first(error) if isinstance(error, ValidationError) else str(error)
            raise ValueError(f"line {number}: {fault}") from error
    return [Row.model_validate(values) for values in rows.values()]


def _first(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    return f"{key}: {message} (here {fault['input']!r})" if key else message


def _require_different(rows: Iterable[Row], location: str) -> None:
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        key = row_order(row)
        if key in seen:
            subset = "" if row.label_subset is None else f", label subset {row.label_subset}"
            subset += f", {row.condition}" if row.condition else ""
            cell = f"{row.dataset} {row.protocol} {row.method} {row.streams} {row.evaluation}, seed {row.seed}{subset}"
            raise InputError(f"given twice: {cell}", location=location)
        seen.add(key)
