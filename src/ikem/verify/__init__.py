"""Reference vectors against the code that the benchmark itself runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from ikem.errors import InputError

Report = Callable[[str], None]

# Beside the vectors; everything else that is there must be checked.
_IGNORED = {"README.md"}


def verify(folder: Path, report: Report = print, only: Collection[str] | None = None) -> bool:
    """Recompute all arrays of a folder of reference vectors and compare.

    Everything is computed before what is expected is read. An array that is missing, or that is there and has not been
    checked, fails.

    Args:
        folder: holds the .npz files and `skeletons/`.
        report: takes each line: file, array, largest error, what is allowed there, verdict.
        only: names of the files to look at; by default all that there should be, and all that there are.

    Returns:
        whether every array passed.

    Raises:
        InputError: the folder is none.
    """
    from ikem.verify.checks import PARTS

    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("is no folder", location=str(folder), hint="Name a folder of reference vectors")
    report(f"{'file':<18}{'array':<62}{'error':>10}{'allowed':>10}  verdict")
    passed = inputs = failed = 0
    for file in PARTS:
        if only is not None and file not in only:
            continue
        for array, error, limit, verdict in _file(folder / file):
            report(f"{file:<18}{array:<62}{_number(error)}{_number(limit)}  {verdict}")
            passed, inputs, failed = (
                passed + (verdict == "ok"),
                inputs + (verdict == "input"),
                failed + ("FAIL" in verdict),
            )
    if only is None:
        for path in _others(folder):
            report(f"{path:<18}{'':<62}{'':>20}  FAIL: is there and has not been checked")
            failed += 1
    report(f"{passed} arrays agree, {inputs} are inputs, {failed} fail")
    return failed == 0 and passed > 0


def _number(value: float | None) -> str:
    return f"{'-' if value is None or np.isnan(value) else format(value, '.2e'):>10}"


def _others(folder: Path) -> Iterator[str]:
    """Files that no part knows."""
    from ikem.verify.checks import PARTS, skeleton_files

    known = {folder / file for file in (*PARTS, *_IGNORED)} | set(skeleton_files(folder).values())
    for path in sorted(folder.rglob("*")):
        if path not in known and not path.is_dir():
            yield str(path.relative_to(folder))


def _file(path: Path) -> Iterator[tuple[str, float | None, float | None, str]]:
    """A row for each array of a file: name, error, limit, verdict."""
    from ikem.verify.checks import PARTS
    from ikem.verify.npz_source import Source
    from ikem.verify.tolerances import compare

    if not path.exists():
        yield "", None, None, "FAIL: the file is missing"
        return
    try:
        source = Source(path)
    except InputError as error:
        yield "", None, None, f"FAIL: {error.message}"
        return
    with source:
        try:
            outputs = PARTS[path.name](source)
        except InputError as error:
            yield error.location or "", None, None, f"FAIL: {error.message}; nothing could be computed"
            return
        except Exception as error:  # whatever a damaged input makes of the computation
            reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
            yield "", None, None, f"FAIL: its inputs do not fit together ({reason})"
            return
        for name in source.inputs:
            yield name, None, None, "input"
        for name, (computed, limit) in outputs.items():
            try:
                result = compare(np.asarray(computed), source.expected(name), limit)
            except InputError as error:
                yield name, None, None, f"FAIL: {error.message}"
                continue
            note = f": {result.note}" if result.note else ""
            yield name, result.error, result.limit, "ok" if result.passed else f"FAIL{note}"
        for name in source.names:
            if name not in outputs and name not in source.inputs:
                yield name, None, None, "FAIL: is there and has not been checked"
