"""Every method, from raw files to a row of a table."""

from __future__ import annotations

from pathlib import Path

import yaml

from helpers import EVERY_METHOD
from ikem.report.results import read_results
from ikem.runner import run_all
from ikem.settings.loading import load_config


def test_every_method_ends_in_a_table(tmp_path: Path) -> None:
    folders = tmp_path / "folders.yaml"
    folders.write_text(yaml.safe_dump({"results": str(tmp_path / "results"), "data": str(tmp_path / "data")}))
    config = load_config(*EVERY_METHOD, folders)
    run_all(config)
    rows, missing = read_results(tmp_path / "results" / "tables" / "results.csv")
    assert not missing
    assert {row.method for row in rows} == set(config.benchmark[0].methods)
    assert "AimCLR" in (tmp_path / "results" / "tables" / "linear.md").read_text()
