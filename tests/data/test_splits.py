"""Splits, their published counts, and draws."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_support import ntu_name, skeleton_bytes, steady, write_zip
from helpers import ROOT
from ikem.data.clips import Reject
from ikem.data.decode import decode
from ikem.data.rejected import write_rejected
from ikem.data.splits import label_subset, make_split, read_label_subset, read_split, split_job
from ikem.data.store import prepare
from ikem.errors import InputError
from ikem.files import write_json
from ikem.settings.data import Counts, Decode, Prepare, Protocol
from ikem.settings.loading import build_config
from ikem.skeleton import load_skeleton
from ikem.workflow.plan import Plan


def table(count=60, classes=5):
    numbers = np.arange(count)
    return pd.DataFrame(
        {
            "name": [f"clip{number:04}" for number in numbers],
            "label": numbers % classes,
            "subject": numbers // 10 + 1,
            "camera": numbers % 3 + 1,
            "part": np.where(numbers % 4, "train", "test"),
            "frames": 10,
            "bodies": 1,
        }
    )


def test_values_that_train_and_all_others():
    split = make_split(table(), Protocol(column="subject", train=(1, 3)))
    assert split["train"] == [*range(10), *range(20, 30)]
    assert split["test"] == [*range(10, 20), *range(30, 60)]
    assert split["counts"] == {"train": 20, "test": 40}
    assert (split["complete"], split["published"]) == (True, None)


def test_values_that_neither_train_nor_test():
    split = make_split(table(), Protocol(column="camera", train=(1,), test=(3,)))
    assert set(split["train"]) | set(split["test"]) < set(range(60))
    assert (len(split["train"]), len(split["test"])) == (20, 20)


def test_clips_outside_take_no_part():
    """Subjects held out of the training cameras: clip by clip, as the table says."""
    samples = table()
    protocol = Protocol(column="subject", train=(1, 2, 3), test=(4, 5), within={"camera": (1, 2), "part": ("train",)})
    split = make_split(samples, protocol)
    for part, subjects in (("train", {1, 2, 3}), ("test", {4, 5})):
        expected = [
            index
            for index, row in samples.iterrows()
            if row["subject"] in subjects and row["camera"] != 3 and row["part"] == "train"
        ]
        assert split[part] == expected and split["counts"][part] == len(expected) > 10
    assert split["unused"] == 60 - split["counts"]["train"] - split["counts"]["test"]
    assert make_split(samples, Protocol(column="subject", train=(1,), within={"camera": ("01", 2, 3)}))["unused"] == 0


def test_other_clips_within_to_train_than_to_test():
    """Other subjects in another camera, clip by clip; what the job's digest is of, without the keys that are empty."""
    samples = table()
    protocol = Protocol(
        column="subject", train=(1, 2, 3), test=(4, 5), within={"part": ("train",)},
        train_within={"camera": (1,)}, test_within={"camera": (2, 3)},
    )  # fmt: skip
    split = make_split(samples, protocol)
    for part, subjects, cameras in (("train", {1, 2, 3}, {1}), ("test", {4, 5}, {2, 3})):
        expected = [
            index
            for index, row in samples.iterrows()
            if row["subject"] in subjects and row["camera"] in cameras and row["part"] == "train"
        ]
        assert split[part] == expected and len(expected) > 3
    assert protocol.job_settings() == protocol.model_dump()
    assert set(Protocol(column="camera", train=(1,)).job_settings()) == {"column", "train", "test", "within", "counts"}


def test_words_as_values():
    assert len(make_split(table(), Protocol(column="part", train=("train",), test=("test",)))["train"]) == 45


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(column="part", train=("train", "more"), test=("test",)),
        Protocol(column="part", train=("train",), test=("test", "more")),
        Protocol(column="part", train=("train", "more")),
    ],
)
def test_every_value_must_be_that_of_a_clip(protocol, caplog):
    with pytest.raises(InputError, match=r"no clip has the value 'more' of part\. There are test, train"):
        make_split(table(), protocol)
    assert make_split(table(), protocol, partial=True)["counts"] == {"train": 45, "test": 15}
    assert "no clip has the value 'more' of part; there are test, train" in caplog.text


