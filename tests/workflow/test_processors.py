"""The whole way from archive to table on several processors: compiled libraries choose other code there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from helpers import VECTORS
from job_support import LONGER, Workshop, write_config
from processor_support import CHECKED_MEMORY, processors, run


@processors
def test_reference_vectors(processor: str) -> None:
    assert ", 0 fail" in run(processor, "-m", "ikem", "verify", str(VECTORS))


@processors
def test_from_archive_to_table(processor: str, workshop: Workshop, tmp_path: Path) -> None:
    """A tiny benchmark: arrays equal to those of this processor, training near it, and a whole table."""
    config = write_config(tmp_path, LONGER, {"compute": {"threads": 2}})
    run(processor, "-m", "ikem", "run", str(config), **CHECKED_MEMORY)
    results = tmp_path / "results"
    ours, expected = (pd.read_csv(folder / "tables" / "results.csv") for folder in (results, workshop.results))
    assert ours.loc[ours["metric"] == "top1", "value"].between(0, 100).all()
    keys = ["method", "streams", "evaluation", "train_clips", "test_clips"]
    assert ours[keys].equals(expected[keys])
    for path in sorted((workshop.results / "tiny" / "modalities").glob("*.npy")):
        assert np.array_equal(np.load(path), np.load(results / path.relative_to(workshop.results))), path.name
    losses = sorted((workshop.results / "tiny").rglob("metrics.csv"))
    assert len(losses) == 7
    for path in losses:
        first = [pd.read_csv(file).iloc[0] for file in (path, results / path.relative_to(workshop.results))]
        assert np.allclose(*first, rtol=0.02), path
