"""With our options, a test that kills its own process or hangs in compiled code fails and ends the run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ENDINGS = {
    "crash": "os.kill(os.getpid(), signal.SIGSEGV)",
    "hang": "ctypes.PyDLL(None).sleep(300)  # holds the interpreter's lock",
}


@pytest.mark.parametrize("ends", [["crash"], ["hang"], ["crash", "hang", "crash"]], ids="+".join)
def test_a_crash_and_a_hang_are_failures(tmp_path: Path, ends: list[str]) -> None:
    for number in range(4):
        (tmp_path / f"test_good{number}.py").write_text("def test_good():\n    pass\n")
    for number, end in enumerate(ends):
        source = f"""
            import ctypes, os, signal

            def test_bad():
                {ENDINGS[end]}
            """
        (tmp_path / f"test_{end}{number}.py").write_text(textwrap.dedent(source))
    (options,) = re.findall(r"^PYTEST := python -m pytest (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    command = [*("-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)), *options.split()]
    result = subprocess.run(
        [sys.executable, *command, "-p", "no:cacheprovider", "-o", "faulthandler_timeout=3", str(tmp_path)],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    for end in set(ends) if len(ends) == 1 else ():
        assert f"crashed while running 'test_{end}0.py::test_bad'" in result.stdout
        assert f"test_{end}0.py" in result.stderr  # the stack
    assert re.search(r"\d failed", result.stdout)
