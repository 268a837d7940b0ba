"""Snakemake goes by the records of the jobs: what it runs again, what it keeps, and that a dry run writes nothing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from ikem.runner import run_all
from ikem.settings.loading import load_config
from ikem.workflow.plan import Plan
from ikem.workflow.staleness import Redo
from ikem.workflow.status import state_of
from job_support import ROOT, snakemake_environment, until

CONFIG = {
    "results": "results",
    "data": "data",
    "datasets": {
        "mine": {
            "title": "Mine",
            "format": "arrays",
            "skeleton": "kinect20",
            "archives": {"folder": {"file": "mine"}},
            "class_names": ["standing", "waving"],
            "prepare": {"frames": 8},
            "protocols": {"xsub": {"column": "subject", "train": [1, 2]}},
        }
    },
    "recipes": {
        "small": {
            "encoder": {"hidden_channels": 2, "hidden_dim": 8, "feature_dim": 4},
            "contrast": {"queue_size": 8},
            "schedule": {"epochs": 40, "decay": {"epoch": 30}, "batch_size": 4, "learning_rate": 0.01},
            "stage1_epochs": 20,
        }
    },
    "methods": {
        "random": {"recipe": "small", "modalities": ["joint"]},
        "skeletonclr": {"recipe": "small", "modalities": ["joint"]},
    },
    "benchmark": [{"dataset": "mine", "protocols": ["xsub"], "methods": ["random"], "evaluations": ["knn-1"]}],
    "compute": {"processes": 1},
}


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["snakemake", *arguments, "--configfile", "config.yaml"],
        cwd=folder,
        env=snakemake_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def rules_of(result: subprocess.CompletedProcess[str]) -> set[str]:
    """The rules that a run names in its table of jobs."""
    assert result.returncode == 0, result.stdout[-3000:]
    return {name for name, _ in re.findall(r"^(\w+) +(\d+)$", result.stdout, re.MULTILINE)} - {"total"}


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file and folder below, Snakemake's own left out."""
    paths = [path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != ".snakemake"]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with raw arrays, in which the workflow has run up to its evaluations."""
    folder = tmp_path_factory.mktemp("a folder with spaces {and} braces")
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("rules", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    raw = folder / "data" / "mine"
    raw.mkdir(parents=True)
    names = [f"clip{number}" for number in range(16)]
    frames = pd.DataFrame({"name": names, "start": range(0, 160, 10), "frames": 10})
    frames.assign(label=[0, 1] * 8, subject=[1, 1, 2, 2, 3, 3, 4, 4] * 2).to_csv(raw / "samples.csv", index=False)
    np.save(raw / "skeletons.npy", np.random.default_rng(0).normal(size=(160, 20, 3)).astype(np.float32))
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    ran = snakemake(folder, "--cores", "2", "evaluate")
    assert ran.returncode == 0, ran.stdout[-3000:]
    return folder


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    """A copy of it with new dates, without what Snakemake remembers."""
    folder = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".snakemake")
    return shutil.copytree(done, folder, copy_function=shutil.copyfile, ignore=ignored)


def plan_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(folder)
    return Plan(load_config(folder / "config.yaml"))


BUILT_ON_RAW = {"decode", "prepare", "split", "modality", "random_init", "embed", "knn", "evaluate"}


@pytest.mark.parametrize("runner", ["snakemake", "ikem run"])
def test_raw_data_changed_in_place(copy: Path, monkeypatch: pytest.MonkeyPatch, runner: str) -> None:
    """Issue 10, numbers 2 and 35: labels are corrected under the same name, size and date."""
    plan = plan_at(copy, monkeypatch)
    raw = copy / "data" / "mine" / "samples.csv"
    times, table = raw.stat(), pd.read_csv(raw)
    table.assign(label=1 - table["label"]).to_csv(raw, index=False)
    os.utime(raw, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert raw.stat().st_size == times.st_size
    redo = Redo(plan.config.data)
    states = {job.name.kind: state_of(job, redo).word for job in plan.all_jobs()}
    assert {kind for kind, word in states.items() if word == "stale"} == (BUILT_ON_RAW | {"acquire"}) - {"evaluate"}
    planned = snakemake(copy, "-n", "evaluate")
    assert rules_of(planned) == BUILT_ON_RAW | {"acquire"}
    assert "8 finished jobs will be redone" in planned.stdout
    assert "the content of data/mine/samples.csv has changed" in planned.stdout
    if runner == "snakemake":
        assert rules_of(snakemake(copy, "--cores", "2", "evaluate")) == BUILT_ON_RAW | {"acquire"}
    else:
        run_all(plan.config, tables=False)
    assert list(pd.read_csv(copy / "results" / "mine" / "decoded" / "samples.csv")["label"]) == [1, 0] * 8
    assert Redo(plan.config.data).jobs(plan) == []
    assert "Nothing to be done" in snakemake(copy, "-n", "evaluate").stdout


def test_raw_data_that_was_incomplete(copy: Path) -> None:
    """Issue 10, numbers 30 and 35: the error is shown once, and the completed file is read."""
    shutil.rmtree(copy / "results")
    raw = copy / "data" / "mine" / "samples.csv"
    whole = raw.read_text()
    raw.write_text(whole.replace(",150,10,", ",150,11,"))  # a frame more than there are
    samples = "results/mine/decoded/samples.csv"
    failed = snakemake(copy, samples, "--cores", "1")
    assert failed.returncode and (copy / "results" / "mine" / "archives" / "folder.json").exists()
    errors = [line for line in failed.stdout.splitlines() if "[decode mine] error: " in line]
    assert len(errors) == 1
    message = errors[0].partition("error: ")[2]
    assert failed.stdout.count(message) == 1
    assert "failed: decode mine (results/logs/mine/decoded/samples.csv.log)" in failed.stdout
    raw.write_text(whole)
    again = snakemake(copy, samples, "--cores", "1")
    assert again.returncode == 0, again.stdout[-2000:]
    assert "the content of data/mine/samples.csv has changed" in again.stdout
    assert len(pd.read_csv(copy / samples)) == 16


def test_a_copy_with_new_dates_is_done(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither new dates nor a lost `.snakemake` are a reason; what was only built on may be gone."""
    assert "Nothing to be done" in snakemake(copy, "-n", "evaluate").stdout
    plan = plan_at(copy, monkeypatch)
    before = snapshot(copy)
    run_all(plan.config, tables=False)
    assert {path for path, of in snapshot(copy).items() if before.get(path) != of} <= {
        str(copy / "results"), str(copy / "results" / "plan.json"), str(copy / "results" / "mine" / "archives"),
        str(copy / "results" / "mine" / "archives" / ".folder.json.stamps"),
    }  # fmt: skip
    shutil.rmtree(copy / "results" / "mine" / "decoded")
    assert "Nothing to be done" in snakemake(copy, "-n", "evaluate").stdout


