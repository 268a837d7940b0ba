"""What the digest of a job's code covers."""

from __future__ import annotations

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
import importlib, json, sys
import ikem.evaluations.registry, ikem.methods.registry
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps([name.removeprefix("ikem.") for name in sys.modules if name.startswith("ikem.")]))
"""


def imported_by(*modules: str) -> set[str]:
    command = [sys.executable, "-c", IMPORTED, *modules]
    return set(json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout))


def settings_of(kind: str) -> dict[str, object]:
    return {"kind": kind, "encoder": {"kind": "stgcn"}, "augmentations": [{"kind": "crop"}]}


def test_every_module_shapes_numbers_or_does_not() -> None:
    """Of each module that a trainer or an evaluation imports it is said which it is."""
    names = [stage.trainer for stage in STAGES.values()] + [each.run for each in EVALUATIONS.values()]
    modules = sorted({name.partition(":")[0] for name in names} | {"ikem.training.loop", "ikem.evaluations.embed"})
    parts = {name.split(".")[0] for name in imported_by(*modules)}
    assert "kernels" in parts
    assert parts <= SHAPES_NUMBERS | SHAPES_NONE
    assert not SHAPES_NUMBERS & SHAPES_NONE


@pytest.mark.parametrize("kind", [*STAGES, *EVALUATIONS, "embed"])
def test_all_that_a_job_imports_is_covered(kind: str) -> None:
    """What Python itself imports for it is found in its source; declarations aside, for which settings speak."""
    roots = {"embed": "ikem.evaluations.embed"} | {name: stage.trainer for name, stage in STAGES.items()}
    root = (roots | {name: each.run for name, each in EVALUATIONS.items()})[kind].partition(":")[0]
    needed = {name for name in imported_by(root) - imported_by() if name.split(".")[0] in SHAPES_NUMBERS}
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
