"""Lower layers never import higher ones."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ikem

ROOT = Path(ikem.__file__).parent
ABOVE = {
    "workflow": {"runner", "report", "trained", "cli", "verify", "estimate", "doctor"},
    "report": {"runner", "trained", "cli", "verify", "estimate", "doctor"},
    "trained": {"runner", "cli", "verify", "estimate", "doctor"},
    "methods": {"workflow", "report", "trained", "runner", "cli", "verify", "evaluations"},
    "evaluations": {"workflow", "report", "trained", "runner", "cli", "verify"},
    "training": {"workflow", "report", "trained", "runner", "cli", "verify", "evaluations", "methods"},
}
for _part in ("data", "synthetic", "encoders", "losses", "kernels", "augmentations", "modalities", "skeleton"):
    ABOVE[_part] = ABOVE["training"] | {"training"}
_BASE = ("errors", "files", "registry", "seeding", "terminal", "running_job", "parallel_apply", "process", "compiling")
for _part in _BASE:
    ABOVE[_part] = ABOVE["data"] | set(ABOVE) - {"errors", "files", "registry"}


def imports(path: Path) -> Iterator[str]:
    """Top-level part of `ikem` of each import of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
        yield from (name.split(".")[1] for name in names if name.startswith("ikem."))


@pytest.mark.parametrize("part", ABOVE)
def test_imports_go_down(part: str) -> None:
    files = [ROOT / f"{part}.py"] if (ROOT / f"{part}.py").exists() else sorted((ROOT / part).rglob("*.py"))
    assert files
    found = {(path.relative_to(ROOT).as_posix(), name) for path in files for name in imports(path)}
    assert not {(path, name) for path, name in found if name in ABOVE[part] and name != part}
