"""The config of a tiny benchmark, and changes of it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from helpers import ROOT, TINY

OVERLAYS = {
    "ablations": ROOT / "config" / "config.yaml",
    "nwucla-quick": ROOT / "config" / "nwucla.yaml",
    "methods": TINY,
}
"""Configs that are laid over others."""


def files_of(path: Path) -> list[Path]:
    """A config as it is used: an overlay is laid over its base."""
    return [OVERLAYS[path.stem], path] if path.stem in OVERLAYS else [path]


def tiny() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(TINY.read_text())
    return values


def changed(path: str, value: Any, separator: str = ".") -> dict[str, Any]:
    values = copy.deepcopy(tiny())
    node: Any = values
    *way, last = path.split(separator)
    for part in way:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[int(last) if isinstance(node, list) else last] = value
    return values
