"""Splits as lists of indices, checked against the published numbers of clips, and label subsets."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from ikem.data.ntu_inventory import describe_difference
from ikem.data.store import load_samples
from ikem.errors import InputError
from ikem.files import read_json, write_json, write_text
from ikem.settings import Protocol

if TYPE_CHECKING:
    from ikem.workflow.run_context import Job

Sampling = Literal["per-class", "uniform"]


def split_job(job: Job, prepared: Path) -> None:
    """Run a `split` job; `prepared` is prepared/position.npy."""
    samples = load_samples(prepared.with_name("samples.csv"))
    protocol = Protocol(**job.settings["protocol"])
    write_json(job.output, make_split(samples, protocol, job.settings["partial"]))


def label_subset_job(job: Job, split: Path) -> None:
    """Run a `label_subset` job; `split` is splits/{protocol}.json, the samples are in prepared/ beside it."""
    samples = load_samples(split.parent.parent / "prepared" / "samples.csv")
    settings = job.settings
    train, chosen = read_split(split)["train"], (settings["fraction"], settings["number"], settings["sampling"])
    names = label_subset(samples, train, *chosen)
    write_text(job.output, "".join(f"{name}\n" for name in names))


def make_split(samples: pd.DataFrame, protocol: Protocol, partial: bool = False) -> dict[str, Any]:
    """Training and test clips of a protocol.

    Args:
        samples: a samples table.
        protocol: which values of which column train and test, and the published counts.
        partial: whether other counts than the published ones may be.

    Returns:
        `train`, `test`: indices into the table, ascending. `complete`: whether the counts are the published ones (true
        where none are known). `counts` and `published`: the numbers. `unused`: clips that neither train nor test.

    Raises:
        InputError: the split cannot be made, or the counts differ and `partial` is false.
    """
    if protocol.column not in samples.columns:
        raise InputError(
            f"the clips have no column {protocol.column!r} to split by", hint=f"There are {', '.join(samples.columns)}"
        )
    values = samples[protocol.column].astype(str)
    trains = values.isin([str(value) for value in protocol.train])
    tests = ~trains if protocol.test is None else values.isin([str(value) for value in protocol.test])
    if (trains & tests).any():
        raise InputError(f"a value of {protocol.column} both trains and tests")
    for part, chosen in (("trains", trains), ("tests", tests)):
        if not chosen.any():
            known = ", ".join(sorted(values.unique(), key=lambda value: (len(value), value))[:20])
            raise InputError(f"no clip {part}: values of {protocol.column} are {known}")
    if samples["label"][trains].nunique() < 2:
        raise InputError("the clips that train are of one class only; there is nothing to tell apart")
    counts = {"train": int(trains.sum()), "test": int(tests.sum())}
    published = protocol.counts.model_dump() if protocol.counts is not None else None
    complete = published is None or counts == published
    if not complete and not partial:
        assert published is not None
        raise InputError(
            "; ".join(
                _difference(part, counts[part], published[part]) for part in counts if counts[part] != published[part]
            )
            + describe_difference(samples),
            location=f"split by {protocol.column}",
            hint="Complete the archives, or set partial: true in the dataset to go on with these clips",
        )
    return {
        "train": np.flatnonzero(trains).tolist(),
        "test": np.flatnonzero(tests).tolist(),
        "complete": complete,
        "counts": counts,
        "published": published,
        "unused": int((~trains & ~tests).sum()),
    }


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
    share = Decimal(repr(fraction))
    rank = {index: hashlib.sha256(f"{number}/{samples['name'].iat[index]}".encode()).digest() for index in train}
    groups = [list(train)]
    if sampling == "per-class":
        labels = samples["label"].to_numpy()
        groups = [[index for index in train if labels[index] == label] for label in np.unique(labels[list(train)])]
    chosen: list[int] = []
    for group in groups:
        amount = share * len(group) + (Decimal("0.5") if sampling == "per-class" else 0)
        chosen += sorted(group, key=rank.__getitem__)[: max(1, math.floor(amount))]
    return [str(samples["name"].iat[index]) for index in sorted(chosen)]


def read_label_subset(path: Path) -> list[str]:
    """Read the clip names of a label subset, one a line.

    Raises:
        InputError: the file is missing or empty.
    """
    try:
        names = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", location=str(path), hint="Delete it and run again") from error
    if not names:
        raise InputError("names no clip", location=str(path), hint="Delete it and run again")
    return names
