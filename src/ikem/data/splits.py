"""Splits as lists of indices, checked against the published numbers of clips, and label subsets."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from ikem.data.ntu_inventory import describe_difference
from ikem.data.store import NUMERIC, load_samples
from ikem.errors import InputError
from ikem.files import read_json, write_json, write_text
from ikem.settings.data import ColumnValues, Protocol

if TYPE_CHECKING:
    from ikem.running_job import RunningJob

logger = logging.getLogger("ikem")

Sampling = Literal["per-class", "uniform"]

_WHOLE = re.compile("-?[0-9]{1,18}")
_OCTAL = re.compile("0[0-7]{1,17}")


def split_job(job: RunningJob, prepared: Path) -> None:
    """Run a `split` job; `prepared` is prepared/position.npy. decoded/, next to prepared/, lists rejected clips."""
    samples = load_samples(prepared.with_name("samples.csv"))
    protocol = Protocol(**job.settings["protocol"])
    rejected = prepared.parent.parent / "decoded" / "rejected.csv"
    try:
        classes, absent = job.settings["classes"], job.settings.get("absent_classes", 0)
        split = make_split(samples, protocol, job.settings["partial"], classes, rejected, absent)
    except InputError as error:
        raise InputError(error.message, location=error.location or str(job.output), hint=error.hint) from None
    if split["unused"]:
        logger.warning("%d of %d clips neither train nor test", split["unused"], len(samples))
    write_json(job.output, split)


def label_subset_job(job: RunningJob, split: Path) -> None:
    """Run a `label_subset` job; `split` is splits/{protocol}.json, the samples are in prepared/, next to it."""
    samples = load_samples(split.parent.parent / "prepared" / "samples.csv")
    settings = job.settings
    train, chosen = read_split(split)["train"], (settings["fraction"], settings["number"], settings["sampling"])
    names = label_subset(samples, train, *chosen)
    write_text(job.output, "".join(f"{name}\n" for name in names))


def make_split(
    samples: pd.DataFrame,
    protocol: Protocol,
    partial: bool = False,
    classes: int | None = None,
    rejected: Path | None = None,
    absent_classes: int = 0,
) -> dict[str, Any]:
    """Training and test clips of a protocol.

    Args:
        samples: a samples table.
        protocol: which values of which column train and test, and the published counts.
        partial: whether other counts than the published ones may be.
        classes: number of classes of the dataset, if it is known.
        rejected: rejected.csv of the decoding, for the message about clips that are missing.
        absent_classes: how many of the `classes` may have no clip.

    Returns:
        `train`, `test`: indices into the table, ascending. `complete`: whether the counts are the published ones (true
        where none are known). `counts` and `published`: the numbers. `unused`: clips that neither train nor test.

    Raises:
        InputError: there is no such split, a label is beyond the classes, or `partial` is false and the counts
            differ, a value of the protocol is that of no clip, or a class has none.
    """
    for column in (protocol.column, *protocol.within, *protocol.train_within, *protocol.test_within):
        if column not in samples.columns:
            raise InputError(
                f"the clips have no column {column!r} to split by", hint=f"There are {', '.join(samples.columns)}"
            )
    _check_labels(samples["label"], classes)
    values = samples[protocol.column].astype(str)
    trains, unknown = _find(protocol.column, protocol.train, values)
    tests = ~trains
    if protocol.test is not None:
        tests, others = _find(protocol.column, protocol.test, values)
        unknown += others
    inside = _inside(samples, protocol.within, "within")
    trains &= inside & _inside(samples, protocol.train_within, "train_within")
    tests &= inside & _inside(samples, protocol.test_within, "test_within")
    if (trains & tests).any():
        raise InputError(f"a value of {protocol.column} both trains and tests")
    counts = {"train": int(trains.sum()), "test": int(tests.sum())}
    published = protocol.counts.model_dump() if protocol.counts is not None else None
    complete = published is None or counts == published
    if not complete and not partial:
        assert published is not None
        raise InputError(
            "; ".join(
                _difference(part, counts[part], published[part]) for part in counts if counts[part] != published[part]
            )
            + describe_difference(samples["name"], rejected),
            location=f"split by {protocol.column}",
            hint="Complete the archives, or set datasets.NAME.partial: true to use these clips",
        )
    known = sorted(set(values), key=lambda value: (len(value), value))
    missing = f"no clip has the value {', '.join(unknown)} of {protocol.column}"
    there = f"there are {', '.join(known[:20])}{', ...' if known[20:] else ''}"
    if unknown and not partial:
        raise InputError(missing, location=f"split by {protocol.column}", hint=there[0].upper() + there[1:])
    if unknown:
        logger.warning("%s; %s", missing, there)
    for part, chosen in (("trains", trains), ("tests", tests)):
        if not chosen.any():
            raise InputError(f"no clip {part}: values of {protocol.column} are {', '.join(known[:20])}")
    if samples["label"][trains].nunique() < 2:
        raise InputError("the clips that train are of one class only; there is nothing to distinguish")
    _check_every_class(samples["label"], classes, partial, absent_classes)
    return {
        "train": np.flatnonzero(trains).tolist(),
        "test": np.flatnonzero(tests).tolist(),
        "complete": complete,
        "counts": counts,
        "published": published,
        "unused": int((~trains & ~tests).sum()),
    }


def _check_labels(labels: pd.Series, classes: int | None) -> None:
    """Raise InputError if a label is beyond the classes of the dataset."""
    last = int(labels.max())
    if classes is not None and last >= classes:
        beyond = int((labels >= classes).sum())
        raise InputError(
            f"{beyond} clips have a label beyond the dataset's {classes} class_names, the highest is {last}; labels "
            f"count from 0, so the last name is that of label {classes - 1}",
            hint="Correct datasets.NAME.class_names or the labels, or keep clips of another dataset out",
        )


def _check_every_class(labels: pd.Series, classes: int | None, partial: bool, absent: int) -> None:
    """Raise InputError if more classes that have a name have no clip than may; a warning if the data is partial or has
    no names.
    """
    count = classes or int(labels.max()) + 1
    empty = sorted(set(range(count)) - set(labels))
    shown = ", ".join(map(str, empty[:10])) + (", ..." if empty[10:] else "")
    message = f"{len(empty)} of {count} classes have no clip: labels {shown}"
    if len(empty) > absent and classes is not None and not partial:
        hint = "Correct datasets.NAME.class_names, say how many may be absent (absent_classes), or set partial: true"
        raise InputError(message, hint=hint)
    if empty:
        logger.warning("%s", message)


def _inside(samples: pd.DataFrame, values: ColumnValues, key: str) -> pd.Series:
    """Whether each clip has one of the values in each of the columns.

    Raises:
        InputError: one of the values is that of no clip.
    """
    inside = pd.Series(True, index=samples.index)
    for column, wanted in values.items():
        texts = samples[column].astype(str)
        chosen, unknown = _find(column, wanted, texts)
        if unknown:
            raise InputError(
                f"no clip has the value {', '.join(unknown)} of {column}",
                location=f"{key}.{column}",
                hint=f"There are {', '.join(sorted(set(texts))[:20])}",
            )
        inside &= chosen
    return inside


def _find(column: str, wanted: Sequence[int | str], values: pd.Series) -> tuple[pd.Series, list[str]]:
    """Whether each value is one of those wanted, and in words which of those wanted are no value.

    Raises:
        InputError: one of those wanted may stand for several values.
    """
    known = sorted(set(values), key=lambda value: (len(value), value))
    chosen: list[str] = []
    unknown: list[str] = []
    for value in wanted:
        matches, octal = _matches(value, known, column in NUMERIC)
        if len(matches + octal) > 1 and matches:
            raise InputError(f"{value} may stand for {' or '.join(matches + octal)}", hint="Put it into quotes")
        chosen += matches
        if not matches:
            unknown.append(repr(value) + (f" (YAML reads {octal[0]} as {value}: put it into quotes)" if octal else ""))
    return values.isin(chosen), unknown


def _matches(value: int | str, known: Sequence[str], numeric: bool) -> tuple[list[str], list[str]]:
    """The values that one of the config stands for, and those that YAML 1.1 reads as it when they lack quotes.

    A whole number stands for its digits, with zeros before them or not.
    """
    if isinstance(value, str) and (value in known or not numeric or not _WHOLE.fullmatch(value)):
        return [value] if value in known else [], []
    same = [text for text in known if _WHOLE.fullmatch(text) and int(text) == int(value)]
    octal = [text for text in known if _OCTAL.fullmatch(text) and int(text, 8) == value]
    return same, [text for text in octal if text not in same]


def _difference(part: str, count: int, published: int) -> str:
    words = "missing" if count < published else "extra"
    return f"{count} clips to {part} on, published are {published}: {abs(count - published)} {words}"


def read_split(path: Path) -> dict[str, Any]:
    """Read a split.

    Raises:
        InputError: the file is missing or no split.
    """
    split = read_json(path)
    if not isinstance(split, dict) or not all(_is_indices(split.get(part)) for part in ("train", "test")):
        raise InputError("is no split", location=str(path), hint="Delete it and run again")
    return {"complete": True, "published": None, "unused": 0, **split}


def _is_indices(value: object) -> bool:
    return isinstance(value, list) and all(type(index) is int and index >= 0 for index in value) and bool(value)


def label_subset(
    samples: pd.DataFrame, train: Sequence[int], fraction: float, number: int, sampling: Sampling = "per-class"
) -> list[str]:
    """Names of the training clips whose labels are used, in order of the table.

    A clip's rank is the SHA-256 of "{number}/{name}", so a subset depends on names alone: not on the order of the
    table, nor on a generator; and a smaller fraction's subset is part of a larger one's.

    Args:
        samples: a samples table.
        train: indices of the training clips.
        fraction: share of them to draw.
        number: which subset.
        sampling: "per-class": of each class's n clips round(fraction n), halves up, at least one. "uniform": of all n
            clips the whole part of fraction n, at least one.
    """
    share, names, labels = Decimal(repr(fraction)), samples["name"].tolist(), samples["label"].tolist()
    rank = {index: hashlib.sha256(f"{number}/{names[index]}".encode()).digest() for index in train}
    groups: dict[int | None, list[int]] = {}
    for index in train:
        groups.setdefault(labels[index] if sampling == "per-class" else None, []).append(index)
    chosen: list[int] = []
    for group in groups.values():
        amount = share * len(group) + (Decimal("0.5") if sampling == "per-class" else 0)
        chosen += sorted(group, key=rank.__getitem__)[: max(1, math.floor(amount))]
    return [str(names[index]) for index in sorted(chosen)]


def read_label_subset(path: Path) -> list[str]:
    """Read the clip names of a label subset, one a line.

    Raises:
        InputError: the file is missing, cut off or empty.
    """
    try:
        *names, rest = path.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", location=str(path), hint="Delete it and run again") from error
    if rest:
        raise InputError("is cut off: its last line has no end", location=str(path), hint="Delete it and run again")
    if not names:
        raise InputError("names no clip", location=str(path), hint="Delete it and run again")
    return names
