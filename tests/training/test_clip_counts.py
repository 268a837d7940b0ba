"""Warnings about batches and queues that do not fit the number of training clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config_support import files_of
from helpers import ROOT
from ikem.seeding import batches, epoch_order
from ikem.settings.loading import load_config
from ikem.training.clip_counts import count_warnings, own_key_rate
from ikem.workflow.advice import advice_on
from ikem.workflow.plan import Plan


def simulated_rate(queue: int, clips: int, batch: int) -> float:
    """Share of queries whose own clip is in the queue, from the order in which jobs see the clips."""
    ring, pointer, hits, queries = np.full(queue, -1), 0, 0, 0
    for epoch in range(8):
        for rows in batches(epoch_order(0, epoch, clips), batch, drop_last=True):
            if epoch > 1:
                hits += int(np.isin(rows, ring).sum())
                queries += len(rows)
            for row in rows:
                ring[pointer] = row
                pointer = (pointer + 1) % queue
    return hits / queries


@pytest.mark.parametrize(
    ("queue", "clips", "batch"), [(1024, 1020, 64), (1024, 724, 64), (256, 724, 64), (1024, 1020, 128), (2000, 724, 64)]
)
def test_own_keys_are_as_frequent_as_in_training(queue: int, clips: int, batch: int) -> None:
    assert own_key_rate(queue, clips - clips % batch) == pytest.approx(simulated_rate(queue, clips, batch), abs=0.03)


def settings(batch: int, queue: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"schedule": {"batch_size": batch}, "drop_last": True}
    return found if queue is None else found | {"contrast": {"queue_size": queue}}


@pytest.mark.parametrize(
    ("batch", "queue", "warnings"),
    [
        (64, 256, []),
        (64, None, []),
        (1020, 1020, []),
        (4096, None, ["batch_size is 4096, but 1020 clips train: every epoch is one step of 1020 clips"]),
        (4096, 256, ["every epoch is one step", "a step brings 1020 keys"]),
        (64, 1024, ["56 % of the queries an older key of their own clip .* (about 4 % with 256)"]),
    ],
)
def test_warnings(batch: int, queue: int | None, warnings: list[str]) -> None:
    found = count_warnings(settings(batch, queue), 1020)
    assert len(found) == len(warnings)
    for line, pattern in zip(found, warnings, strict=True):
        for part in pattern.split(" .* "):
            assert part in line


def test_a_plan_warns_before_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text("recipes: {short: {contrast: {queue_size: 1024}}}")
    lines = advice_on(Plan(load_config(ROOT / "config" / "nwucla.yaml", path)))
    assert {line.split(":")[1].split(",")[0].strip() for line in lines} == {
        *("recipes.short", "methods.aimclr", "methods.crossclr", "methods.ikem-3", "methods.ikem-6")
    }
    said = {line.split(": ")[1]: line for line in lines if "recipes.short" in line}
    assert "queue_size is 1024, but 1020 clips train: for about 56 % of" in said["recipes.short, nwucla xview"]
    assert "queue_size is 1024, but 724 clips train: for about 85 % of" in said["recipes.short, nwucla xsub"]


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_fit_their_clips(path: Path) -> None:
    lines = advice_on(Plan(load_config(*files_of(path))))
    assert bool(lines) == (path.stem in ("paper", "pkummd"))
    assert all("pkummd" in line and "queue_size is 32768" in line for line in lines)  # as published
