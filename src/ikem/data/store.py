"""Prepared arrays and modalities on disk, written chunk by chunk, and opened again with checks."""

from __future__ import annotations

import csv
import io
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from ikem.data.arrayfile import ArrayWriter, RowReader, clip_chunks, open_array, staging
from ikem.data.clips import BODIES, LARGEST_LABEL
from ikem.errors import InputError
from ikem.files import atomic
from ikem.settings.data import Prepare
from ikem.skeleton import Skeleton, load_skeleton

if TYPE_CHECKING:
    from ikem.running_job import RunningJob

__all__ = ["bodies_of", "generate_modalities", "load_samples", "open_array", "prepare", "write_samples"]

logger = logging.getLogger("ikem")

NUMERIC = ("label", "subject", "camera", "setup", "replication", "frames", "bodies", "start")
"""The columns of a samples table that are numbers. All others are text, whatever they look like."""

_NEEDED = ("name", "label", "frames", "bodies")
_CHUNK_CLIPS = 256


def prepare_job(job: RunningJob, decoded: Path) -> list[Path]:
    """Run a `prepare` job; `decoded` is decoded/samples.csv."""
    skeleton = load_skeleton(job.settings["skeleton"])
    prepare(decoded.parent, job.output.parent, skeleton, Prepare(**job.settings["prepare"]))
    return [job.output.with_name("samples.csv")]


def modality_job(job: RunningJob, prepared: Path) -> None:
    """Run a `modality` job; `prepared` is prepared/position.npy."""
    generate_modalities(prepared.parent, job.settings["modality"], job.output, load_skeleton(job.settings["skeleton"]))


def prepare(decoded: Path, output: Path, skeleton: Skeleton, settings: Prepare) -> None:
    """Prepare decoded clips: writes position.npy (N, 3, T, V, M) float32 and samples.csv to `output`.

    M is the number of bodies that occur in the data set: 1 if no clip has a second one, which halves all later work.

    Raises:
        InputError: the decoded files are missing, broken, or do not belong together.
    """
    from ikem.data.prepare import prepare_clips

    coordinates = RowReader(decoded / "coordinates.npy", (BODIES, skeleton.joint_count, 3))
    samples = load_samples(decoded / "samples.csv")
    frames = samples["frames"].to_numpy(np.int64)
    starts = np.cumsum(frames) - frames
    if "start" not in samples or int(frames.sum()) != len(coordinates) or (starts != samples["start"]).any():
        raise InputError(
            "does not belong to the coordinates.npy next to it",
            location=str(decoded / "samples.csv"),
            hint="Delete the folder and run again",
        )
    bodies = bodies_of(samples)
    shape = (3, settings.frames, skeleton.joint_count, bodies)
    with staging(output, ("samples.csv", "position.npy")) as scratch:
        write_samples(scratch / "samples.csv", samples.drop(columns="start"))
        with coordinates, ArrayWriter(scratch / "position.npy", shape) as writer:
            for first, last in clip_chunks(frames):
                begin, end = int(starts[first]), int(starts[last - 1] + frames[last - 1])
                chunk = np.ascontiguousarray(coordinates.rows(begin, end)[:, :bodies])
                choices = settings.center, settings.align_shoulders, settings.scale
                at = starts[first:last] - begin
                writer.append(prepare_clips(chunk, at, frames[first:last], skeleton, settings.frames, *choices))
    logger.info("prepared %d clips of %d frames each", len(samples), settings.frames)


def bodies_of(samples: pd.DataFrame) -> int:
    """M of the prepared arrays of these clips: 1 if no clip has a second body."""
    return min(BODIES, max(1, int(samples["bodies"].max())))


def generate_modalities(prepared: Path, modality: str, output: Path, skeleton: Skeleton) -> None:
    """Write one modality of prepared clips to `output`: (N, 3, T, V, M) float32.

    Raises:
        InputError: the prepared files are missing, broken, or do not belong together.
    """
    import torch

    from ikem.modalities import generate

    position = RowReader(prepared / "position.npy")
    samples = load_samples(prepared / "samples.csv")
    if len(position.shape) != 5 or position.shape[1] != 3 or position.shape[3] != skeleton.joint_count:
        raise InputError(f"has the shape {position.shape}", location=str(prepared / "position.npy"), hint="Delete it")
    if len(samples) != len(position):
        raise InputError("does not belong to position.npy", location=str(prepared / "samples.csv"), hint="Delete both")
    frames = torch.from_numpy(samples["frames"].to_numpy(np.int64, copy=True))
    with position, atomic(output) as temporary, ArrayWriter(temporary, position.shape[1:]) as writer:
        for first in range(0, len(position), _CHUNK_CLIPS):
            clips = position.rows(first, min(first + _CHUNK_CLIPS, len(position)))
            chunk = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).contiguous()  # (N, M, C, T, V)
            generated = generate(modality, chunk, frames[first : first + _CHUNK_CLIPS], skeleton)
            writer.append(generated.permute(0, 2, 3, 4, 1).contiguous().numpy())
    logger.info("generated %s of %d clips", modality, len(position))


def write_samples(path: Path, samples: pd.DataFrame) -> None:
    """Write a samples table as `load_samples` reads it."""
    text = samples.select_dtypes(exclude="number")
    # The writer quotes a line feed, but not a carriage return, at which readers end a row too.
    returns = any(text[name].str.contains("\r", regex=False).any() for name in text)
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    samples.to_csv(path, index=False, lineterminator="\n", quoting=quoting)


def load_samples(path: Path) -> pd.DataFrame:
    """Read a samples table: the columns in `NUMERIC` are int64, all others text as written.

    Raises:
        InputError: the file is missing, cut off, no such table, or names a clip twice.
    """
    hint = "Delete it and run again"
    try:
        content = path.read_bytes()
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            samples = pd.read_csv(
                io.BytesIO(content), dtype=str, index_col=False, na_filter=False, encoding="utf-8", low_memory=False
            )
    except (OSError, ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InputError(f"samples table cannot be read ({error})", location=os.fspath(path), hint=hint) from error
    if not content.endswith(b"\n"):
        raise InputError("samples table is cut off: its last line has no end", location=str(path), hint=hint)
    absent = [name for name in _NEEDED if name not in samples.columns]
    if absent:
        raise InputError(f"samples table has no column {', '.join(absent)}", location=str(path), hint=hint)
    for name in NUMERIC:
        if name not in samples.columns:
            continue
        if not samples[name].str.fullmatch("-?[0-9]{1,18}").all():
            raise InputError(f"column {name} must hold whole numbers only", location=str(path), hint=hint)
        samples[name] = samples[name].astype(np.int64)
    low = [name for name in ("label", "bodies") if len(samples) and samples[name].min() < 0]
    if low or (len(samples) and samples["frames"].min() < 1):
        raise InputError(f"column {(*low, 'frames')[0]} has a value that is too small", location=str(path), hint=hint)
    if len(samples) and samples["label"].max() > LARGEST_LABEL:
        raise InputError(f"has a label beyond {LARGEST_LABEL}", location=str(path), hint="Labels count from 0")
    twice = samples["name"][samples["name"].duplicated()]
    if len(twice):
        raise InputError(f"names the clip {twice.iloc[0]!r} twice", location=str(path), hint=hint)
    return samples
