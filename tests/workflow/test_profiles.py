"""The profiles of clusters, as far as a dry run goes."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from helpers import TINY
from ikem.workflow.job_types import JOB_TYPES
from job_support import ROOT, snakemake_environment

PLUGINS = {"slurm": "slurm", "kubernetes": "", "lsf": "lsf", "pbs": "cluster_generic"}
"""The executor plugin of each profile; Kubernetes runs the workflow in one pod, without one."""


def test_every_profile_is_tested() -> None:
    assert set(PLUGINS) == {path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml")} - {"default"}


@pytest.mark.parametrize("name", PLUGINS)
def test_dry_run(tmp_path: Path, name: str) -> None:
    plugin = f"snakemake_executor_plugin_{PLUGINS[name]}"
    if PLUGINS[name] and importlib.util.find_spec(plugin) is None:
        pytest.skip(f"{plugin.replace('_', '-')} is not installed")
    for folder in ("rules", "profiles", "config"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    ran = subprocess.run(
        ["snakemake", "-n", "--profile", f"profiles/{name}", "--configfile", "config/ntu60.yaml"],
        cwd=tmp_path,
        env=snakemake_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "momentum_contrast" in ran.stdout + ran.stderr


@pytest.mark.parametrize("name", PLUGINS)
def test_jobs_are_tried_again(name: str) -> None:
    """A job leaves with status 75 when asked to: a profile that did not try again would lose it."""
    profile = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
    assert profile["retries"] >= 1
    assert profile["keep-going"] is True
    assert profile["rerun-incomplete"] is True


def test_lsf_gives_a_gpu_to_every_rule_that_computes_on_one(tmp_path: Path) -> None:
    command = ["snakemake", "-n", "--configfile", str(TINY), "--config", f"results={tmp_path}"]
    ran = subprocess.run(
        command, cwd=ROOT, env=snakemake_environment(), capture_output=True, text=True, check=True, timeout=120
    )
    shown = ran.stdout + ran.stderr
    asked = set(re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: .*lsf_extra=.*-gpu num=1", shown, re.M))
    rules = set(re.findall(r"^rule (\w+):", shown, re.M))
    assert asked == {name for name in rules if name in JOB_TYPES and JOB_TYPES[name].group != "data"}
    assert {"momentum_contrast", "embed", "linear"} <= asked


def test_a_divided_job_asks_for_a_gpu_for_each_process(tmp_path: Path) -> None:
    """At most one for each modality; other jobs ask for what they always do."""
    divided = "compute={processes_per_job: {ikem: 2, crossclr: 5}, threads: 2, train: {gpu: 1, mem_mb: 1000}}"
    command = ["snakemake", "-n", "-p", "--cores", "8", "--configfile", str(TINY), "--config", f"results={tmp_path}"]
    ran = subprocess.run(
        [*command, divided], cwd=ROOT, env=snakemake_environment(), capture_output=True, text=True, timeout=120
    )
    shown = ran.stdout + ran.stderr
    assert ran.returncode == 0, shown
    for rule, count in (("ikem", 2), ("crossclr", 2), ("momentum_contrast", 1)):
        block = next(part for part in re.split(r"^(?=rule )", shown, flags=re.M) if part.startswith(f"rule {rule}:"))
        assert re.search(rf"threads: {2 * count}\b", block)
        assert re.search(rf"gpu={count}\b", block) and f"mem_mb={1000 * count}," in block
        assert f"-gpu num={count}" in block
        assert (f"--processes-per-job={count}" in block) == (count > 1)


def test_the_pod_runs_the_profile() -> None:
    pod = yaml.safe_load((ROOT / "profiles" / "kubernetes" / "job.yaml").read_text())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][:3] == ["snakemake", "--profile", "profiles/kubernetes"]
    profile = yaml.safe_load((ROOT / "profiles" / "kubernetes" / "config.yaml").read_text())
    assert profile["resources"] == [f"gpu={container['resources']['limits']['nvidia.com/gpu']}"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
