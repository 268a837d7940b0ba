"""The long table: what evaluations write is read whole, and what is wrong is reported by file and row."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ikem.errors import InputError
from ikem.report.results import (
    COLUMNS,
    Missing,
    Row,
    clean,
    read_confusion,
    read_results,
    read_rows,
    streams_order,
    write_results,
)
from report_samples import SIX, benchmark, confusion, row, write_rows


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        row(),
        row(streams=SIX, best_epoch_top1=None, best_epoch=None),
        row(evaluation="semi-1", label_subset=3, complete=False),
    ]
    assert read_rows(write_rows(tmp_path / "linear.json", rows)) == rows


def test_results_come_back_with_what_is_missing(tmp_path: Path) -> None:
    rows, missing = benchmark()
    missing = [*missing, Missing("demo", "x,sub", "NA", "linear", -1, 'a "quoted", reason')]
    write_results(rows, missing, tmp_path / "results.csv")
    found, gaps = read_results(tmp_path / "results.csv")
    assert sorted(gaps) == sorted(missing)
    assert len(found) == len(rows)
    without_metrics = [{item.model_dump_json(exclude={"metrics"}) for item in items} for items in (found, rows)]
    assert without_metrics[0] == without_metrics[1]
    known = {
        (r.dataset, r.protocol, r.method, r.streams, r.evaluation, r.seed, r.label_subset): r.metrics["top1"]
        for r in rows
    }
    for item in found:
        key = (item.dataset, item.protocol, item.method, item.streams, item.evaluation, item.seed, item.label_subset)
        assert item.metrics["top1"] == pytest.approx(known[key], abs=5.1e-5)


def test_results_have_a_fixed_form(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_results([row(top1=100 / 3)], [Missing("demo", "xview", "ikem-6", "linear", 1, "it\nfailed\x1b[31m")], path)
    assert path.read_bytes().decode().split("\n") == [
        ",".join(COLUMNS),
        *(
            f"demo,xsub,ikem-6,joint,linear,0,,,{metric},240,120,10,true,,"
            for metric in (
                *("top1,33.3333", "top5,90.0000", "mean_class_accuracy,49.0000"),
                *("best_epoch_top1,51.0000", "best_epoch,7"),
            )
        ),
        "demo,xview,ikem-6,,linear,1,,,,,,,,,,it failed [31m",
        "",
    ]


def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    rows, missing = benchmark(evaluations=("linear", "semi-1"))
    write_results(rows, missing, tmp_path / "a.csv")
    random.Random(3).shuffle(rows)
    write_results(rows, missing * 2, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@settings(max_examples=40, deadline=None)
@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=12))
def test_any_name_survives(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.mktemp("names") / "results.csv"
    write_results([row(method=name)], [Missing(name, "p", name, "e", 0, "reason")], path)
    found, gaps = read_results(path)
    assert found == [row(method=name)]
    assert gaps == [Missing(name, "p", name, "e", 0, "reason")]


def test_missing_without_a_reason_stays_missing(tmp_path: Path) -> None:
    write_results([], [Missing("d", "p", "m", "e", 0, " \n ")], tmp_path / "results.csv")
    assert read_results(tmp_path / "results.csv")[1][0].reason == "no reason was given"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "is not JSON"),
        ("[]", "does not hold"),
        ('{"rows": {}}', "does not hold"),
        ('{"rows": [], "more": 1}', "does not hold"),
        ('{"rows": [1]}', "row 0"),
        ('{"rows": [{}]}', "row 0: dataset"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "linear.json"
    path.write_text(text)
    with pytest.raises(InputError, match=fault) as caught:
        read_rows(path)
    assert caught.value.location == str(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("top1", "50"),
        ("top1", -0.1),
        ("top1", 100.1),
        ("top1", float("nan")),
        ("top5", 40.0),
        ("mean_class_accuracy", None),
        ("seed", 0.5),
        ("seed", True),
        ("complete", 1),
        ("streams", ""),
        ("streams", "bone+joint"),
        ("streams", "joint+joint"),
        ("streams", "elbow"),
        ("dataset", ""),
        ("surplus", 1),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "linear.json"
    path.write_text(json.dumps({"rows": [row().model_dump(), row(seed=1).model_dump() | {key: value}]}))
    with pytest.raises(InputError, match="row 1: ") as caught:
        read_rows(path)
    assert caught.value.location == str(path)
    assert key in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for read in (read_rows, read_results):
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path / "nothing")


def test_the_same_cell_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="given twice: demo xsub ikem-6 joint linear, seed 0"):
        read_rows(write_rows(tmp_path / "linear.json", [row(), row(top1=20.0)]))
    with pytest.raises(InputError, match="given twice"):
        write_results([row(label_subset=1), row(label_subset=1)], [], tmp_path / "results.csv")
    assert not (tmp_path / "results.csv").exists()


@pytest.mark.parametrize("change", [("50.0000", "fifty"), ("true", "yes"), ("dataset,", "data,"), ("xsub", '"x')])
def test_a_damaged_long_table_is_named(tmp_path: Path, change: tuple[str, str]) -> None:
    path = tmp_path / "results.csv"
    write_results([row()], [], path)
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(InputError, match="needs no training") as caught:
        read_results(path)
    assert caught.value.location == str(path)


def test_rows_cannot_change() -> None:
    with pytest.raises(ValidationError):
        row().top1 = 3.0  # type: ignore[misc]
    assert set(Row.model_fields) - {"metrics"} == set(COLUMNS) - {"note", "metric", "value"}


def test_streams_order() -> None:
    names = [SIX, "bone", "joint+motion+bone", "joint", "angular_velocity", "joint+bone"]
    assert sorted(names, key=streams_order) == [
        "joint", "bone", "angular_velocity", "joint+bone", "joint+motion+bone", SIX,
    ]  # fmt: skip


def test_clean_leaves_one_line_that_steers_nothing() -> None:
    assert clean(" a\n\tb\x1b]0;title\x07 é\u202e ") == "a b ]0;title é"


def test_confusions_are_summed_over_label_subsets(tmp_path: Path) -> None:
    first, second, other = confusion(4, 0), confusion(4, 1), confusion(4, 2)
    path = tmp_path / "confusion.npz"
    np.savez(path, **{f"{SIX}.subset0": first, f"{SIX}.subset1": second, "joint.subset0": other})
    np.testing.assert_array_equal(read_confusion(path), first + second)
    np.testing.assert_array_equal(read_confusion(path, "joint"), other)


@pytest.mark.parametrize(
    "matrix", [np.zeros((2, 3), int), np.zeros((2, 2)), np.array([[0, -1], [0, 0]]), np.array([["x"]], object)]
)
def test_what_is_no_confusion_matrix_is_named(tmp_path: Path, matrix: np.ndarray) -> None:
    path = tmp_path / "confusion.npz"
    np.savez(path, joint=matrix)
    with pytest.raises(InputError) as caught:
        read_confusion(path)
    assert caught.value.location == str(path)


def test_damaged_confusion_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "confusion.npz"
    np.savez(path, joint=confusion(4))
    for content in (path.read_bytes()[:100], b"", b"PK\x03\x04 nothing"):
        path.write_bytes(content)
        with pytest.raises(InputError):
            read_confusion(path)
    np.savez(path)
    with pytest.raises(InputError, match="any stream"):
        read_confusion(path)
