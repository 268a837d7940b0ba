"""How a result came about: versions of the packages, the commit, and a digest of the code that shapes numbers."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

_SHAPES_NUMBERS = (
    "training",
    "losses",
    "encoders",
    "evaluations",
    "methods",
    "kernels",
    "augment.py",
    "modalities.py",
    "process.py",
    "skeleton.py",
    "skeletons",
)
_PACKAGES = ("torch", "numpy", "pandas", "numba", "safetensors", "pydantic", "snakemake")


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python, of the platform and of the packages that shape results."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "ikem": _version("ikem-bench")}
    return found | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@functools.cache
def commit() -> str:
    """The git commit of the code, with "+" where the working tree differs from it; "unknown" outside a repository."""
    folder = str(Path(__file__).parent)
    command = ["git", "-C", folder, "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"


@functools.cache
def code_digest() -> str:
    """SHA-256 of the source of all code that shapes numbers in training and evaluation."""
    root = Path(__file__).parent.parent
    collected = hashlib.sha256()
    for entry in _SHAPES_NUMBERS:
        path = root / entry
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in (".py", ".yaml"):
                collected.update(os.fsencode(file.relative_to(root)) + b"\0" + file.read_bytes())
    return collected.hexdigest()
