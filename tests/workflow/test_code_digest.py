"""What the digest of a job's code covers."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ikem.evaluations.registry import EVALUATIONS
from ikem.methods.registry import STAGES
from ikem.workflow import code_digest
from ikem.workflow.code_digest import SHAPES_NUMBERS, modules_of

SHAPES_NONE = {
    # What they say reaches a job through its settings and its inputs, which have digests of their own.
    *("data", "schema", "registry", "settings", "synthetic", "report"),
    # They decide where and when something is computed, and how it is written and reported.
    *("errors", "files", "workflow", "yaml_loading", "running_job", "terminal"),
    # It uses what was computed.
    "trained",
    *("estimate", "doctor"),  # before a run
}

IMPORTED = """
import importlib, json, os, sys
import numba, pandas, torch  # once for all processes that follow
import ikem.evaluations.registry, ikem.methods.registry
for names in json.loads(sys.argv[1]):
    if not os.fork():
        for name in names:
            importlib.import_module(name)
        print(json.dumps([name.removeprefix("ikem.") for name in sys.modules if name.startswith("ikem.")]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, names
"""
"""Prints, for each list of modules, what is imported by a process that imports these, one line each."""

ROOTS = {
    "embed": "ikem.evaluations.embed",
    **{kind: stage.trainer.partition(":")[0] for kind, stage in STAGES.items()},
    **{kind: evaluation.run.partition(":")[0] for kind, evaluation in EVALUATIONS.items()},
}


@functools.cache
def imported() -> dict[str, set[str]]:
    """What each kind of job imports beyond the registries, in a process of its own; "all": all kinds in one."""
    asked = {"none": [], "all": sorted(set(ROOTS.values()))} | {kind: [root] for kind, root in ROOTS.items()}
    command = [sys.executable, "-c", IMPORTED, json.dumps(list(asked.values()))]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = {kind: set(json.loads(line)) for kind, line in zip(asked, printed.splitlines(), strict=True)}
    return {kind: names - (found["none"] if kind != "all" else set()) for kind, names in found.items()}


def settings_of(kind: str) -> dict[str, object]:
    return {"kind": kind, "encoder": {"kind": "stgcn"}, "augmentations": [{"kind": "crop"}]}


def test_every_module_shapes_numbers_or_does_not() -> None:
    """Of each module that a trainer or an evaluation imports it is said which it is."""
    parts = {name.split(".")[0] for name in imported()["all"]}
    assert "kernels" in parts
    assert parts <= SHAPES_NUMBERS | SHAPES_NONE
    assert not SHAPES_NUMBERS & SHAPES_NONE


@pytest.mark.parametrize("kind", ROOTS)
def test_all_that_a_job_imports_is_covered(kind: str) -> None:
    """What Python itself imports for it is found in its source; declarations aside, for which settings speak."""
    needed = {name for name in imported()[kind] if name.split(".")[0] in SHAPES_NUMBERS}
    assert needed and needed <= modules_of(settings_of(kind))


def test_a_job_depends_on_what_it_uses_only() -> None:
    stage1, distillation = (modules_of(settings_of(kind)) for kind in ("momentum_contrast", "relational_distillation"))
    assert {"methods.skeletonclr.trainer", "encoders.stgcn.network", "augmentations.crop", "training.loop"} <= stage1
    assert "kernels.cross_modal" in stage1  # named in a table, imported when called
    assert "augmentations.shear" not in stage1
    assert not any(name.startswith(("methods.relational", "evaluations")) for name in stage1)
    assert "methods.relational_distillation.model" in distillation
    linear = modules_of(settings_of("linear"))
    assert "evaluations.linear.run" in linear and "evaluations.knn.run" not in linear
    assert "evaluations.embed" not in linear
    assert {"evaluations.embed", "evaluations.linear.classifiers"} <= modules_of(settings_of("corruption"))
    assert modules_of(settings_of("embed")) == modules_of(settings_of("embed_target"))


def test_a_change_of_a_module_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path_of = code_digest._path
    changed = tmp_path / "queue.py"
    changed.write_bytes(path_of("losses.queue").read_bytes() + b"\n")
    before = {kind: code_digest.code_digest(settings_of(kind)) for kind in ("momentum_contrast", "linear")}
    monkeypatch.setattr(code_digest, "_path", lambda name: changed if name == "losses.queue" else path_of(name))
    assert code_digest.code_digest(settings_of("momentum_contrast")) != before["momentum_contrast"]
    assert code_digest.code_digest(settings_of("linear")) == before["linear"]
