"""The published numbers of clips, from generated archives that have all names of the real ones."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest

from data_support import ntu_name, skeleton_bytes
from ikem.data.decode import decode
from ikem.data.splits import label_subset, make_split
from ikem.data.store import load_samples
from ikem.errors import InputError
from ikem.settings.data import Decode
from ikem.settings.loading import build_config

BLOCK = {"protocols": ["xsub"], "methods": ["random"], "evaluations": ["linear"]}
DATASETS = build_config({"benchmark": [{"dataset": name, **BLOCK} for name in ("ntu60", "ntu120")]}).datasets
CLIP = skeleton_bytes((1,))


def pairs() -> list[set[tuple[int, int]]]:
    """(setup, performer) of both archives."""
    with (Path(__file__).parent / "failing_inputs/b15-ntu-setup-performer-pairs/pairs.csv").open() as stream:
        known = [(int(row["setup"]), int(row["performer"])) for row in csv.DictReader(stream)]
    return [{pair for pair in known if (pair[0] <= 17) == first} for first in (True, False)]


def names(part: set[tuple[int, int]]) -> list[str]:
    return [
        ntu_name(setup, camera, performer, replication, action + (60 if setup > 17 else 0))
        for setup, performer in part
        for camera in (1, 2, 3)
        for replication in (1, 2)
        for action in range(1, 61)
    ]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ntu")
    paths = {}
    for role, part in zip(DATASETS["ntu120"].archives, pairs(), strict=True):
        paths[role] = folder / f"{role}.zip"
        with zipfile.ZipFile(paths[role], "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in names(part):
                archive.writestr(f"nturgb+d_skeletons/{name}.skeleton", CLIP)
    return paths


@pytest.fixture(scope="module")
def samples(archives, tmp_path_factory):
    tables = {}
    for name in ("ntu60", "ntu120"):
        dataset = DATASETS[name]
        folder = tmp_path_factory.mktemp(name)
        raw = {role: archives[role] for role in dataset.archives}
        decode(dataset.format, dataset.skeleton, raw, folder, Decode(), dataset.missing_list)
        tables[name] = load_samples(folder / "samples.csv")
        (folder / "coordinates.npy").unlink()
    return tables


@pytest.mark.parametrize(
    ("name", "protocol"), [("ntu60", "xsub"), ("ntu60", "xview"), ("ntu120", "xsub"), ("ntu120", "xset")]
)
def test_published_counts(samples, name, protocol):
    settings = DATASETS[name].protocols[protocol]
    split = make_split(samples[name], settings)
    assert split["complete"]
    assert split["counts"] == settings.counts.model_dump()
    assert sorted(split["train"] + split["test"]) == list(range(len(samples[name])))


def test_published_label_subsets(samples):
    def drawn(name, protocol, sampling):
        train = make_split(samples[name], DATASETS[name].protocols[protocol])["train"]
        return len(label_subset(samples[name], train, 0.01, 0, sampling))

    grid = [("ntu60", "xsub"), ("ntu60", "xview"), ("ntu120", "xsub"), ("ntu120", "xset")]
    assert [drawn(*key, "per-class") for key in grid] == [419, 360, 659, 540]
    assert [drawn(*key, "uniform") for key in grid[:2]] == [400, 376]


def test_a_lost_clip_is_named(samples):
    table = samples["ntu60"]
    lost = table["name"].iloc[4711]
    with pytest.raises(InputError) as caught:
        make_split(table.drop(index=4711), DATASETS["ntu60"].protocols["xsub"])
    assert "1 missing" in str(caught.value)
    assert lost in str(caught.value)
    assert make_split(table.drop(index=4711), DATASETS["ntu60"].protocols["xsub"], partial=True)["complete"] is False


def test_one_archive_of_two_is_reported(samples):
    with pytest.raises(InputError, match="missing") as caught:
        make_split(samples["ntu60"], DATASETS["ntu120"].protocols["xset"])
    assert "Nothing is absent of the 158 pairs" in str(caught.value)


def test_a_list_that_was_not_applied_is_reported(archives, tmp_path):
    raw = {"skeletons": archives["s001_to_s017"]}
    decode("ntu", "ntu25", raw, tmp_path, Decode(), None)
    table = load_samples(tmp_path / "samples.csv")
    assert len(table) == 56880
    with pytest.raises(InputError, match="302 of them are on the list of missing skeletons"):
        make_split(table, DATASETS["ntu60"].protocols["xsub"])
