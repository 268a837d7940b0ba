"""What `ikem doctor` finds, and the small options of the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ikem
from helpers import ROOT
from ikem import doctor
from ikem.cli import app


def run(*arguments: str | Path):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_machine_that_runs_the_tests_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED_MEMORY", 2**20)  # the tests themselves take some
    done = run("doctor")
    assert done.exit_code == 0, done.output
    assert [line.split()[:2] for line in done.output.splitlines()] == [
        ["ok", name] for name in ("Python", "PyTorch", "devices", "memory", "disk")
    ]


def test_raw_files_that_are_missing_and_where_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "folder.yaml"
    folder.write_text(f"data: {tmp_path}\n")
    done = run("doctor", ROOT / "config/ntu60.yaml", folder)
    assert done.exit_code == 1
    assert "problem  data of ntu60  0 of 1 raw files" in done.output
    assert "datasets.ntu60.archives.s001_to_s017.terms_accepted" in done.output
    (tmp_path / "nturgbd_skeletons_s001_to_s017.zip").touch()
    done = run("doctor", ROOT / "config/ntu60.yaml", folder)
    assert done.exit_code == 0, done.output
    assert "1 of 1 raw files" in done.output


def test_a_config_that_is_not_valid(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("seeeds: [1]\n")
    done = run("doctor", path)
    assert done.exit_code == 1
    assert "problem  config" in done.output and "seeeds" in done.output


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: doctor.shutil._ntuple_diskusage(10, 9, 1))
    done = run("doctor")
    assert done.exit_code == 1
    assert "problem  disk" in done.output


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED_MEMORY", 2**60)
    done = run("doctor")
    assert done.exit_code == 1
    assert "problem  memory" in done.output and "snakemake --cores 1" in done.output


def test_a_gpu_with_a_build_for_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(doctor, "NVIDIA", tmp_path)
    monkeypatch.setattr("ikem.workflow.device.usable_devices", lambda: [])
    (check,) = (check for check in doctor.examine([]) if check.name == "devices")
    assert "requirements-torch.txt" in check.fix


def test_without_pytorch_it_says_so() -> None:
    done = command("doctor", str(ROOT / "config/config.yaml"), before="sys.modules['torch'] = None; ")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    found = [line.split(maxsplit=2) for line in done.stdout.splitlines() if line[0] != " "]
    assert [name for state, name, _ in found if state == "problem"] == ["PyTorch", "devices"]
    assert ["ok", "config"] in [line[:2] for line in found]


def test_the_version() -> None:
    assert run("--version").output == f"ikem {ikem.__version__}\n"


def test_shells_complete_commands() -> None:
    asked = {"_IKEM_COMPLETE": "complete_bash", "COMP_WORDS": "ikem est", "COMP_CWORD": "1"}
    assert command(**asked).stdout.split() == ["estimate"]


def command(*arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`ikem ARGUMENTS`, in a process of its own."""
    code = f"import sys; {before}sys.argv = ['ikem', *sys.argv[1:]]; from ikem.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, timeout=120
    )
