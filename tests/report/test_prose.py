"""The sentences of the report follow from the config."""

from dataclasses import replace
from pathlib import Path

import pytest

from ikem.report.datasets import DatasetCounts
from ikem.report.labels import naming_of
from ikem.report.prose import describe
from ikem.report.records import read_records
from ikem.settings.loading import build_config
from report_samples import write_run

CONFIG = {"benchmark": [{"dataset": "ntu60", "protocols": ["xsub"], "methods": ["random"], "evaluations": ["linear"]}]}


def test_sentences_say_what_was_done() -> None:
    config = build_config({
        "seeds": [0, 1],
        "benchmark": [{"dataset": "ntu60", "protocols": ["xsub"], "methods": ["skeletonclr", "student"],
                       "evaluations": ["linear"]}],
    })  # fmt: skip
    counts = [DatasetCounts("ntu60", "NTU", 100, 3, {"damaged": 3}, {"no body": 2},
                            {"xsub": {"train": 60, "test": 40, "unused": 0}})]  # fmt: skip
    words = describe(config, naming_of(config), counts, [])
    assert list(words) == ["Method", "Data", "Split", "Schedule"], "nothing is known of hardware"
    assert words["Method"][0].startswith("SkeletonCLR: ")
    assert words["Method"][0].endswith("Encoder: ST-GCN 16/256, one for each modality: joint, motion, bone.")
    assert words["Data"] == [
        "NTU RGB+D 60: recordings as their owners publish them, 50 frames a clip; 100 clips; 3 more could not be read; "
        "2 more were left out on purpose (no body)."
    ]
    assert words["Split"] == [
        "NTU RGB+D 60 xsub: clips of subjects 1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38 "
        "train, all others test: 60 training clips, 40 test clips."
    ]
    assert "300 epochs, batches of 128, SGD, learning rate 0.1, lowered after epoch 250" in words["Schedule"][0]
    assert "learn alone for the first 150 epochs. Queue of 32768 keys, temperature 0.07" in words["Schedule"][0]
    assert words["Schedule"][-1] == "Seeds 0, 1."


def test_a_method_without_a_queue_and_a_second_stage_has_none_in_words() -> None:
    block = {"dataset": "ntu60", "protocols": ["xsub"], "methods": ["pstl"], "evaluations": ["linear"]}
    config = build_config({"benchmark": [block]})
    assert describe(config, naming_of(config), [], [])["Schedule"][0] == (
        "PSTL: 150 epochs, batches of 128, ADAM, learning rate 0.005 after 10 epochs of warm-up, lowered by half a "
        "cosine; computed in float32."
    )


def test_entries_that_are_one_row_are_described_once() -> None:
    """With the modalities of both; what has a schedule of its own says so, and one modality is one."""
    config = build_config({
        "methods": {"floor": {"kind": "random_init", "title": "Floor", "modalities": ["motion"]},
                    "floor-joint": {"kind": "random_init", "title": "Floor", "modalities": ["joint"]},
                    "ceiling": {"kind": "supervised", "title": "Ceiling", "modalities": ["joint"]}},
        "benchmark": [{"dataset": "ntu60", "protocols": ["xview"], "methods": ["floor", "floor-joint", "ceiling"],
                       "evaluations": ["linear"]}],
    })  # fmt: skip
    words = describe(config, naming_of(config), [], [])
    assert len(words["Method"]) == 2
    assert words["Method"][0].endswith("Encoder: ST-GCN 16/256, one for each modality: joint, motion.")
    assert words["Method"][1].endswith("Encoder: ST-GCN 16/256, for the modality joint.")
    assert words["Split"] == ["NTU RGB+D 60 xview: clips of cameras 2, 3 train, those of camera 1 test."]
    assert words["Schedule"][0].startswith("Ceiling, by a schedule of its own: ")


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        ({"column": "cross_subject", "train": ["train"]}, "cross subject, by the dataset's own list."),
        ({"column": "subject", "train": [*range(53)]}, "clips of 53 subjects train, all others test."),
        (
            {"column": "subject", "train": [1], "test": [2, 3], "within": {"camera": [4]}},
            "clips of subject 1 train, those of subjects 2, 3 test, only those of camera 4.",
        ),
    ],
)
def test_splits(protocol: dict[str, object], text: str) -> None:
    config = build_config({
        "datasets": {"ntu60": {"protocols": {"own": protocol}}},
        "benchmark": [{"dataset": "ntu60", "protocols": ["own"], "methods": ["random"], "evaluations": ["linear"]}],
    })  # fmt: skip
    assert describe(config, naming_of(config), [], [])["Split"] == [f"NTU RGB+D 60 own: {text}"]


def test_reasons_are_said_as_a_person_says_them() -> None:
    counts = DatasetCounts("d", "D", 9, 3, {"cut off": 2, "no clip": 1}, {"empty instances": 1})
    assert counts.line[2:4] == ("3 (2: cut off; 1: no clip)", "1 (without any body)")


def test_jobs_side_by_side_took_less_than_their_times_added_up(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / f"{number}.run.json", number) for number in range(2)]
    config = build_config(CONFIG)
    records, _ = read_records(paths)
    words = describe(config, naming_of(config), [], records)
    assert words["Hardware"] == ["2 jobs on a CPU: 25 min 1 s added up, 12 min 30 s from the first to the last."]
    unknown = [replace(records[0], started="")]
    assert describe(config, naming_of(config), [], unknown)["Hardware"] == ["1 job on a CPU: 12 min 30 s added up."]
