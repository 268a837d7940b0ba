"""Malformed raw data, and an obvious second reader for what is accepted of it.

A changed digit is other data, not malformed data: it is accepted, and must be what the second reader finds in the
changed file. No clip may be lost: each is decoded, rejected, left out, or counted as a file that is ignored.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import py7zr
from tests.data_support import ntu_members, ntu_name, nwucla_bytes, plain_read, video_bytes, write_zip
from tests.fuzz.mutations import mutated

from ikem.data.decode import decode
from ikem.data.store import load_samples, prepare
from ikem.settings.data import Decode, Prepare
from ikem.skeleton import load_skeleton

FIVE = str(Path(__file__).parents[1] / "data" / "failing_inputs" / "01-split-values-merge" / "mine.yaml")
Members = dict[str, bytes]
REJECTED = "clip rejected"
"""Ending of an input of which a clip is in rejected.csv, and the others are what they should be."""


def read(
    folder: Path, name: str, skeleton: str, archives: Mapping[str, Path]
) -> tuple[dict[str, Any], pd.DataFrame, Any]:
    """Decode and prepare: the summary, the samples and the coordinates."""
    summary = decode(name, skeleton, dict(archives), folder / "decoded", Decode(max_rejected=1.0))
    prepare(folder / "decoded", folder / "prepared", load_skeleton(skeleton), Prepare(frames=8))
    samples = load_samples(folder / "decoded" / "samples.csv")
    coordinates = np.load(folder / "decoded" / "coordinates.npy")
    prepared = np.load(folder / "prepared" / "position.npy")
    assert len(coordinates) == samples["frames"].sum(), "frames of the array are not those of the table"
    assert len(prepared) == len(load_samples(folder / "prepared" / "samples.csv")) == len(samples), "prepared clips"
    assert np.isfinite(coordinates).all() and np.isfinite(prepared).all(), "a value is not finite"
    return summary, samples, coordinates


def accounted(summary: Mapping[str, Any]) -> int:
    """Clips and files that the summary names."""
    left_out = sum(summary["left_out"].values())
    return int(summary["clips"] + summary["rejected"] + left_out + summary["files_ignored"])


def ntu_text(draw: random.Random, folder: Path) -> str | None:
    """A .skeleton file in a zip."""
    members = ntu_members(4)
    name = draw.choice(list(members))
    members[name] = mutated(draw, members[name])
    summary, samples, coordinates = read(folder, "ntu", "ntu25", {"s": write_zip(folder / "a.zip", members)})
    if accounted(summary) < len(members):
        return f"{len(members)} clips, {summary}"
    for row in samples.itertuples():
        lines = [line.strip() for line in members[f"{row.name}.skeleton"].removeprefix(b"\xef\xbb\xbf").split(b"\n")]
        expected = plain_read(b"\n".join(line for line in lines if line) + b"\n")
        found = coordinates[row.start : row.start + row.frames]
        if found.shape != expected.shape or not (found == expected).all():
            return f"{row.name} differs from the second reader"
    return REJECTED if summary["rejected"] else None


def archive(draw: random.Random, folder: Path) -> str | None:
    """A damaged zip, 7z or tar of good clips."""
    members, path, kind = ntu_members(4), folder / "a.zip", draw.choice(("zip", "zip", "7z", "tar"))
    if kind == "zip" and draw.random() < 0.3:
        odd = ("S001C001P001R001A000", "S1", f"../{ntu_name(action=9)}", f"__MACOSX/{ntu_name()}", "a/" * 200 + "b")
        members[draw.choice(odd) + ".skeleton"] = next(iter(members.values()))
    if kind == "zip":
        write_zip(path, members, draw.choice((0, 8, 12, 14)))
    elif kind == "7z":
        method = draw.choice((py7zr.FILTER_LZMA2, py7zr.FILTER_BZIP2, py7zr.FILTER_DEFLATE, py7zr.FILTER_PPMD))
        options = {"order": 6, "mem": 20} if method == py7zr.FILTER_PPMD else {}
        with py7zr.SevenZipFile(path, "w", filters=[{"id": method, **options}]) as packed:
            for name, data in members.items():
                packed.writef(io.BytesIO(data), name)
    else:
        with tarfile.open(path, "w") as packed:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
    path.write_bytes(mutated(draw, path.read_bytes()))
    summary, samples, coordinates = read(folder, "ntu", "ntu25", {"s": path})
    if accounted(summary) < len(members):
        return f"{len(members)} members, {summary}"
    contents = [plain_read(data) for data in members.values()]
    for row in samples.itertuples():
        found = coordinates[row.start : row.start + row.frames]
        if not any(found.shape == one.shape and (found == one).all() for one in contents):
            return f"{row.name} is none of the clips that were packed"
    return REJECTED if summary["rejected"] else None


def nwucla(draw: random.Random, folder: Path) -> str | None:
    """A .json file in a zip."""
    stems = {f"a0{number}_s01_e00_v01": number for number in (1, 2, 3)}
    members = {f"{stem}.json": nwucla_bytes(stem, label) for stem, label in stems.items()}
    name = draw.choice(list(members))
    members[name] = mutated(draw, members[name])
    summary, samples, coordinates = read(folder, "nwucla", "kinect20", {"s": write_zip(folder / "a.zip", members)})
    if accounted(summary) < len(members):
        return f"{len(members)} clips, {summary}"
    for row in samples.itertuples():
        said = json.loads(members[f"{row.name}.json"].decode("utf-8-sig"))
        expected = np.asarray(said["skeletons"], np.float32)
        if said["label"] != stems[row.name] or not np.array_equal(
            coordinates[row.start : row.start + row.frames, 0], expected
        ):
            return f"{row.name} differs from the second reader"
    return REJECTED if summary["rejected"] else None


def pkummd(draw: random.Random, folder: Path) -> str | None:
    """A video, a label file or a split file."""
    videos = {f"000{number}-{view}.txt": video_bytes(30, seed=number) for number in (2, 3) for view in "LM"}
    labels = dict.fromkeys(videos, b"3,1,10,2\n7,12,29,1\n")
    split = b"Training videos: \n0002-L, 0003-L, \nValidation videos: \n0002-M, 0003-M, \n"
    target: Members | None = draw.choice((videos, labels, None))
    name = draw.choice(list(videos))
    if target is None:
        split = mutated(draw, split)
    else:
        target[name] = mutated(draw, target[name])
    (folder / "cs.txt").write_bytes(split)
    archives = {"skeletons": write_zip(folder / "v.zip", videos), "labels": write_zip(folder / "l.zip", labels)}
    summary, samples, coordinates = read(folder, "pkummd", "ntu25", archives | {"cross_subject": folder / "cs.txt"})
    lines = {file: [line for line in text_of(data).split("\n") if line.strip()] for file, data in labels.items()}
    # A label file that cannot be read is a line of rejected.csv; how many instances it has is not known.
    unknown = name if target is labels and summary["rejected"] else ""
    expected_count = sum(len(part) for file, part in lines.items() if file != unknown)
    if accounted(summary) < expected_count:
        return f"{expected_count} instances, {summary}"
    for row in samples.itertuples():
        video, _, index = row.name.rpartition("_")
        label, start, end = (int(word.strip()) for word in lines[f"{video}.txt"][int(index)].split(",")[:3])
        numbers = [line.split() for line in text_of(videos[f"{video}.txt"]).split("\n") if line.strip()]
        expected = np.asarray(numbers, np.float64).astype(np.float32).reshape(-1, 2, 25, 3)[start - 1 : end]
        found = coordinates[row.start : row.start + row.frames]
        if row.label != label - 1 or not np.array_equal(found, expected):
            return f"{row.name} differs from the second reader"
        if row.cross_subject != part_of(text_of(split), video):
            return f"{row.name} is in the part {row.cross_subject!r}"
    return REJECTED if summary["rejected"] else None


def text_of(data: bytes) -> str:
    """A text without its byte-order mark."""
    return data.decode("utf-8-sig", errors="replace")


def part_of(split: str, video: str) -> str:
    """The list of a split file in which a video is."""
    part = ""
    for line in re.split("[\r\n]", split):
        header = re.match(r"\W*(train|test|val)", line, re.IGNORECASE)
        part = {"train": "train", "test": "test", "val": "test"}[header[1].lower()] if header else part
        if video in re.split(r"[\s,]+", line):
            return part
    return ""


def arrays(draw: random.Random, folder: Path) -> str | None:
    """The table or the array of a dataset of one's own."""
    own = folder / "own"
    own.mkdir()
    together = draw.random() < 0.5
    shape = (40, 5, 3) if together else (4, 10, 5, 3)
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).normal(size=shape).astype(np.float32))
    more = ",start,frames" if together else ""
    rows = [f"c{n},{n % 2}{f',{n * 10},10' if together else ''},1.{n}0,p {n}" for n in range(4)]
    table, array = f"name,label{more},session,place\n{chr(10).join(rows)}\n".encode(), buffer.getvalue()
    if draw.random() < 0.8:
        table = mutated(draw, table)
    else:
        array = mutated(draw, array)
    (own / "samples.csv").write_bytes(table)
    (own / "skeletons.npy").write_bytes(array)
    summary, samples, _ = read(folder, "arrays", FIVE, {"folder": own})
    header, *said = [fields for fields in csv.reader(io.StringIO(table.decode("utf-8-sig"), newline="")) if fields]
    if accounted(summary) < len(said):
        return f"{len(said)} rows, {summary}"
    whole = [dict(zip(header, fields, strict=True)) for fields in said if len(fields) == len(header)]
    for row in samples.to_dict("records"):
        if not any(row_is(row, line) for line in whole):
            return f"{row} is no row of the table"
    return REJECTED if summary["rejected"] else None


def row_is(row: Mapping[str, Any], line: Mapping[str, str]) -> bool:
    """Whether a row of the samples is what a line of the table says; `start` is that of the new array."""
    cells = {column.strip(): text.strip(" \t") for column, text in line.items()}
    return all(
        int(text) == row[column] if isinstance(row[column], int) and text.strip("+-").isdigit() else text == row[column]
        for column, text in cells.items()
        if column != "start"
    )
