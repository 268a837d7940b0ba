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
    if len(ends) > 1:  # where the last worker dies, xdist may end with an error of its own: 3
        assert result.returncode in (1, 3)
        return
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"crashed while running 'test_{ends[0]}0.py::test_bad'" in result.stdout
    assert re.search(rf'File ".*test_{ends[0]}0.py", line 5 in test_bad', result.stderr)  # the stack
