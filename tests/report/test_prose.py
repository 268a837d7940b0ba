"""The sentences of the report follow from the config."""

from ikem.report.datasets import DatasetCounts
from ikem.report.labels import naming_of
from ikem.report.prose import describe
from ikem.settings.loading import build_config


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
    assert words["Method"][0].endswith("Encoder: ST-GCN 16/256, one for each of joint, motion, bone.")
    assert words["Data"] == [
        "NTU RGB+D 60: recordings as their owners publish them, 50 frames a clip; 100 clips were read, 3 could not be, "
        "2 were left out on purpose."
    ]
    assert words["Split"] == [
        "NTU RGB+D 60 xsub: by subject; 20 of its values train: 60 training clips, 40 test clips."
    ]
    assert "300 epochs, batches of 128, SGD, learning rate 0.1, lowered after epoch 250" in words["Schedule"][0]
    assert words["Schedule"][-1] == "Seeds 0, 1."
