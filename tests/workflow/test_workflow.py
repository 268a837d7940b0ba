"""The workflow itself: a tiny benchmark through Snakemake, from raw archives to tables."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from config_support import files_of, tiny
from helpers import ROOT
from ikem.evaluations.registry import EVALUATIONS
from ikem.evaluations.scores import read_scores
from ikem.methods.registry import STAGES
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.reserved import NEXT_TO_DATASETS, NEXT_TO_PROTOCOLS

CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
TINY = ROOT / "tests" / "configs" / "tiny.yaml"


def call(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    folder = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


def snakemake(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call("snakemake", *arguments, cwd=cwd)


def jobs_of(result: subprocess.CompletedProcess[str]) -> set[str]:
    """The rules that a run names in its table of jobs."""
    printed = result.stdout + result.stderr
    return {name for name, _ in re.findall(r"^(\w+) +(\d+)$", printed, re.MULTILINE)} - {"total", "job"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the workflow in it, its name not the plainest."""
    folder = tmp_path_factory.mktemp("a place with spaces")
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("rules", "config", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(TINY, folder / "config" / "tiny.yaml")
    return folder


@pytest.fixture(scope="module")
def done(project: Path) -> Path:
    """The folder after a run."""
    result = snakemake(project, "--cores", "2", "--configfile", "config/tiny.yaml")
    assert result.returncode == 0, result.stderr[-4000:]
    return project


def test_a_run_ends_with_tables(done: Path) -> None:
    table = pd.read_csv(done / "results" / "tables" / "results.csv")
    entries = {
        name: {each for block in tiny()["benchmark"] for each in block[name]} for name in ("methods", "evaluations")
    }
    assert set(table["method"]) == entries["methods"]
    assert set(table["evaluation"]) == entries["evaluations"]
    assert table.loc[table["metric"] == "top1", "value"].between(0, 100).all()
    assert set(table.loc[table["evaluation"] == "semi-10", "label_subset"]) == {0, 1}
    assert {"joint", "joint+motion+bone"} <= set(table["streams"])
    for name in ("tables/linear.md", "tables/linear.csv", "report.html", "plan.json"):
        assert (done / "results" / name).stat().st_size
    written = {path.name for path in (done / "results").iterdir() if not path.name.startswith(".")}
    assert written == {"tiny", *NEXT_TO_DATASETS}
    in_dataset = {path.name for path in (done / "results" / "tiny").iterdir() if not path.name.startswith(".")}
    assert in_dataset == {"xsub", *NEXT_TO_PROTOCOLS}


def test_untouched_clips_score_as_in_the_linear_evaluation(done: Path) -> None:
    """Of standardized embeddings, too: through encoders, modalities and classifiers."""
    run = done / "results" / "tiny" / "xsub" / "seed0"
    linear = read_scores(run / "linear" / "random" / "linear.json")
    occlusion = read_scores(run / "corruption" / "random" / "occlusion.json")
    assert set(linear.scores) == {"joint", "bone", "joint+bone"}
    for streams, scores in linear.scores.items():
        np.testing.assert_allclose(occlusion.scores[f"{streams}.none"], scores, rtol=0.01, atol=0.01)
        assert (occlusion.scores[f"{streams}.left arm"] != scores).any()


def test_clips_of_the_pretraining_are_not_tested_after_a_transfer(done: Path) -> None:
    results = done / "results" / "tiny"
    names = pd.read_csv(results / "prepared" / "samples.csv")["name"]
    pretraining, target = (
        json.loads((results / "splits" / f"{name}.json").read_text()) for name in ("xsub", "swapped")
    )
    expected = set(names[target["test"]]) - set(names[pretraining["train"]])
    assert 0 < len(expected) < len(target["test"])
    tested = read_scores(results / "xsub" / "seed0" / "linear" / "random" / "transfer.json").names
    assert set(tested) == expected and len(tested) == len(expected)


def test_a_second_run_finds_nothing_to_do(done: Path) -> None:
    result = snakemake(done, "--cores", "2", "--configfile", "config/tiny.yaml", "--resources", "gpu=4")
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout + result.stderr


def test_every_result_tells_how_it_came_about(done: Path) -> None:
    results = done / "results" / "tiny"
    states = [
        *results.rglob("state.safetensors"),
        *(path for name in EVALUATIONS for path in results.rglob(f"{name}/*/*.json")),
    ]
    outputs = [path for path in states if not path.name.endswith("run.json")]
    assert len(outputs) > 10
    for path in outputs:
        record = json.loads(path.with_name(f"{path.name}.run.json").read_text())
        assert record["settings"]["upstream"] or record["settings"]["kind"] == "random_init"
        assert record["versions"]["torch"]
        assert record["device"]
        assert record["seconds"] >= 0
        assert re.fullmatch(r"[0-9a-f]{64}", record["digest"])


def test_a_changed_setting_runs_what_it_shapes_and_no_more(done: Path) -> None:
    result = snakemake(
        done,
        *("-n", "--configfile", "config/tiny.yaml"),
        *("--config", "methods={student: {mining_queue: published}}"),
    )
    assert result.returncode == 0, result.stderr
    assert jobs_of(result) == {"relational_distillation", "embed", "linear", "knn", "gather", "tables"}


def test_tables_regenerate_without_training(done: Path) -> None:
    before = (done / "results" / "tables" / "results.csv").read_bytes()
    shutil.rmtree(done / "results" / "tables")
    result = snakemake(done, "--cores", "1", "--configfile", "config/tiny.yaml")
    assert result.returncode == 0, result.stderr[-2000:]
    assert jobs_of(result) == {"gather", "tables"}
    assert (done / "results" / "tables" / "results.csv").read_bytes() == before


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_dry_run_of_every_shipped_config_without_data(project: Path, config: Path) -> None:
    files = [f"config/{path.name}" for path in files_of(config)]
    result = snakemake(project, "-n", "--quiet", "all", "--configfile", *files)
    assert result.returncode == 0, result.stderr[-2000:]


def test_missing_data_are_named_with_source_and_place(project: Path) -> None:
    result = snakemake(project, "--cores", "1", "--configfile", "config/ntu60.yaml")
    assert result.returncode != 0
    printed = result.stderr + result.stdout
    for part in ("nturgbd_skeletons_s001_to_s017.zip", "data/", "1CUZnBtYwifVXS21yVg62T-vrPVayso5H"):
        assert part in printed
    assert "Traceback" not in printed


def test_a_wrong_config_is_reported_in_one_line(project: Path) -> None:
    result = snakemake(project, "-n", "--configfile", "config/tiny.yaml", "--config", "sedes=[1]")
    assert result.returncode != 0
    printed = result.stdout + result.stderr
    assert "--config: sedes: unknown key (value [1]), did you mean 'seeds'?; allowed are benchmark, " in printed
    assert "Traceback" not in printed


def test_targets_are_listed_with_a_sentence(project: Path) -> None:
    listed = snakemake(project, "--list", "--configfile", "config/tiny.yaml")
    printed = listed.stdout + listed.stderr
    kinds = [*STAGES, *EVALUATIONS]
    for name in (
        *JOB_TYPES,
        *(f"all_{kind}" for kind in kinds),
        "data",
        "train",
        "evaluate",
        "tables",
        "tables_so_far",
    ):
        assert re.search(rf"^{name} \(.+\.\)", printed, re.MULTILINE), name
    for name, kind in JOB_TYPES.items():
        assert f"{name} ({kind.summary})" in printed


def test_style_of_the_rules() -> None:
    assert call("snakefmt", "--check", "Snakefile", "rules", cwd=ROOT).returncode == 0
    linted = call("snakemake", "--lint", cwd=ROOT)
    printed = linted.stdout + linted.stderr
    faults = re.findall(r"^\s+\* (.+?):", printed, re.MULTILINE)
    # No conda environment or container: the one environment is that of the command.
    assert set(faults) == {"Specify a conda environment or container for each rule."}, printed[-3000:]


def test_the_package_knows_nothing_of_snakemake() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.MULTILINE), path
    for path in (*(ROOT / "rules").glob("*.smk"), ROOT / "Snakefile"):
        assert "torch" not in path.read_text(), path
