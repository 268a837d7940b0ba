"""A digest of the code that shapes the numbers of a job: of that code only, so that adding a method changes no other.

The code is found from its source: the modules of the job's trainer or evaluation, those that its settings name by
`kind` (encoder, augmentations), and all that these import or name as "module:attribute", of the packages below.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ikem.evaluations.registry import EVALUATIONS
from ikem.methods.registry import STAGES

SHAPES_NUMBERS = {
    *("augmentations", "encoders", "evaluations", "kernels", "losses", "methods", "training"),
    *("modalities", "parallel_apply", "process", "seeding", "skeleton"),
}
"""What of `ikem` shapes numbers of training and evaluation. Data, and what settings say, have digests of their own."""

_ROOT = Path(__file__).parent.parent
_KINDS = ("augmentations.{}", "encoders.{}.encoder")


def code_digest(settings: Mapping[str, Any]) -> str:
    """SHA-256 of the source of all code that shapes the result of a job.

    Args:
        settings: of the job; `kind` is its type.
    """
    digest = hashlib.sha256()
    for module in sorted(modules_of(settings)):
        digest.update(module.encode() + b"\0" + _path(module).read_bytes() + b"\0")
    return digest.hexdigest()


def modules_of(settings: Mapping[str, Any]) -> set[str]:
    """The modules of that code, such as "training.loop"."""
    kind = settings.get("kind")
    waiting = {"process"}
    if kind in STAGES:
        waiting |= {"training.loop", "training.graph", _module(STAGES[kind].trainer)}
    elif kind in EVALUATIONS:
        waiting |= {"evaluations.rows", _module(EVALUATIONS[kind].run)}
    if kind in ("embed", "embed_target") or (kind in EVALUATIONS and EVALUATIONS[kind].runs_on == "frozen-encoder"):
        waiting.add("evaluations.embed")
    waiting |= {pattern.format(name) for name in _kinds(settings) for pattern in _KINDS}
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in found or module.split(".")[0] not in SHAPES_NUMBERS or not _path(module).exists():
            continue
        found.add(module)
        waiting |= {module.rpartition(".")[0], *_named_by(module)}
    return found


def _module(name: str) -> str:
    return name.partition(":")[0].removeprefix("ikem.")


def _kinds(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("kind"), str):
            yield value["kind"]
        for part in value.values():
            yield from _kinds(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _kinds(part)


@functools.cache
def _path(module: str) -> Path:
    path = _ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def _named_by(module: str) -> set[str]:
    """What a module imports of `ikem`, inside functions, too, and what it names as "ikem.module:attribute"."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(_path(module).read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and ":" in node.value:
            names.add(node.value.partition(":")[0])
    return {name.removeprefix("ikem.") for name in names if name.startswith("ikem.")}
