"""Cells of CSV files that a spreadsheet opens: never a formula, and read back as the text that they were."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ikem.data.clips import Reject
from ikem.data.rejected import read_rejected, write_rejected
from ikem.errors import InputError
from ikem.files import spreadsheet_cell, text_of_cell, write_text
from ikem.report.layout import lay_out
from ikem.report.results import Missing, read_results, write_results
from ikem.report.tables import as_csv
from report_samples import NAMING, row

FORMULAS = ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''@x"]


def test_what_to_do_fits_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"written \(Is a directory\)\. Remove the folder of that name"):
        write_text(tmp_path / "folder", "")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Remove the file that stands where a folder is needed"):
        write_text(tmp_path / "file" / "below", "")
    with pytest.raises(InputError, match="Choose a shorter name"):
        write_text(tmp_path / ("x" * 300), "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@given(st.text(alphabet="'=+-@\t\r ax1"))
def test_cells_are_no_formulas_and_texts_come_back(text: str) -> None:
    cell = spreadsheet_cell(text)
    assert text_of_cell(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("text", ["", "a", "a=1", "'", "'a", "don't", "1.5", " =x"])
def test_other_cells_are_the_text(text: str) -> None:
    assert spreadsheet_cell(text) == text


def test_names_of_members(tmp_path: Path) -> None:
    write_rejected(tmp_path / "r.csv", [Reject(text, text, 0, text) for text in FORMULAS])
    assert read_rejected(tmp_path / "r.csv") == [(text, text) for text in FORMULAS]
    assert not any(formulas(tmp_path / "r.csv"))


@pytest.mark.parametrize("text", FORMULAS)
def test_titles(text: str, tmp_path: Path) -> None:
    naming = dataclasses.replace(NAMING, methods={"ikem-6": text})
    table = as_csv(lay_out([row()], [], "linear", naming), naming)
    (line,) = csv.DictReader(io.StringIO(table))
    assert text_of_cell(line["title"]) == naming.method("ikem-6")
    (tmp_path / "table.csv").write_text(table)
    assert not any(formulas(tmp_path / "table.csv"))


@pytest.mark.parametrize("reason", ["=1+1", "-x", "'=1"])
def test_reasons_in_the_long_table(reason: str, tmp_path: Path) -> None:
    missing = [Missing("demo", "xsub", "ikem-6", "linear", 0, reason)]
    write_results([], missing, tmp_path / "results.csv")
    assert read_results(tmp_path / "results.csv")[1] == missing
    assert not any(formulas(tmp_path / "results.csv"))


def formulas(path: Path) -> list[bool]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [cell.startswith(("=", "+", "-", "@", "\t", "\r")) for line in csv.reader(stream) for cell in line]
