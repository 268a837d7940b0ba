"""The scores of single clips, kept next to the results of every evaluation, and late fusion of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ikem.errors import InputError

if TYPE_CHECKING:
    from ikem.evaluations.rows import Labels


class Scores(NamedTuple):
    """The scores of an evaluation job.

    Attributes:
        names: the n test clips by name, in the order of the test split.
        labels: (n,) int64, for each clip the column of its class.
        classes: (K,) int64, the label of each column.
        scores: for each row of results, by `row_key`, (n, K) as the evaluation computed them, float32 or float64: the
            highest is that of the predicted class.
    """

    names: list[str]
    labels: NDArray[np.int64]
    classes: NDArray[np.int64]
    scores: dict[str, NDArray[np.floating]]


def row_key(streams: str, label_subset: int | None = None, condition: str = "") -> str:
    """What a row of results is called in the files next to it: `joint`, `joint+bone.subset2`, `joint.left arm`."""
    subset = "" if label_subset is None else f".subset{label_subset}"
    return f"{streams}{subset}.{condition}" if condition else f"{streams}{subset}"


def scores_path(output: Path) -> Path:
    """The file of the scores of an evaluation job, given the file that it ends with."""
    return output.with_name(f"{output.stem}.scores.safetensors")


def write_scores(
    output: Path, names: Sequence[str], labels: Labels, scores: Mapping[str, NDArray[np.floating]]
) -> Path:
    """Write the scores of an evaluation job next to the file that it ends with; returns their path.

    Args:
        output: the file that the job ends with.
        names: of the n test clips.
        labels: the labels and the split.
        scores: for each row of results (n, K), by `row_key`.
    """
    import torch

    from ikem.training.checkpoint import save_tensors

    path = scores_path(output)
    tensors = {f"scores/{key}": torch.from_numpy(value) for key, value in scores.items()}
    tensors["labels"] = torch.from_numpy(labels.labels[labels.test])
    tensors["classes"] = torch.from_numpy(labels.columns)
    save_tensors(path, tensors, {"names": list(names)})
    return path


def read_scores(path: Path) -> Scores:
    """The scores of every test clip that an evaluation job kept.

    Args:
        path: the file that the job ends with (`linear.json`), or that of the scores next to it.

    Raises:
        InputError: the file is missing, is not of this kind, or its content has changed since it was written.
    """
    from ikem.training.checkpoint import load_tensors

    found = path if path.suffix == ".safetensors" else scores_path(path)
    tensors, about = load_tensors(found)
    try:
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        names, labels, classes = list(about["names"]), arrays.pop("labels"), arrays.pop("classes")
        scores = {name.removeprefix("scores/"): array for name, array in arrays.items()}
        shape = len(names), len(classes)
        if labels.shape != shape[:1] or any(array.shape != shape for array in scores.values()):
            raise ValueError("its arrays do not fit together")
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError("its clips have no names")
        if labels.dtype.kind != "i" or labels.min() < 0 or labels.max() >= len(classes):
            raise ValueError(f"its labels are not numbers from 0 to {len(classes) - 1}")
        if any(array.dtype.kind != "f" for array in scores.values()):
            raise ValueError("its scores are no floating-point numbers")
    except (KeyError, TypeError, ValueError) as error:
        hint = "Delete it and run the evaluation again"
        raise InputError(f"holds no scores of clips ({error})", location=str(found), hint=hint) from error
    return Scores(names, labels, classes, scores)


def fuse(
    scores: Mapping[str, NDArray[np.floating]],
    weights: Mapping[str, float],
    label_subset: int | None = None,
    condition: str = "",
) -> NDArray[np.float64]:
    """Late fusion: the weighted sum of the scores of several rows, (n, K).

    Three-stream tables of the field weigh joint, motion and bone of separately trained classifiers so, for instance by
    0.6, 0.4 and 0.6 in the published code of AimCLR (Guo et al. 2022, AAAI).

    Args:
        scores: (n, K) by `row_key`.
        weights: of each stream; those without one are left out.
        label_subset, condition: of the rows, where the evaluation has some.

    Raises:
        InputError: there is no such row, or no weight that counts.
    """
    if not any(weights.values()) or not all(math.isfinite(weight) for weight in weights.values()):
        raise InputError("weights must be finite numbers, one of them not 0")
    keys = {row_key(streams, label_subset, condition): weight for streams, weight in weights.items()}
    if absent := sorted(set(keys) - set(scores)):
        raise InputError(f"there are no scores of {', '.join(absent)}", hint=f"There are {', '.join(sorted(scores))}")
    weighted = [weight * scores[key].astype(np.float64) for key, weight in keys.items()]
    total: NDArray[np.float64] = np.sum(weighted, axis=0)
    return total