def test_an_edited_file_runs_again_what_is_built_on_it(copy: Path) -> None:
    """Issue 10, number 33: each reason is named before the run."""
    split = copy / "results" / "mine" / "splits" / "xsub.json"
    split.write_text(split.read_text().replace("0", "1", 1))
    result = snakemake(copy, "-n", "evaluate")
    assert rules_of(result) == {"split", "random_init", "embed", "knn", "evaluate"}
    assert result.stdout.rstrip().endswith(
        "4 finished jobs will be redone, and their results overwritten:\n"
        "  split mine xsub: has changed since it was written\n"
        "  and 3 that are built on these"
    )
    assert rules_of(snakemake(copy, "-n", "evaluate", "--config", "datasets={mine: {prepare: {frames: 9}}}")) == (
        BUILT_ON_RAW - {"decode"}
    )


def test_rules_that_the_command_line_forces(copy: Path) -> None:
    """Snakemake's own --forcerun keeps its meaning: what is built on it runs again, too."""
    assert {"prepare", "embed", "knn"} <= rules_of(snakemake(copy, "-n", "evaluate", "--forcerun", "prepare"))


@pytest.fixture
def read_only_results(copy: Path) -> Iterator[Path]:
    """The copy, with results that nobody can write to."""
    results = str(copy / "results")
    commands = (["mount", "--bind", results, results], ["mount", "-o", "remount,ro,bind", results])
    if os.geteuid() != 0 or any(subprocess.run(command, capture_output=True).returncode for command in commands):
        pytest.skip("folders cannot be mounted read-only here")
    yield copy
    subprocess.run(["umount", "-l", results], check=True)


@pytest.mark.parametrize("arguments", [["-n"], ["--list"], ["--dag"], ["--summary"], ["--rulegraph"], ["--lint"]])
def test_a_dry_run_writes_nothing(read_only_results: Path, arguments: list[str]) -> None:
    """Issue 10, number 26."""
    before = snapshot(read_only_results)
    ran = snakemake(read_only_results, *arguments)
    assert ran.returncode == (arguments == ["--lint"]), ran.stdout[-2000:]
    assert "Traceback" not in ran.stdout
    assert snapshot(read_only_results) == before
    assert not list((read_only_results / ".snakemake").glob("only_run*"))


def test_a_dry_run_of_another_config_keeps_the_plan(copy: Path) -> None:
    """Issue 10, number 26: gathering after it refused finished results."""
    before = snapshot(copy)
    assert snakemake(copy, "-n", "--config", "datasets={mine: {prepare: {frames: 9}}}").returncode == 0
    assert snapshot(copy) == before


def test_snakemake_alone_is_killed(copy: Path) -> None:
    """Issue 10, number 37: its job lives on and ends well; the next run keeps what it wrote."""
    state = "results/mine/xsub/seed0/momentum_contrast/small/joint/state.safetensors"
    output = copy / state
    command = ["snakemake", state, "--cores", "1", "--configfile", "config.yaml"]
    run = subprocess.Popen(
        command, cwd=copy, env=snakemake_environment(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert until(lambda: list(copy.glob("results/logs/**/joint/state.safetensors.log")), 120, 0.05)
        run.kill()
        run.wait()
        assert not output.exists()
        assert until(lambda: output.with_name(f"{output.name}.run.json").exists(), 120, 0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    assert list((copy / ".snakemake" / "incomplete").iterdir())
    before = output.stat().st_mtime_ns
    assert "Nothing to be done" in snakemake(copy, "-n", state).stdout
    again = snakemake(copy, "--cores", "1", state)  # the lock of the killed run is no hindrance
    assert again.returncode == 0 and "Nothing to be done" in again.stdout, again.stdout[-2000:]
    assert output.stat().st_mtime_ns == before


def test_jobs_run_with_the_interpreter_that_runs_snakemake(copy: Path) -> None:
    """Issue 10, number 42: the environment is not activated, another `python` comes first."""
    (copy / "python").write_text("#!/bin/sh\necho 'the wrong python'; exit 1\n")
    (copy / "python").chmod(0o755)
    (copy / "results" / "mine" / "archives" / "folder.json").unlink()
    snakemake_of_tests = str(Path(sys.executable).with_name("snakemake"))
    ran = subprocess.run(
        [snakemake_of_tests, "results/mine/archives/folder.json", "--cores", "1", "--configfile", "config.yaml"],
        cwd=copy,
        env={"PATH": f"{copy}:/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "HOME": str(copy)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert (copy / "results" / "mine" / "archives" / "folder.json").exists()