@pytest.mark.parametrize(
    ("values", "wanted", "reason"),
    [
        (["007", "010"], 7, None),
        (["007", "010"], 10, None),
        (["007", "010"], "010", None),
        (["7", "10"], 7, None),
        (["-1", "10"], -1, None),
        (["007", "010"], "7", "no clip has the value '7'"),
        (["007", "010"], 8, r"no clip has the value 8 \(YAML reads 010 as 8: put it into quotes\)"),
        (["008", "010"], 8, "8 may stand for 008 or 010"),
        (["8", "010"], 8, "8 may stand for 8 or 010"),
        (["01", "1"], 1, "1 may stand for 01 or 1|1 may stand for 1 or 01"),
        (["1.1", "1.10"], "1.1", None),
        (["1.0", "2"], 1, "no clip has the value 1 of"),
        (["1_0", "x"], 10, "no clip has the value 10 of"),
        (["٧", "x"], 7, "no clip has the value 7 of"),
    ],
)
def test_numbers_stand_for_names_made_of_digits(values, wanted, reason):
    samples = table(8).assign(session=[values[number // 4] for number in range(8)], label=[0, 1] * 4)
    protocol = Protocol(column="session", train=(wanted,))
    if reason is None:
        first = 0 if str(wanted).lstrip("0") == values[0].lstrip("0") else 4
        assert make_split(samples, protocol)["train"] == [*range(first, first + 4)]
    else:
        with pytest.raises(InputError, match=reason):
            make_split(samples, protocol)


def test_numeric_columns_take_numbers_in_any_spelling():
    assert make_split(table(), Protocol(column="subject", train=("01", "3")))["counts"]["train"] == 20


def test_labels_beyond_the_classes():
    samples = table().assign(label=lambda frame: frame["label"] % 3 + 1)
    with pytest.raises(InputError, match="have a label beyond the dataset's 3 class_names, the highest is 3"):
        make_split(samples, Protocol(column="subject", train=(1, 3)), classes=3)
    with pytest.raises(InputError, match="beyond the dataset's 3 class_names"):
        make_split(samples, Protocol(column="subject", train=(1, 3)), partial=True, classes=3)


@pytest.mark.parametrize(("classes", "partial"), [(4, True), (None, False)])
def test_classes_without_a_clip_are_logged(classes, partial, caplog):
    samples = table().assign(label=lambda frame: frame["label"] % 3 + 1)
    make_split(samples, Protocol(column="subject", train=(1, 3)), partial, classes)
    assert "1 of 4 classes have no clip: labels 0" in caplog.text
    caplog.clear()
    make_split(table(), Protocol(column="subject", train=(1, 3)), partial, classes and 5)
    assert caplog.text == ""


@pytest.mark.parametrize(("classes", "empty"), [(6, "1 of 6 classes have no clip: labels 5"), (5, None)])
def test_as_many_class_names_as_classes(classes, empty):
    protocol = Protocol(column="subject", train=(1, 3))
    if empty is None:
        assert make_split(table(), protocol, classes=classes)["complete"]
    else:
        with pytest.raises(InputError, match=empty):
            make_split(table(), protocol, classes=classes)


def test_so_many_classes_may_have_no_clip(caplog):
    protocol = Protocol(column="subject", train=(1, 3))
    assert make_split(table(), protocol, classes=7, absent_classes=2)["complete"]
    assert "2 of 7 classes have no clip: labels 5, 6" in caplog.text
    with pytest.raises(InputError, match="3 of 8 classes have no clip"):
        make_split(table(), protocol, classes=8, absent_classes=2)


def test_pkummd2_has_41_of_the_51_classes():
    entry = {"dataset": "pkummd2", "protocols": ["xsub"], "methods": ["random"], "evaluations": ["linear"]}
    settings = (
        Plan(build_config({"benchmark": [entry]})).job("split", {"dataset": "pkummd2", "protocol": "xsub"}).settings
    )
    assert (settings["classes"], settings["absent_classes"]) == (51, 10)
    samples = table(classes=41).assign(cross_subject=lambda frame: frame["part"])
    protocol = Protocol(**settings["protocol"])
    assert make_split(samples, protocol, False, settings["classes"], absent_classes=settings["absent_classes"])[
        "complete"
    ]


def test_rejected_clips_are_not_called_absent(tmp_path):
    names = [ntu_name(5, c, p, r, a) for c in (1, 2, 3) for p in (1, 3) for r in (1, 2) for a in range(1, 61)]
    lost = names.pop(77)
    absent = names.pop(99)
    member = f"nturgb+d_skeletons/{lost}.skeleton"
    write_rejected(tmp_path / "rejected.csv", [Reject("part.zip", member, 17, "the file ends in frame 1")])
    protocol = Protocol(column="subject", train=(1,), counts=Counts(train=360, test=360))
    with pytest.raises(InputError) as caught:
        make_split(ntu_table(names), protocol, rejected=tmp_path / "rejected.csv")
    message = str(caught.value)
    assert f"1 files were rejected when they were decoded ({tmp_path / 'rejected.csv'})" in message
    assert f"{member}: line 17: the file ends in frame 1" in message
    assert f"1 absent of the setups and performers that are there, such as {absent}" in message
    assert lost not in message.split("absent of")[1]


def test_numbers_and_words_are_the_same():
    assert make_split(table(), Protocol(column="subject", train=("1",))) == make_split(
        table(), Protocol(column="subject", train=(1,))
    )


@pytest.mark.parametrize(
    ("protocol", "reason"),
    [
        (Protocol(column="setup", train=(1,)), "no column 'setup'"),
        (Protocol(column="subject", train=(99,)), "no clip has the value 99 of subject. There are 1, 2, 3"),
        (Protocol(column="subject", train=(1,), test=(99,)), "no clip has the value 99 of subject"),
        (Protocol(column="subject", train=(1, 2, 3, 4, 5, 6)), "no clip tests"),
        (Protocol(column="subject", train=(1,), within={"setup": (1,)}), "no column 'setup'"),
        (
            Protocol(column="subject", train=(1,), within={"camera": (1, 7)}),
            "within.camera: no clip has the value 7 of",
        ),
        (
            Protocol(column="subject", train=(1,), test_within={"camera": (1, 7)}),
            "test_within.camera: no clip has the value 7 of",
        ),
        (Protocol(column="subject", train=(1,), train_within={"setup": (1,)}), "no column 'setup'"),
        (Protocol(column="subject", train=(1,), within={"subject": (2, 3)}), "no clip trains"),
        (Protocol(column="subject", train=(1,), train_within={"subject": (2, 3)}), "no clip trains"),
        (Protocol(column="label", train=(1,)), "one class only"),
        (Protocol(column="subject", train=(1,), test=(1, 2)), "both trains and tests"),
    ],
)
def test_splits_that_cannot_be(protocol, reason):
    with pytest.raises(InputError, match=reason):
        make_split(table(), protocol)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_without_clips_is_an_error_even_if_partial(part):
    protocol = Protocol(column="subject", **{"train": (1,), "test": (2,), part: (99,)})
    with pytest.raises(InputError, match=f"no clip {part}s: values of subject are 1, 2, 3"):
        make_split(table(), protocol, partial=True)


def test_counts_that_agree():
    protocol = Protocol(column="subject", train=(1,), counts=Counts(train=10, test=50))
    split = make_split(table(), protocol)
    assert split["complete"]
    assert split["published"] == {"train": 10, "test": 50}


def test_counts_that_differ_are_an_error_unless_partial():
    protocol = Protocol(column="subject", train=(1,), counts=Counts(train=12, test=45))
    with pytest.raises(InputError) as caught:
        make_split(table(), protocol)
    assert "10 clips to train on, published are 12: 2 missing" in str(caught.value)
    assert "50 clips to test on, published are 45: 5 extra" in str(caught.value)
    assert "partial: true" in str(caught.value)
    split = make_split(table(), protocol, partial=True)
    assert split["complete"] is False
    assert split["counts"] == {"train": 10, "test": 50}
    assert split["published"] == {"train": 12, "test": 45}


def ntu_table(names):
    frame = pd.DataFrame({"name": names, "frames": 1, "bodies": 1})
    for column, first in (("setup", 1), ("camera", 5), ("subject", 9), ("replication", 13), ("label", 17)):
        frame[column] = frame["name"].str[first : first + 3].astype(int) - (column == "label")
    return frame


def test_absent_and_extra_ntu_clips_are_named():
    names = [ntu_name(5, c, p, r, a) for c in (1, 2, 3) for p in (1, 3) for r in (1, 2) for a in range(1, 61)]
    names.remove(ntu_name(5, 2, 3, 1, 17))
    names.append(ntu_name(5, 4, 3, 1, 17))
    names.append("S001C002P005R002A008")  # on the list of missing skeletons
    protocol = Protocol(column="subject", train=(1,), counts=Counts(train=360, test=360))
    with pytest.raises(InputError) as caught:
        make_split(ntu_table(sorted(names)), protocol)
    message = str(caught.value)
    assert "S005C002P003R001A017" in message.split("that should not be there")[0] or "absent" in message
    assert "S005C004P003R001A017" in message
    assert "1 of them are on the list of missing skeletons" in message
    assert "5 (2 performers)" in message


def test_splits_are_read_back(tmp_path):
    split = make_split(table(), Protocol(column="subject", train=(1,)))
    write_json(tmp_path / "split.json", split)
    assert read_split(tmp_path / "split.json") == split


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"train": [1], "test": []}',
        '{"train": ["a"], "test": [1]}',
        '{"train": [-1], "test": [1]}',
        '{"train": [true], "test": [1]}',
    ],
)
def test_files_that_are_no_split(tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(InputError, match=r"split\.json"):
        read_split(tmp_path / "split.json")


def test_draws_of_each_class():
    samples = table(600, 6)
    samples.loc[samples.index[-5:], "label"] = 6  # a class of five clips
    names = label_subset(samples, range(600), 0.1, 0)
    labels = samples.set_index("name")["label"][names]
    assert labels.value_counts().sort_index().tolist() == [10, 10, 10, 10, 10, 10, 1]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("clips", "fraction", "amount"),
    [(419, 0.01, 4), (40, 0.01, 1), (50, 0.01, 1), (150, 0.01, 2), (100, 0.29, 29), (5, 0.5, 3), (3, 0.1, 1)],
)
def test_amounts_per_class_round_halves_up(clips, fraction, amount):
    assert len(label_subset(table(clips, 1), range(clips), fraction, 0)) == amount


