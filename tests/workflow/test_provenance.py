"""What a checkpoint is known by."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ikem
from ikem.workflow.provenance import _SHAPES_NUMBERS

SHAPES_NONE = {
    # What they say reaches a job through its settings and its inputs, which have digests of their own.
    *("data", "schema.py", "registry.py", "settings", "synthetic", "report"),
    # They decide where and when something is computed, and how it is written and reported.
    *("errors.py", "files.py", "registry.py", "workflow", "yaml_loading.py"),
}

IMPORT_ALL = """
import importlib, json, pkgutil, sys
for name in ("training", "evaluations", "losses", "encoders", "kernels"):
    package = importlib.import_module(f"ikem.{name}")
    for module in pkgutil.iter_modules(package.__path__, f"ikem.{name}."):
        importlib.import_module(module.name)
print(json.dumps([name for name in sys.modules if name.startswith("ikem.")]))
"""


def test_the_digest_covers_all_code_that_shapes_numbers() -> None:
    """Of each module that training and evaluation import it is said which it is."""
    told = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True, timeout=120)
    parts = {name.split(".")[1] for name in json.loads(told.stdout)}
    root = Path(ikem.__file__).parent
    names = {name if (root / name).is_dir() else f"{name}.py" for name in parts}
    assert "kernels" in names
    assert names <= {*_SHAPES_NUMBERS, *SHAPES_NONE}
    assert not SHAPES_NONE & set(_SHAPES_NUMBERS)
    assert all((root / name).exists() for name in _SHAPES_NUMBERS)
