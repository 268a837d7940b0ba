"""The whole demo, twice: two jobs at a time, and one at a time with `kill -9` at random moments."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from demo_support import OFTEN, Demo, run_with_kills
from helpers import ROOT
from ikem.settings.loading import load_config

KILLS, SECONDS = 20, 12.0


def test_what_is_laid_over_the_demo_is_a_config() -> None:
    assert load_config(ROOT / "config" / "config.yaml", changes=OFTEN).compute.train.mem_mb == 1000


@pytest.mark.slow
def test_the_demo_is_the_same_to_the_byte(tmp_path: Path) -> None:
    calm, wild = Demo(tmp_path / "calm"), Demo(tmp_path / "wild")
    calm.run("--cores", "2")
    jobs, runs = run_with_kills(wild, random.Random(0), KILLS, SECONDS)
    assert jobs >= 3 and runs >= 2, wild.printed[-4000:]
    assert "resuming from epoch" in wild.printed
    assert wild.differing_from(calm) == []
