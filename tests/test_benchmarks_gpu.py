"""The measuring command for GPUs, run through on the CPU; and the counts of whole steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from benchmarks import counts, gpu
from benchmarks.pair import TINY

from helpers import ROOT
from ikem.estimate.counting import Counts

ALLOWED = {
    *("torch", "numpy", "pandas", "numba", "safetensors"),  # what the machine has, and what these need
    *("typing_extensions", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "filelock", "fsspec", "packaging"),
    *("dateutil", "pytz", "tzdata", "six", "llvmlite", "torchgen", "functorch"),
    *("pydantic", "pydantic_core", "annotated_types", "typing_inspection", "yaml", "_yaml"),  # what is carried
    "psutil",  # on a CPU only
    *("ikem", "benchmarks"),
}
"""Packages that can be imported."""

HIDING = """
import importlib.machinery, importlib.metadata, sys
allowed, known = set(sys.argv.pop(1).split(",")), importlib.metadata.packages_distributions()
PathFinder = importlib.machinery.PathFinder

class Hiding:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        return None if top in known and top not in allowed else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding()
from benchmarks.gpu import main
main(sys.argv[1:])
"""


def test_every_figure_with_few_packages(tmp_path):
    """No figure fails, each line is in the file, and nothing but the packages named above is imported."""
    output = tmp_path / "gpu.jsonl"
    command = [sys.executable, "-c", HIDING, ",".join(ALLOWED), "--tiny", "--device", "cpu", "--output", str(output)]
    command += ["--stages", "relational_distillation", "supervised", "--precisions", "bfloat16", "float32"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    assert output.read_text() == done.stdout
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert list(dict.fromkeys(row["figure"] for row in rows)) == list(gpu.FIGURES)
    assert [row for row in rows if "failed" in row] == []
    steps = [row for row in rows if row["figure"] == "step"]
    assert len(steps) == 2 * 2 * len(gpu.WAYS)
    assert {row["way"] for row in steps if "skipped" in row} == {"graph", "compiled", "compiled, graph"}
    assert all(row["ms"] >= row["host_ms"] > 0 for row in steps if row["way"] == "eager")
    exact = [row for row in rows if row["figure"] == "errors" and row["precision"] == "float32"]
    assert all(float(error) < 1e-2 for row in exact for error in row["errors"])
    assert {row["eager twice"] for row in rows if row["figure"] == "same_bits"} == {"same"}


def test_what_the_time_does_not_allow_is_skipped(tmp_path):
    output = tmp_path / "gpu.jsonl"
    gpu.main(["--tiny", "--device", "cpu", "--minutes", "0", "--output", str(output)])
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert {row["figure"]: row.get("skipped") for row in rows} == dict.fromkeys(gpu.FIGURES, "no time left")


def test_a_figure_that_fails_does_not_end_the_others(tmp_path, monkeypatch):
    def broken(setup):
        yield {"first": 1}
        raise RuntimeError("no memory")

    monkeypatch.setattr(gpu, "FIGURES", {"broken": broken, "machine": gpu.machine})
    output = tmp_path / "gpu.jsonl"
    gpu.main(["--tiny", "--device", "cpu", "--figures", "broken", "machine", "--output", str(output)])
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["figure"] for row in rows[:3]] == ["broken", "broken", "machine"]
    assert rows[1]["failed"] == "RuntimeError('no memory')" and len(rows) > 3


def test_counts_by_hand():
    left, right, row = (torch.empty(*shape, device="meta") for shape in ((4, 8), (8, 16), (1, 16)))
    with Counts() as found:
        product = left @ right
        product.add_(row.expand(4, 16))
        product.view(64)
    values = (4 * 8 + 8 * 16 + 4 * 16) + (2 * 4 * 16 + 16)  # an expanded row is read once
    assert (found.operations, found.moved, found.done) == (2, 4 * values, 2 * 4 * 8 * 16)


@pytest.mark.filterwarnings("ignore:.*is a no-op:UserWarning")
def test_a_step_is_counted(tmp_path):
    found = counts.count_step("relational_distillation", TINY, tmp_path)
    assert found.operations > 1000 and found.done > 0
    assert found.seconds["tf32"] >= 2e-6 * found.operations and found.seconds["float32"] >= found.seconds["tf32"]
