"""What every registered format keeps to: documentation, the same bits for any processes, errors for broken files."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_support import ntu_members, nwucla_bytes, video_bytes, write_zip
from helpers import ROOT
from ikem.data import decode as decoding
from ikem.data.decode import FILES, decode
from ikem.data.formats.base import Request, opened
from ikem.data.formats.registry import FORMATS, reader_of
from ikem.errors import InputError
from ikem.settings.data import Decode

Raw = dict[str, Path]


def ntu(folder: Path) -> Raw:
    return {"skeletons": write_zip(folder / "ntu.zip", ntu_members(6))}


def nwucla(folder: Path) -> Raw:
    stems = [f"a01_s{subject:02}_e00_v01" for subject in range(1, 7)]
    return {"skeletons": write_zip(folder / "nwucla.zip", {f"{stem}.json": nwucla_bytes(stem) for stem in stems})}


def pkummd(folder: Path) -> Raw:
    videos = {f"000{number}-L": number for number in range(1, 4)}
    (folder / "split.txt").write_text("Training videos:\n0001-L, 0002-L,\nValidataion videos:\n0003-L, \n")
    return {
        "skeletons": write_zip(folder / "videos.zip", {f"{name}.txt": video_bytes(30) for name in videos}),
        "labels": write_zip(folder / "labels.zip", {f"{name}.txt": b"1,1,9,2\n2,12,20,2\n" for name in videos}),
        "cross_subject": folder / "split.txt",
        "cross_view": folder / "split.txt",
    }


def arrays(folder: Path) -> Raw:
    (folder / "arrays").mkdir()
    np.save(folder / "arrays" / "skeletons.npy", np.random.default_rng(0).normal(size=(30, 25, 3)).astype(np.float32))
    rows = "".join(f"clip{number},{number % 2},{5 * number},5\n" for number in range(6))
    (folder / "arrays" / "samples.csv").write_text("name,label,start,frames\n" + rows)
    return {"folder": folder / "arrays"}


RAW: dict[str, tuple[str, Callable[[Path], Raw]]] = {
    "ntu": ("ntu25", ntu),
    "nwucla": ("kinect20", nwucla),
    "pkummd": ("ntu25", pkummd),
    "arrays": ("ntu25", arrays),
}
every_format = pytest.mark.parametrize("name", FORMATS)


def read(name: str, raw: Raw, output: Path, processes: int = 1) -> dict[str, bytes]:
    decode(name, RAW[name][0], raw, output, Decode(max_rejected=1.0), None, processes)
    return {file: (output / file).read_bytes() for file in FILES}


@every_format
def test_documentation_names_it(name: str) -> None:
    assert f"| `{name}` |" in (ROOT / "docs" / "data.md").read_text()


@every_format
def test_bits_do_not_depend_on_processes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = RAW[name][1](tmp_path)
    once = read(name, raw, tmp_path / "once")
    assert len((tmp_path / "once" / "samples.csv").read_text().splitlines()) == 7
    monkeypatch.setattr(decoding, "_WORTH_PROCESSES", 0)
    assert read(name, raw, tmp_path / "again", processes=2) == once


@every_format
def test_tasks_can_be_sent_to_another_process(name: str, tmp_path: Path) -> None:
    raw = RAW[name][1](tmp_path)
    opened.cache_clear()
    plan = reader_of(name).plan(Request(raw, 20 if name == "nwucla" else 25, "first-two", None), frozenset())
    tasks = list(plan.tasks)
    assert tasks and plan.total == 6 and pickle.loads(pickle.dumps(tasks)) == tasks


@every_format
def test_clips_are_left_out_by_name(name: str, tmp_path: Path) -> None:
    raw = RAW[name][1](tmp_path)
    opened.cache_clear()
    request = Request(raw, 20 if name == "nwucla" else 25, "first-two", None)
    read(name, raw, tmp_path / "out")
    first = (tmp_path / "out" / "samples.csv").read_text().splitlines()[1].split(",")[0]
    plan = reader_of(name).plan(request, frozenset({first}))
    found = [clip for task in plan.tasks for clip in reader_of(name).read(request, task)]
    assert first not in {getattr(clip, "name", "") for clip in found}


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00" * 20)


@pytest.mark.parametrize("harm", [emptied, halved, no_text, Path.unlink])
@every_format
def test_broken_files_end_in_words(name: str, harm: Callable[[Path], object], tmp_path: Path) -> None:
    """Each raw file in turn: an error that names it, or clips that are rejected; never fewer clips without a word."""
    for role in RAW[name][1](fresh(tmp_path / "first")):
        folder = fresh(tmp_path / "broken")
        path = RAW[name][1](folder)[role]
        raw = RAW[name][1](fresh(tmp_path / "whole")) | {role: path}
        for part in sorted(path.iterdir()) if path.is_dir() else [path]:
            kept = part.read_bytes()
            harm(part)
            try:
                found = read(name, raw, tmp_path / "decoded")
            except InputError as error:
                assert part.name in str(error) or path.name in str(error)
            else:
                clips, rejected = (len(found[file].splitlines()) - 1 for file in ("samples.csv", "rejected.csv"))
                assert clips == 6 or rejected
            part.write_bytes(kept)


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
