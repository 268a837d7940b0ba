"""Figures: the right ones, the same bytes each time, whatever names they show."""

import dataclasses
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from ikem.errors import InputError
from ikem.report.confusion import ConfusionFile, class_labels, most_confused
from ikem.report.curves import Curve, read_metrics
from ikem.report.figures import write_figures
from ikem.report.results import Missing, write_results
from ikem.report.style import read_index
from report_samples import NAMING, SIX, benchmark, confusion, write_metrics

EVIL = "<script>alert(1)</script> $\\frac$ \x07"


def prepare(folder: Path) -> Path:
    rows, missing = benchmark((("ntu60", "xsub"),), ("linear", "semi-10", "finetune"), (0, 1))
    write_results(rows, missing, folder / "results.csv")
    return folder / "results.csv"


def test_figures_are_drawn_and_listed(tmp_path: Path) -> None:
    results = prepare(tmp_path)
    for seed in range(2):
        np.savez(tmp_path / f"{seed}.npz", **{SIX: confusion(5, seed), "joint": confusion(5, 7)})
    files = [ConfusionFile(tmp_path / f"{seed}.npz", "ntu60", "xsub", "ikem-6", "linear") for seed in range(2)]
    curves = [Curve(write_metrics(tmp_path / f"{n}.csv", 5, n), "NTU-60 xsub", label, "ntu60/xsub")
              for n, label in enumerate(("SkeletonCLR", "IKEM-6", "IKEM-6"))]  # fmt: skip
    naming = dataclasses.replace(NAMING, classes={"ntu60": ("sit", EVIL, "walk", "run", "eat")})
    older = tmp_path / "figures" / "labels" / "demo" / "xsub.png"
    older.parent.mkdir(parents=True)
    older.write_bytes(b"of an earlier call")
    drawn = write_figures(results, tmp_path / "figures", naming, files, curves)
    assert not older.exists()
    assert [item.file for item in drawn] == [
        "accuracy/linear/ntu60/xsub.png",
        "accuracy/semi-10/ntu60/xsub.png",
        "accuracy/finetune/ntu60/xsub.png",
        "labels/ntu60/xsub.png",
        "curves/ntu60/xsub.png",
        "confusion/linear/ntu60/xsub/ikem-6.png",
    ]
    assert read_index(tmp_path / "figures") == drawn
    for item in drawn:
        assert (tmp_path / "figures" / item.file).read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "figures" / item.file).with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        svg = (tmp_path / "figures" / item.file).with_suffix(".svg").read_text()
        assert "<svg" in svg
        assert "<script" not in svg
    total = confusion(5, 0) + confusion(5, 1)
    assert f"Sum of 2 runs, {total.sum()} predictions." in drawn[-1].caption


def test_figures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    results = prepare(tmp_path)
    np.savez(tmp_path / "c.npz", joint=confusion(25))
    files = [ConfusionFile(tmp_path / "c.npz", "ntu60", "xsub", "ikem-6", "linear")]
    curves = [Curve(write_metrics(tmp_path / "m.csv", 5), "NTU-60 xsub", "IKEM-6", "ntu60/xsub")]
    for folder in ("a", "b"):
        with mpl.rc_context({"font.size": 5 if folder == "a" else 20, "svg.hashsalt": folder}):
            write_figures(results, tmp_path / folder, NAMING, files, curves)
    first, second = (
        {path.relative_to(tmp_path / folder): path.read_bytes() for path in (tmp_path / folder).rglob("*.*")}
        for folder in ("a", "b")
    )
    assert first == second
    assert len(first) == 19
    for path, content in first.items():
        assert not re.search(rb"<dc:date>|Software|CreationDate|matplotlib v?\d", content, re.IGNORECASE), path


def test_without_figures_nothing_is_drawn(tmp_path: Path) -> None:
    write_results([], [Missing("demo", "xsub", "ikem-6", "linear", 0, "killed")], tmp_path / "results.csv")
    assert write_figures(tmp_path / "results.csv", tmp_path / "figures", NAMING) == []
    assert read_index(tmp_path / "figures") == []
    assert read_index(tmp_path / "elsewhere") == []


def test_most_confused() -> None:
    matrix = np.array([[5, 3, 0], [0, 9, 0], [4, 0, 1]])
    assert most_confused(matrix, class_labels(["sit", "stand\x1b"], 3)) == [
        "3 → sit (4 of 5 clips)",
        "sit → stand (3 of 8 clips)",
    ]
    assert most_confused(np.diag([3, 4]), ["a", "b"]) == []


def test_seeds_with_different_classes_are_named(tmp_path: Path) -> None:
    files = []
    for seed in range(2):
        np.savez(tmp_path / f"{seed}.npz", joint=confusion(3 + seed))
        files.append(ConfusionFile(tmp_path / f"{seed}.npz", "ntu60", "xsub", "ikem-6", "linear"))
    with pytest.raises(InputError, match="another number of classes"):
        write_figures(prepare(tmp_path), tmp_path / "figures", NAMING, files)


def test_metrics_of_a_resumed_run_keep_the_last_of_an_epoch(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,seconds,joint,note,empty\n1,9,4.0,a,\n2,9,3.0,b,\n2,9,2.5,c,\n3,9,,d,\n")
    frame = read_metrics(path)
    assert frame.columns.to_list() == ["joint"]
    assert frame["joint"].to_list()[:2] == [4.0, 2.5]


@pytest.mark.parametrize(
    ("content", "fault"), [(None, "cannot be read"), ("", "not a CSV"), ("loss\n1\n", "no column")]
)
def test_damaged_metrics_are_named(tmp_path: Path, content: str | None, fault: str) -> None:
    path = tmp_path / "metrics.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=fault) as caught:
        read_metrics(path)
    assert caught.value.location == str(path)


def test_a_damaged_list_of_figures_is_named(tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text('[{"file": 1}]')
    with pytest.raises(InputError, match="is not a list of figures"):
        read_index(tmp_path)
