"""How a result came about: versions of the packages, and the commit."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

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
