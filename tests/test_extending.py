"""docs/extending.md as printed: a method, an encoder, an evaluation and a modality, taken to tables and a report."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from helpers import ROOT, TINY

PAGE = (ROOT / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
"""The printed files by path."""
(APPENDED,) = re.findall(r"^Append to `src/ikem/modalities.py`.*?```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and the workflow with everything added that is printed."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "rules", folder / "rules")
    shutil.copy(ROOT / "Snakefile", folder)
    modalities = folder / "src" / "ikem" / "modalities.py"
    text = modalities.read_text()
    before = text.index("def _unit(")
    modalities.write_text(f"{text[:before]}{APPENDED}\n\n{text[before:]}")
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    mine = folder / "config" / "mine.yaml"
    mine.write_text(mine.read_text().replace("demo", "tiny"))  # the same, on less data
    shutil.copy(TINY, folder / "config" / "config.yaml")
    return folder


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)


def test_everything_printed_is_found() -> None:
    folders = {name.split("/")[2] for name in FILES if name.startswith("src/")}
    assert folders == {"methods", "encoders", "evaluations"}
    assert set(yaml.safe_load(FILES["config/mine.yaml"])) == {
        "results",
        "recipes",
        "methods",
        "evaluations",
        "benchmark",
    }


def test_what_is_added_comes_to_a_table_and_a_report(folder: Path) -> None:
    done = call(folder, "ikem", "run", "config/config.yaml", "config/mine.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    tables = folder / "results" / "mine" / "tables"
    table = pd.read_csv(tables / "results.csv")
    top1 = table[table["metric"] == "top1"]
    assert set(map(tuple, top1[["method", "streams", "evaluation"]].to_numpy())) == {
        ("simclr", "joint", "linear"), ("simclr", "jerk", "linear"), ("simclr", "joint+jerk", "linear"),
        ("simclr", "joint", "class-mean"), ("simclr", "jerk", "class-mean"),
        ("simclr-points", "joint", "linear"), ("simclr-points", "joint", "class-mean"),
    }  # fmt: skip
    linear, mean = ((tables / f"{name}.md").read_text() for name in ("linear", "class-mean"))
    for source in ("arXiv 2002.05709", "arXiv 1801.07455", "arXiv 1612.00593"):
        assert source in linear
    assert "doi 10.1109/TPAMI.2013.83" in mean
    assert "Nearest class mean" in (folder / "results" / "mine" / "report.html").read_text()
    status = call(folder, "ikem", "status", "config/config.yaml", "config/mine.yaml")
    assert "simclr" in status.stdout and "class_mean" in status.stdout


def test_what_is_added_has_rules(folder: Path) -> None:
    configs = ["--configfile", "config/config.yaml", "config/mine.yaml"]
    listed = call(folder, "snakemake", "--list", *configs)
    for line in (
        "simclr (SimCLR: contrast within the batch, of one modality.)",
        "all_simclr (Every job of simclr.)",
        "class_mean (Nearest class mean of a method: the class whose mean embedding is nearest.)",
    ):
        assert line in listed.stdout + listed.stderr
    again = call(folder, "snakemake", "--cores", "1", *configs)
    assert "Nothing to be done" in again.stdout + again.stderr, again.stderr[-2000:]
