"""PKU-MMD: videos, labels and splits as they come, cut into clips."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import py7zr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_support import steady, video_bytes, write_zip
from ikem.data.clips import ClipError
from ikem.data.decode import decode
from ikem.data.formats.pkummd import Instance, cut_instance, read_labels, read_split_file, read_video
from ikem.data.splits import make_split
from ikem.data.store import load_samples
from ikem.errors import InputError
from ikem.settings.data import Decode, Protocol
from ikem.synthetic.pkummd import write_pkummd
from ikem.synthetic.settings import SyntheticSettings

SPLIT = "Training videos:\n0002-L, 0002-M,\nValidataion videos:\n0003-R, \n"


def test_a_video_equals_numpy():
    data = video_bytes(20, bodies=2)
    expected = np.array([[float(x) for x in line.split()] for line in data.decode().splitlines()]).astype(np.float32)
    np.testing.assert_array_equal(read_video(data, ""), expected.reshape(20, 2, 25, 3))


@pytest.mark.parametrize("change", [b"\r\n", b" \n\n", b"\t\n"])
def test_line_ends_change_nothing(change):
    data = video_bytes(5)
    expected = read_video(data, "")
    np.testing.assert_array_equal(read_video(b"\xef\xbb\xbf" + data.replace(b" \n", change), ""), expected)
    np.testing.assert_array_equal(read_video(data.rstrip() + b"\n", ""), expected)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b" \n", b" 1.0 \n", "151 numbers"),
        (b" 0.0 \n", b" \n", "149 numbers"),
        (b" 0.0 ", b" zero ", "'zero' is not a number"),
        (b" 0.0 ", b" nan ", "not a finite number"),
        (b" 0.0 ", b" inf ", "not a finite number"),
        (b" 0.0 ", b" 1e4 ", "beyond 1000 m"),
        (b" 0.0 ", b", ", "is not a number"),
    ],
)
@pytest.mark.parametrize("line", [1, 3])
def test_bad_videos_are_reported_with_their_line(old, new, reason, line):
    lines = video_bytes(4).splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    with pytest.raises(ClipError, match=reason) as caught:
        read_video(b"".join(lines), "member")
    assert caught.value.line == line


def test_truncation_within_a_line_is_an_error():
    data = video_bytes(2)
    second = data.index(b"\n") + 1
    for size in range(second + 1, len(data) - 2):
        with pytest.raises(ClipError):
            read_video(data[:size], "")


@steady
@given(st.binary(max_size=400))
def test_any_bytes_end_in_an_error_or_nothing(content):
    try:
        assert read_video(content, "").size == 0
    except ClipError:
        assert content.strip()


def test_labels():
    labels = read_labels(b"\xef\xbb\xbf3,1,10,2\r\n51, 20, 400 ,1\n\n1,5,6,2", "")
    assert labels == [Instance(0, 2, 0, 10, 1), Instance(1, 50, 19, 400, 2), Instance(2, 0, 4, 6, 4)]


@pytest.mark.parametrize(
    "text",
    [
        "0,1,2,1",
        "\x1c1,1,2,1",
        "1,1\x0b,2,1",
        "\x1c",
        "52,1,2,1",
        "a,1,2,1",
        "1,2",
        "1,2,3",
        "1,2,3,",
        "1,2,3,4,5",
        "1,-2,3,1",
        "1.0,2,3,1",
        "1;2;3;1",
        "١,2,3,1",
        "\x00",
    ],
)
def test_bad_labels(text):
    with pytest.raises(ClipError) as caught:
        read_labels(f"1,1,2,1\n{text}\n".encode(), "member")
    assert caught.value.line == 2


def test_labels_that_are_cut_off_anywhere():
    whole = b"3,1,10,2\n7,3,258,15\n"
    expected = read_labels(whole, "")
    for size in range(len(whole)):
        try:
            labels = read_labels(whole[:size], "")
        except ClipError:
            continue
        # A file that ends with a line is whole for all that can be known; the confidence is not used.
        assert labels == expected[: len(labels)]
        assert whole[:size].rstrip().endswith((b"3,1,10,2", b"258,1", b"258,15", b"")[: 3 if size else 4])


def test_labels_that_are_no_text():
    with pytest.raises(ClipError, match="plain text"):
        read_labels(b"1,1,2,1\n\xff\xfe", "member")


@pytest.mark.parametrize(
    ("begin", "end", "first", "last"),
    [
        (0, 10, 0, 10),
        (5, 305, 5, 305),
        (5, 306, 5, 305),
        (5, 307, 6, 306),
        (100, 1000, 400, 700),
        (900, 2000, 900, 1000),
    ],
)
def test_instances_are_cut_to_the_middle(begin, end, first, last):
    video = np.arange(1, 1001, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 25, 3), np.float32)
    clip = cut_instance(video, Instance(0, 0, begin, end, 1), "")
    assert clip is not None
    assert (clip[0, 0, 0, 0], clip[-1, 0, 0, 0]) == (first + 1, last)


@pytest.mark.parametrize(("begin", "end"), [(1000, 1001), (5, 5), (6, 5), (-1, 5)])
def test_instances_beyond_the_video(begin, end):
    with pytest.raises(ClipError, match="the video 1000"):
        cut_instance(np.ones((1000, 2, 25, 3), np.float32), Instance(0, 0, begin, end, 7), "")


def test_empty_instances():
    assert cut_instance(np.zeros((50, 2, 25, 3), np.float32), Instance(0, 0, 0, 9, 1), "") is None


@pytest.mark.parametrize(
    "text",
    [
        SPLIT,
        "Training videos\n\n0002-L,0002-M\n\nTesting videos\n\n0003-R\n",
        "\ufeffTraining videos: 0002-L 0002-M\r\nTesting videos: 0003-R\r\n",
        "train\n0002-L.txt,\n0002-M.txt,\ntest\n0003-R.txt",
        "Validataion videos: \n0003-R, \nTraining videos: \n0002-L, 0002-M, \n",
        "Testing videos:\r0003-R\rTraining videos:\r0002-L\r0002-M",
    ],
)
def test_split_files(tmp_path, text):
    path = tmp_path / "split.txt"
    path.write_text(text, encoding="utf-8")
    assert read_split_file(path) == {"0002-L": "train", "0002-M": "train", "0003-R": "test"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "train\n0002-L\n",
        "train\ntest\n",
        "a\n0002-L\nb\n0003-L\n",
        "train\n0002-L\ntest\n0003-L\ntrain\n0004-L\n",
        "train\n0002-L\ntest\n0002-L\n",
        "train\n0002-L, junk\ntest\n0003-L",
        "train\n0002-L\n\n0003-\ntest\n0004-L",
        "train and test\n0002-L\ntest\n0003-L",
        "0001-L\ntrain\n0002-L\ntest\n0003-L",
        "train 0002-L\ntest 0003-L",
    ],
)
def test_bad_split_files(tmp_path, text):
    path = tmp_path / "split.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"split\.txt"):
        read_split_file(path)


def files(tmp_path, videos, labels, split=SPLIT):
    (tmp_path / "cs.txt").write_text(split)
    return {
        "skeletons": write_zip(tmp_path / "skeletons.zip", videos),
        "labels": write_zip(tmp_path / "labels.zip", labels),
        "cross_subject": tmp_path / "cs.txt",
    }


def run(tmp_path, archives, settings=Decode(max_rejected=1.0)):
    summary = decode("pkummd", "ntu25", archives, tmp_path / "decoded", settings)
    with (tmp_path / "decoded" / "rejected.csv").open(newline="") as stream:
        rejected = list(csv.DictReader(stream))
    return summary, load_samples(tmp_path / "decoded" / "samples.csv"), rejected


def test_clips_of_two_videos(tmp_path):
    videos = {"inner folder/0002-L.txt": video_bytes(40, seed=1), "inner folder/0003-R.txt": video_bytes(30, 2, seed=2)}
    labels = {"other/0002-L.txt": b"3,1,10,2\n7,15,40,2\n", "other/0003-R.txt": b"51,5,9,1\n"}
    summary, samples, rejected = run(tmp_path, files(tmp_path, videos, labels))
    assert rejected == []
    assert samples["name"].tolist() == ["0002-L_000", "0002-L_001", "0003-R_000"]
    assert samples["label"].tolist() == [2, 6, 50]
    assert samples["camera"].tolist() == [1, 1, 3]
    assert samples["frames"].tolist() == [10, 26, 5]
    assert samples["bodies"].tolist() == [1, 1, 2]
    assert samples["cross_subject"].tolist() == ["train", "train", "test"]
    assert "cross_view" not in samples
    coordinates = np.load(tmp_path / "decoded" / "coordinates.npy")
    np.testing.assert_array_equal(coordinates[10:36], read_video(videos["inner folder/0002-L.txt"], "")[14:40])
    split = make_split(samples, Protocol(column="cross_subject", train=("train",), test=("test",)))
    assert split["train"] == [0, 1]
    with pytest.raises(InputError, match="no column 'cross_view'"):
        make_split(samples, Protocol(column="cross_view", train=("train",), test=("test",)))
    assert summary["left_out"] == {}


def test_part_two_has_other_names(tmp_path):
    archives = files(
        tmp_path,
        {"A01N02-M.txt": video_bytes(40)},
        {"A01N02-M.txt": b"3,1,10,2\n4,11,20,1\n"},
        "train\nA01N02-M\ntest\nA01N03-M",
    )
    _, samples, _ = run(tmp_path, archives)
    assert samples["name"].tolist() == ["A01N02-M_000", "A01N02-M_001"]
    assert samples["camera"].tolist() == [2, 2]


def test_what_does_not_fit_is_rejected(tmp_path):
    empty = video_bytes(40, bodies=0)
    second_only = video_bytes(40, bodies=2).splitlines()
    second_only = b"\n".join(b" ".join([b"0"] * 75 + line.split()[75:]) for line in second_only) + b"\n"
    videos = {
        "0002-L.txt": video_bytes(40),
        "0002-M.txt": empty,
        "0002-R.txt": video_bytes(40)[:-30],
        "0003-L.txt": video_bytes(40),
        "0003-M.txt": second_only,
        "0004-L.txt": video_bytes(40),
        "odd.txt": video_bytes(4),
        "copy/0002-L.txt": video_bytes(4),
        "notes.md": b"",
    }
    labels = {
        "0002-L.txt": b"3,1,10,2\n3,50,60,2\n",
        "0002-M.txt": b"3,1,10,2\n3,11,20,2\n",
        "0002-R.txt": b"3,1,10,2\n",
        "0003-M.txt": b"3,1,10,2\n",
        "0004-L.txt": b"99,1,10,2\n",
        "0009-L.txt": b"3,1,10,2\n",
    }
    summary, samples, rejected = run(tmp_path, files(tmp_path, videos, labels))
    assert samples["name"].tolist() == ["0002-L_000"]
    assert summary["left_out"] == {"empty instances": 2}
    assert summary["files_ignored"] == 1
    reasons = {(row["archive"], row["member"], row["line"]): row["reason"] for row in rejected}
    assert "(line 2 of its label file)" in reasons["skeletons.zip", "0002-L.txt", "0"]
    assert "numbers, expected 150" in reasons["skeletons.zip", "0002-R.txt", "40"]
    assert "no label file" in reasons["skeletons.zip", "0003-L.txt", "0"]
    assert "first body never appears" in reasons["skeletons.zip", "0003-M.txt", "0"]
    assert "class 99" in reasons["labels.zip", "0004-L.txt", "1"]
    assert "no skeleton file" in reasons["skeletons.zip", "0009-L", "0"]
    assert "its name is not like" in reasons["skeletons.zip", "odd.txt", "0"]
    assert "another file has this name" in reasons["skeletons.zip", "copy/0002-L.txt", "0"]


def recorded(count=20, instances=10):
    """Videos and labels of `count` videos, each of so many instances."""
    names = [f"{number:04}-L.txt" for number in range(1, count + 1)]
    lines = "".join(f"{number % 3 + 1},{number + 1},{number + 4},2\n" for number in range(instances)).encode()
    return dict.fromkeys(names, video_bytes(instances + 4)), dict.fromkeys(names, lines)


TWENTY = f"train\n{', '.join(f'{number:04}-L' for number in range(1, 11))}\ntest\n0011-L, 0099-R"


@pytest.mark.parametrize("fault", ["cut video", "no video", "cut labels", "no labels", "bad name"])
def test_a_video_that_cannot_be_used_counts_as_its_clips(tmp_path, fault):
    videos, labels = recorded()
    for name in sorted(videos)[:4]:
        if fault == "cut video":
            videos[name] = videos[name][:-20]
        elif fault == "no video":
            del videos[name]
        elif fault == "cut labels":
            labels[name] = labels[name][:-3]
        elif fault == "no labels":
            del labels[name]
        else:
            videos["x" + name] = videos.pop(name)
            labels["x" + name] = labels.pop(name)
    archives = files(tmp_path, videos, labels, TWENTY)
    with pytest.raises(InputError, match=r"40 of 200 clips .* datasets\.NAME\.decode\.max_rejected \(0\.02\)"):
        run(tmp_path, archives, Decode())
    with pytest.raises(InputError, match="40 of 200 clips"):
        run(tmp_path, archives, Decode(max_rejected=0.19))
    summary, samples, rejected = run(tmp_path, archives, Decode(max_rejected=0.2))
    assert len(samples) == 160
    assert (summary["clips"], summary["rejected"]) == (160, 40)
    assert sum(int(row["clips"]) for row in rejected) == 40
    assert sum(summary["rejected_by_reason"].values()) == 40


def test_videos_in_no_list_are_counted(tmp_path, caplog):
    archives = files(tmp_path, *recorded(), TWENTY)
    summary, samples, _ = run(tmp_path, archives)
    expected = {
        "videos in neither list of cross_subject": 9,
        "videos in a list of cross_subject that are not there": 1,
    }
    assert summary["notes"] == expected
    assert json.loads((tmp_path / "decoded" / "decode.json").read_text())["notes"] == expected
    assert "videos in neither list of cross_subject: 9" in caplog.text
    split = make_split(samples, Protocol(column="cross_subject", train=("train",), test=("test",)))
    assert split["counts"] == {"train": 100, "test": 10}
    assert split["unused"] == 90


@pytest.mark.parametrize("role", ["skeletons", "labels"])
def test_absent_roles(tmp_path, role):
    archives = files(tmp_path, {"0002-L.txt": video_bytes(40)}, {"0002-L.txt": b"3,1,10,2\n"})
    del archives[role]
    with pytest.raises(InputError, match=f"role '{role}'"):
        run(tmp_path, archives)


def test_no_videos_at_all(tmp_path):
    with pytest.raises(InputError, match="no video such as"):
        run(tmp_path, files(tmp_path, {"readme.md": b""}, {"readme.md": b""}))


def test_7z_and_folder_give_the_same_as_a_zip(tmp_path):
    videos = {f"inner/{number:04}-{view}.txt": video_bytes(20, seed=number) for number in range(2, 6) for view in "RLM"}
    labels = dict.fromkeys(videos, b"3,1,10,2\n4,11,20,2\n")
    archives = files(tmp_path, videos, labels)
    results = [run(tmp_path, archives)[1], (tmp_path / "decoded" / "coordinates.npy").read_bytes()]
    for role, members in (("skeletons", videos), ("labels", labels)):
        with py7zr.SevenZipFile(tmp_path / f"{role}.7z", "w") as archive:
            for name, data in sorted(members.items(), reverse=True):
                archive.writef(io.BytesIO(data), name)
        for name, data in members.items():
            position = tmp_path / role / name
            position.parent.mkdir(parents=True, exist_ok=True)
            position.write_bytes(data)
    for kind in ("{}.7z", "{}"):
        other = {role: tmp_path / kind.format(role) for role in ("skeletons", "labels")}
        assert run(tmp_path, archives | other)[1].equals(results[0])
        assert (tmp_path / "decoded" / "coordinates.npy").read_bytes() == results[1]


def test_made_recordings(tmp_path):
    names = ("skeletons.7z", "labels.7z", "cs.txt", "cv.txt")
    archives = dict(
        zip(("skeletons", "labels", "cross_subject", "cross_view"), (tmp_path / name for name in names), strict=True)
    )
    write_pkummd(SyntheticSettings(videos=3, missing_rate=0.0), *archives.values())
    _, samples, _ = run(tmp_path, archives, Decode(max_rejected=0.1))
    for column in ("cross_subject", "cross_view"):
        split = make_split(samples, Protocol(column=column, train=("train",), test=("test",)))
        assert len(split["train"]) + len(split["test"]) == len(samples)
