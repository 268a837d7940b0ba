"""Nothing waits for a library that it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from job_support import Workshop, command_of

WITHOUT_TORCH = ("make_ntu", "acquire", "decode", "split")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which whoever imports torch fails."""
    folder = tmp_path / "absent"
    folder.mkdir()
    (folder / "torch.py").write_text("raise SystemExit('torch was imported')")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ikem", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("kind", WITHOUT_TORCH)
def test_jobs_on_data_do_without_torch(
    workshop: Workshop, environment: dict[str, str], tmp_path: Path, kind: str
) -> None:
    job = workshop.job(kind)
    inputs = {name: part.output for name, part in job.inputs.items()}
    done = run(environment, *command_of(job.settings, inputs, tmp_path / kind / job.output.name))
    assert done.returncode == 0, done.stderr


def test_the_environment_would_catch_it(environment: dict[str, str]) -> None:
    assert "torch was imported" in run(environment, "verify", "nowhere").stderr