@pytest.mark.parametrize(
    ("clips", "fraction", "amount"), [(40091, 0.01, 400), (40091, 0.1, 4009), (100, 0.29, 29), (10, 0.01, 1)]
)
def test_uniform_amounts_are_whole_parts(clips, fraction, amount):
    assert len(label_subset(table(clips, 60), range(clips), fraction, 0, "uniform")) == amount


def test_only_training_clips_are_drawn_and_draws_differ():
    samples, train = table(600), range(0, 600, 2)
    allowed = set(samples["name"].iloc[list(train)])
    draws = [label_subset(samples, train, 0.1, number) for number in range(3)]
    assert all(set(names) <= allowed for names in draws)
    assert len({tuple(names) for names in draws}) == 3
    assert label_subset(samples, train, 0.1, 1) == draws[1]


@pytest.mark.parametrize("sampling", ["per-class", "uniform"])
def test_draws_are_nested_and_do_not_depend_on_order(sampling):
    samples = table(600)
    small, large = (label_subset(samples, range(600), fraction, 0, sampling) for fraction in (0.01, 0.1))
    assert set(small) < set(large)
    shuffled = samples.sample(frac=1, random_state=1).reset_index(drop=True)
    assert set(label_subset(shuffled, range(600), 0.1, 0, sampling)) == set(large)


