"""docs/results/nwucla/streams.py, whose tables the pages of NW-UCLA show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from helpers import ROOT
from ikem.evaluations.rows import Labels
from ikem.evaluations.scores import write_scores

SCRIPT = ROOT / "docs" / "results" / "nwucla" / "streams.py"


def run(split: Path, seed: int, method: str, **right: str) -> None:
    """Scores of one run: for each stream a word of 1 (right) and 0 for its test clips, all of class 0."""
    clips = len(next(iter(right.values())))
    none, labels = np.zeros(0, dtype=np.int64), np.zeros(clips, dtype=np.int64)
    names = np.array([f"{split.name}-{clip}" for clip in range(clips)], dtype=object)
    split_labels = Labels(none, np.arange(clips), names, labels, np.arange(2), complete=True)
    scores = {
        stream: np.array([[0, -1] if clip == "1" else [-1, 0] for clip in word]) for stream, word in right.items()
    }
    output = split / f"seed{seed}" / "linear" / method / "linear.json"
    output.parent.mkdir(parents=True)
    write_scores(output, list(names), split_labels, {key: value.astype(np.float16) for key, value in scores.items()})


def lines(*arguments: str | Path) -> list[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], check=True, capture_output=True, text=True
    ).stdout.splitlines()


def test_clips_of_several_splits_are_taken_together(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run(first, 0, "one", **{"joint": "1100", "bone": "1010", "joint+bone": "1110"})
    run(second, 0, "one", **{"joint": "10", "bone": "00", "joint+bone": "00"})
    run(first, 0, "other", **{"joint": "1111", "bone": "1111", "joint+bone": "1111"})
    run(second, 0, "other", **{"joint": "11", "bone": "11", "joint+bone": "10"})
    printed = lines("linear", "one", "other", "--splits", first, second)
    # Six clips: joint errs in three, bone in four; both in two, at least one in five; by chance (1/3) / (5/6).
    assert printed[2] == "| one | 1 | 41.7 | 50.0 | 40.0 | 40.0 | 66.7 |"
    assert printed[-1].startswith("| one | other | -33.3 | ")


def test_deviations_are_over_seeds_that_all_splits_have(tmp_path: Path) -> None:
    for seed, word in enumerate(("10", "11", "00")):
        run(tmp_path / "first", seed, "one", **{"joint": word, "bone": word, "joint+bone": word})
    for seed in range(2):
        run(tmp_path / "second", seed, "one", **{"joint": "01", "bone": "01", "joint+bone": "01"})
    both, alone = (
        lines("linear", "one", "--splits", *splits)[2]
        for splits in ((tmp_path / "first", tmp_path / "second"), (tmp_path / "first",))
    )
    assert both.startswith("| one | 2 | 62.5 ± 17.7 |")
    assert alone.startswith("| one | 3 | 50.0 ± 50.0 |")
