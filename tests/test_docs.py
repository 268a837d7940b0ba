"""Snippets of README and docs, run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from helpers import ROOT
from ikem.methods.registry import METHODS
from ikem.settings.loading import build_config
from job_support import Workshop

PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def test_arrays_are_used_without_this_code(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workshop.folder)
    snippet = blocks("data.md", "python")[0].replace("results/ntu60/ntu60", "results/tiny")
    names: dict[str, object] = {}
    exec(snippet, names)
    x, y = names["x"], names["y"]
    assert isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
    assert x.shape[1:] == (3, 16, 25, 2)
    assert len(x) == len(y) > 5
    assert y.dtype.kind == "i"


def test_an_encoder_in_three_lines(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workshop.folder)
    (member, *_), archive = recordings(workshop)
    (workshop.folder / "clip.skeleton").write_bytes(archive.read(member))
    names: dict[str, object] = {}
    exec(blocks("use.md", "python")[0].replace("results/demo", "results/tiny"), names)
    x = names["x"]
    assert isinstance(x, np.ndarray) and x.shape == (1, 3 * 8) and x.any()


def recordings(workshop: Workshop) -> tuple[list[str], zipfile.ZipFile]:
    """Raw files of clips that train and test, and their archive."""
    known = set(pd.read_csv(workshop.results / "tiny" / "prepared" / "samples.csv")["name"])
    archive = zipfile.ZipFile(workshop.results / "tiny" / "raw" / "skeletons.zip")
    return [name for name in archive.namelist() if Path(name).stem in known], archive


def test_the_configs_of_the_readme_are_valid(tmp_path: Path) -> None:
    further, values = (yaml.safe_load(block) for block in blocks("README.md", "yaml"))
    listed = build_config(further)
    kinds = {listed.methods[name].kind for name in listed.benchmark[0].methods}
    assert kinds >= METHODS.keys() - {"crossclr", "relational_distillation"}  # which those of real data have
    skeleton = tmp_path / "skeleton.yaml"
    skeleton.write_text(blocks("data.md", "yaml")[0])
    values["datasets"]["mine"]["skeleton"] = str(skeleton)
    assert build_config(values).methods["ikem-joint-motion"].modalities == ("joint", "motion")


def test_bring_your_own(tmp_path: Path) -> None:
    """The skeleton, the config and the script of docs/data.md, to a table."""
    skeleton, config = blocks("data.md", "yaml")
    (tmp_path / "mine.yaml").write_text(skeleton)
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / "small.yaml").write_text(
        "datasets: {mine: {prepare: {frames: 16}}}\n"
        "methods: {random: {modalities: [joint, bone]}}\n"
        "benchmark: [{dataset: mine, protocols: [odd], methods: [random], evaluations: [knn-1]}]\n"
    )
    (tmp_path / "data" / "mine").mkdir(parents=True)
    generator = np.random.default_rng(0)
    clips = [generator.normal(size=(count, 5, 3)).cumsum(axis=0) for count in (20, 30, 25, 40, 22, 31)]
    written = [
        "import numpy as np, pandas as pd",
        "loaded = np.load('clips.npz')",
        "clips = [loaded[name] for name in loaded.files]",
        "names, labels = [f'clip{n}' for n in range(6)], [0, 1, 0, 1, 0, 1]",
        "places = ['here'] * 4 + ['there'] * 2",
        blocks("data.md", "python")[1],
    ]
    np.savez(tmp_path / "clips.npz", *clips)
    run(tmp_path, "-c", "\n".join(written))
    run(tmp_path, "-m", "ikem", "run", "config.yaml", "small.yaml")
    (table,) = tmp_path.rglob("results.csv")
    assert set(pd.read_csv(table)["streams"]) == {"joint", "bone", "joint+bone"}


def run(folder: Path, *arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("page", PAGES)
def test_files_that_pages_name_exist(page: str) -> None:
    """Paths of the repository in code, and targets of links."""
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    paths = re.findall(r"`((?:src|tests|config|rules|profiles|benchmarks|docs)/[\w./-]*\w)`", text)
    paths += re.findall(r"--configfile (config/\S+\.yaml)|ikem \w+ (config/\S+\.yaml)", PAGES[page])
    folder = ROOT if page == "README.md" else ROOT / "docs"
    named = [ROOT / path for found in paths for path in ([found] if isinstance(found, str) else found) if path]
    named += [folder / target for target in re.findall(r"\]\(([\w./-]+\.\w+)(?:#[\w-]+)?\)", text)]
    added = {
        "config/mine.yaml",
        "src/ikem/methods/simclr",
        "src/ikem/encoders/points",
        "src/ikem/evaluations/class_mean",
    }
    printed = tuple(str(ROOT / name) for name in added)
    missing = [str(path) for path in named if not path.exists() and not str(path).startswith(printed)]
    assert missing == []