def test_a_draw_can_be_made_elsewhere_from_names_alone():
    samples = table(100, 1)
    ranked = sorted(samples["name"], key=lambda name: hashlib.sha256(f"7/{name}".encode()).hexdigest())
    assert label_subset(samples, range(100), 0.1, 7) == sorted(ranked[:10])


@steady
@given(st.integers(1, 80), st.integers(1, 6), st.floats(0.001, 0.999), st.integers(0, 9))
def test_draws_have_every_class(clips, classes, fraction, number):
    samples = table(clips, classes)
    names = label_subset(samples, range(clips), fraction, number)
    assert set(samples.set_index("name")["label"][names]) == set(samples["label"])
    assert len(set(names)) == len(names) <= clips


def test_draw_files(tmp_path):
    path = tmp_path / "draw.txt"
    path.write_text("a\n; touch x")
    with pytest.raises(InputError, match="is cut off"):
        read_label_subset(path)
    path.write_text("a\n; touch x\n")
    assert read_label_subset(path) == ["a", "; touch x"]
    path.write_text("")
    with pytest.raises(InputError, match="names no clip"):
        read_label_subset(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_label_subset(tmp_path / "none.txt")


def dataset(name):
    block = {"dataset": name, "protocols": ["xsub"], "methods": ["random"], "evaluations": ["linear"]}
    return build_config({"benchmark": [block]}).datasets[name]


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "src/ikem/datasets").glob("*.yaml")))
def test_what_is_known_of_the_datasets(name):
    known = dataset(name)
    assert (
        len(set(known.class_names))
        == len(known.class_names)
        == {"ntu60": 60, "ntu120": 120, "nwucla": 10}.get(name, 51)
    )
    assert known.archives
    for archive in known.archives.values():
        assert archive.google_drive is None or (archive.terms and archive.md5 and not archive.terms_accepted)


