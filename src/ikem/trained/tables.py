"""Embeddings and predictions as files: arrays for programs, tables for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ikem.errors import InputError
from ikem.files import atomic, spreadsheet_cell

ENDINGS = (".npz", ".parquet", ".csv")

Floats = NDArray[np.float32]


def check_ending(path: Path) -> None:
    """Raise InputError unless a table can be written to a file of this name; before anything is computed."""
    if path.suffix not in ENDINGS:
        raise InputError(f"must end in {', '.join(ENDINGS)}", location=f"--output {path}")
    if path.is_dir():
        raise InputError("is a folder", location=f"--output {path}", hint="Name a file")
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            hint = "Install pyarrow, or write .npz or .csv"
            raise InputError(".parquet needs the package pyarrow", location=f"--output {path}", hint=hint) from None


def write_embeddings(path: Path, names: Sequence[str], embeddings: Floats, modalities: Sequence[str]) -> None:
    """Write a row for each clip.

    .npz: `names` (N,) text, and for each modality an array (N, D) float32 of its name. .parquet and .csv: a column
    `name`, then `{modality}_{0 ... D - 1}`.

    Args:
        path: the file.
        names: of the N clips.
        embeddings: (modalities, N, D).
        modalities: their names.
    """
    if path.suffix == ".npz":
        _write_arrays(path, {"names": np.array(names, np.str_), **dict(zip(modalities, embeddings, strict=True))})
        return
    width = embeddings.shape[2]
    columns = [f"{modality}_{number}" for modality in modalities for number in range(width)]
    table = pd.DataFrame(embeddings.transpose(1, 0, 2).reshape(len(names), -1), columns=columns)
    table.insert(0, "name", list(names))
    _write_table(path, table)


def write_predictions(
    path: Path, names: Sequence[str], classes: Sequence[str], probabilities: Floats, top: int
) -> None:
    """Write what classes clips belong to.

    .npz: `names` (N,), `classes` (K,), `probabilities` (N, K) float32. .parquet and .csv: for each clip the `top`
    likeliest classes, a row each: `name, rank, class, probability`.
    """
    if path.suffix == ".npz":
        texts = {"names": np.array(names, np.str_), "classes": np.array(classes, np.str_)}
        _write_arrays(path, {**texts, "probabilities": probabilities})
        return
    rows = [
        (name, rank, classes[column], float(row[column]))
        for name, row in zip(names, probabilities, strict=True)
        for rank, column in enumerate(likeliest(row, top), start=1)
    ]
    _write_table(path, pd.DataFrame(rows, columns=["name", "rank", "class", "probability"]))


def likeliest(probabilities: Floats, top: int) -> list[int]:
    """Columns of the `top` highest of (K,) probabilities, the highest first; of equal ones the first."""
    order: list[int] = np.argsort(-probabilities, kind="stable")[:top].tolist()
    return order


def _write_arrays(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with atomic(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, engine="pyarrow", index=False)
            return
        for name in table.columns.intersection(["name", "class"]):
            table[name] = table[name].map(spreadsheet_cell)
        table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.9g")  # enough for float32