def test_published_numbers():
    def counts(name):
        return {
            key: (value.counts.train, value.counts.test)
            for key, value in dataset(name).protocols.items()
            if value.counts
        }

    assert counts("ntu60") == {"xsub": (40091, 16487), "xview": (37646, 18932)}
    assert counts("ntu120") == {"xsub": (63026, 50919), "xset": (54468, 59477)}
    assert counts("nwucla") == {"xview": (1020, 464), "xsub": (724, 760)}
    assert counts("pkummd1") == {"xsub": (18841, 2704)}
    assert counts("pkummd2") == {}


def split_of(tmp_path, protocol, classes=None, partial=False):
    """Prepare what is decoded, and run the job that splits it."""
    prepare(tmp_path / "decoded", tmp_path / "prepared", load_skeleton("ntu25"), Prepare(frames=8))
    settings = {"protocol": protocol.model_dump(mode="json"), "partial": partial, "classes": classes}
    job = SimpleNamespace(settings=settings, output=tmp_path / "splits" / "xsub.json")
    split_job(job, tmp_path / "prepared" / "position.npy")
    return read_split(job.output)


def decode_clips(tmp_path, members, settings=None):
    write_zip(tmp_path / "part.zip", members)
    decode("ntu", "ntu25", {"zip": tmp_path / "part.zip"}, tmp_path / "decoded", settings, "ntu_missing_skeletons")


def test_a_clip_that_was_cut_off_is_rejected_not_absent(tmp_path):
    clip = skeleton_bytes((1,))
    names = [ntu_name(1, c, p, r, a) for p in (1, 3) for c in (1, 2, 3) for r in (1, 2) for a in range(1, 61)]
    members = dict.fromkeys((f"nturgb+d_skeletons/{name}.skeleton" for name in names), clip)
    lost = "nturgb+d_skeletons/S001C002P001R001A030.skeleton"
    members[lost] = clip[: len(clip) // 2]
    decode_clips(tmp_path, members)
    protocol = Protocol(column="subject", train=(1,), counts=Counts(train=360, test=360))
    with pytest.raises(InputError) as caught:
        split_of(tmp_path, protocol)
    message = str(caught.value)
    assert "359 clips to train on, published are 360: 1 missing" in message
    assert "1 files were rejected when they were decoded" in message
    assert f"{lost}: line 17: " in message
    assert "Nothing is absent of the 2 pairs of setup and performer" in message
    assert not (tmp_path / "splits").exists()


def test_a_folder_of_ntu60_with_clips_of_ntu120(tmp_path):
    names = [ntu_name(1, performer=p, action=a) for p in (1, 2) for a in (1, 2, 3)]
    names += [ntu_name(20, performer=p, action=a) for p in (6, 7) for a in (61, 70)]
    members = dict.fromkeys((f"{name}.skeleton" for name in names), skeleton_bytes((1,)))
    protocol = Protocol(column="subject", train=(1, 2, 6))
    decode_clips(tmp_path, members)
    with pytest.raises(InputError, match="4 clips have a label beyond the dataset's 60 class_names, the highest is 69"):
        split_of(tmp_path, protocol, classes=60, partial=True)
    decode_clips(tmp_path, members, Decode(setups=(1, 17)))
    split = split_of(tmp_path, Protocol(column="subject", train=(1,)), classes=60, partial=True)
    assert split["counts"] == {"train": 3, "test": 3}


def test_class_names_shifted_by_one(tmp_path):
    folder = Path(__file__).parent / "failing_inputs" / "b1-shifted-class-names"
    samples = pd.read_csv(folder / "samples.csv").assign(bodies=1)
    with pytest.raises(InputError, match="a label beyond the dataset's 3 class_names, the highest is 3"):
        make_split(samples, Protocol(column="subject", train=(1, 2, 3, 4)), classes=3)
