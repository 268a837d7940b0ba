"""From archives to decoded clips: what comes out, in which order, and what happens to clips that cannot be used."""

from __future__ import annotations

import csv
import json
import random
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_support import ntu_members, ntu_name, plain_read, skeleton_bytes, write_zip
from ikem.data import decode as module
from ikem.data.clips import read_name_list
from ikem.data.decode import FILES, decode
from ikem.data.store import load_samples
from ikem.errors import InputError
from ikem.settings.data import Decode
from ikem.settings.loading import build_config
from ikem.synthetic.ntu import clips, write_ntu
from ikem.synthetic.settings import SyntheticSettings

LENIENT = Decode(max_rejected=1.0)


def run(tmp_path, archives, settings=LENIENT, **more):
    if not isinstance(archives, dict):
        archives = {"skeletons": archives}
    return decode("ntu", "ntu25", archives, tmp_path / "decoded", settings, **more)


def read(tmp_path):
    folder = tmp_path / "decoded"
    with (folder / "rejected.csv").open(newline="") as stream:
        rejected = list(csv.DictReader(stream))
    return np.load(folder / "coordinates.npy"), load_samples(folder / "samples.csv"), rejected


def test_made_recordings_come_back_as_they_were_made(tmp_path):
    settings = SyntheticSettings(performers=(1, 2), cameras=2, missing_rate=0.1, spurious_rate=0.3)
    write_ntu(settings, tmp_path / "a.zip", tmp_path / "missing.txt")
    summary = run(tmp_path, {"skeletons": tmp_path / "a.zip", "missing_list": tmp_path / "missing.txt"}, Decode())
    coordinates, samples, rejected = read(tmp_path)
    made = dict(clips(settings))
    assert sorted(made) == samples["name"].tolist()
    assert rejected == []
    missing = read_name_list(tmp_path / "missing.txt")
    assert summary["left_out"] == {"missing list": len(missing)}
    assert settings.clip_count == len(missing) + len(samples)
    for sample in samples.itertuples():
        clip = coordinates[sample.start : sample.start + sample.frames]
        np.testing.assert_array_equal(clip, made[sample.name])
        assert sample.bodies == made[sample.name].any(axis=(0, 2, 3)).sum()
        assert (
            ntu_name(sample.setup, sample.camera, sample.subject, sample.replication, sample.label + 1) == sample.name
        )


def test_files_and_summary(tmp_path):
    write_zip(
        tmp_path / "a.zip", ntu_members(4, **{"readme.txt": b"hello", "__MACOSX/._S001C001P001R001A001.skeleton": b"x"})
    )
    summary = run(tmp_path, tmp_path / "a.zip")
    assert sorted(path.name for path in (tmp_path / "decoded").iterdir()) == sorted(FILES)
    assert summary == json.loads((tmp_path / "decoded" / "decode.json").read_text())
    assert summary["clips"] == 4
    assert summary["files_ignored"] == 2
    coordinates = np.load(tmp_path / "decoded" / "coordinates.npy", mmap_mode="r")
    assert coordinates.dtype == np.dtype("<f4")
    assert coordinates.flags.c_contiguous
    assert coordinates.shape == (summary["frames"], 2, 25, 3)


@pytest.mark.parametrize("seed", range(3))
def test_order_is_by_name_whatever_the_archive(tmp_path, seed):
    members = ntu_members(9)
    names = [f"some/folder {random.Random(seed).random()}/{name}" for name in members]
    random.Random(seed).shuffle(names)
    write_zip(tmp_path / "a.zip", {name: members[name.rsplit("/", 1)[1]] for name in names})
    run(tmp_path, tmp_path / "a.zip")
    coordinates, samples, _ = read(tmp_path)
    assert samples["name"].tolist() == sorted(samples["name"])
    assert samples["start"].tolist() == (samples["frames"].cumsum() - samples["frames"]).tolist()
    for sample in samples.itertuples():
        expected = plain_read(members[f"{sample.name}.skeleton"])
        np.testing.assert_array_equal(coordinates[sample.start :][: sample.frames], expected)


def test_zip_folder_and_7z_give_the_same_bytes(tmp_path):
    import py7zr

    members = ntu_members(7)
    folder = tmp_path / "folder"
    folder.mkdir()
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        for name in sorted(members, reverse=True):  # so that the clips come in another order than that of names
            (folder / name).write_bytes(members[name])
            archive.write(folder / name, name)
    results = []
    for path in (write_zip(tmp_path / "a.zip", members), folder, tmp_path / "a.7z"):
        run(tmp_path, path)
        results.append([(tmp_path / "decoded" / name).read_bytes() for name in FILES])
    assert results[0] == results[1] == results[2]


def test_any_number_of_processes_gives_the_same_bytes(tmp_path, monkeypatch):
    members = ntu_members(40, **{"S001C001P009R001A001.skeleton": b"bad", "oddname.skeleton": b"bad"})
    write_zip(tmp_path / "a.zip", members)
    monkeypatch.setattr(module, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr("ikem.data.formats.base.TASK_MEMBERS", 7)
    results = []
    for processes in (1, 2):
        run(tmp_path, tmp_path / "a.zip", processes=processes)
        results.append([(tmp_path / "decoded" / name).read_bytes() for name in FILES])
    assert results[0] == results[1]


BAD = {
    "S001C001P009R001A001.skeleton": (b"2\n1\n", "cut off"),
    "S001C001P009R001A002.skeleton": (b"", "empty"),
    "S001C001P009R001A003.skeleton": (b"0\n", "no frames"),
    "S001C001P009R001A004.skeleton": (b"3\n0\n0\n0\n", "first body never appears"),
    "S001C001P009R001A005.skeleton": (skeleton_bytes((1,)).replace(b" ", b" nan ", 1), ""),
    "S001C001P009R001A006.skeleton": (skeleton_bytes((1, 1), joints=20), "20 joints"),
    "S001C001P009R001A007.skeleton": (skeleton_bytes((1,)).decode().encode("utf-16"), "UTF-16"),
    "S001C001P009R001A008.skeleton": (b"1000000000\n" + skeleton_bytes((1,)), "frames are declared"),
    "S001C001P009R001A000.skeleton": (skeleton_bytes((1,)), "action 0"),
    "S1C1P9R1A9.skeleton": (skeleton_bytes((1,)), "its name is not like"),
    "; touch x.skeleton": (skeleton_bytes((1,)), "its name is not like"),
    "deep/S001C001P001R001A001.skeleton": (skeleton_bytes((1,)), "another clip has this name"),
    "../S001C001P009R001A010.skeleton": (skeleton_bytes((1,)), "leads out of the archive"),
    "S001C001P009R001A011.skeleton": (bytes(3 << 20), "archive bomb"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clip_is_rejected_with_its_reason(tmp_path, name):
    content, reason = BAD[name]
    write_zip(tmp_path / "a.zip", ntu_members(5) | {name: content})
    summary = run(tmp_path, tmp_path / "a.zip")
    _, samples, [row] = read(tmp_path)
    assert (summary["clips"], summary["rejected"], len(samples)) == (5, 1, 5)
    assert row["archive"] == "a.zip"
    assert {row["member"], name} == {name} or row["member"] == "deep/S001C001P001R001A001.skeleton"
    assert reason in row["reason"]
    assert int(row["line"]) >= 0
    assert not (tmp_path / "S001C001P009R001A010.skeleton").exists()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_clip_stops_where_it_shall(tmp_path, name):
    write_zip(tmp_path / "a.zip", ntu_members(5) | {name: BAD[name][0]})
    with pytest.raises(InputError, match="on_bad_clip") as caught:
        run(tmp_path, tmp_path / "a.zip", Decode(on_bad_clip="stop"))
    assert "a.zip" in str(caught.value)
    assert list((tmp_path / "decoded").glob("*")) == []


@pytest.mark.parametrize("policy", ["reject", "stop"])
def test_too_many_rejects_stop_the_run_in_either_case(tmp_path, policy):
    write_zip(tmp_path / "a.zip", ntu_members(5) | {name: content for name, (content, _) in BAD.items()})
    with pytest.raises(InputError):
        run(tmp_path, tmp_path / "a.zip", Decode(on_bad_clip=policy, max_rejected=0.5))
    assert list((tmp_path / "decoded").glob("*")) == []


def test_the_share_that_may_be_rejected(tmp_path):
    write_zip(tmp_path / "a.zip", ntu_members(9, **{"S001C001P009R001A001.skeleton": b"bad"}))
    assert run(tmp_path, tmp_path / "a.zip", Decode(max_rejected=0.1))["rejected"] == 1
    with pytest.raises(InputError, match=r"1 of 10 clips cannot be used.*max_rejected \(0.09\).*S001C001P009R001A001"):
        run(tmp_path, tmp_path / "a.zip", Decode(max_rejected=0.09))


def test_an_archive_without_clips(tmp_path):
    write_zip(tmp_path / "a.zip", {"readme.txt": b"hello"})
    with pytest.raises(InputError, match=r"no file such as S001C001P001R001A001\.skeleton"):
        run(tmp_path, tmp_path / "a.zip")


def test_nothing_left(tmp_path):
    write_zip(tmp_path / "a.zip", {"S001C001P009R001A001.skeleton": b"bad"})
    with pytest.raises(InputError, match="1 of 1 clips"):
        run(tmp_path, tmp_path / "a.zip")
    (tmp_path / "list.txt").write_text("S001C001P009R001A001\n")
    with pytest.raises(InputError, match="no clip to read"):
        run(tmp_path, {"skeletons": tmp_path / "a.zip", "missing_list": tmp_path / "list.txt"})


def test_a_failed_run_leaves_the_earlier_result(tmp_path):
    write_zip(tmp_path / "a.zip", ntu_members(3))
    run(tmp_path, tmp_path / "a.zip")
    before = {path.name: path.read_bytes() for path in (tmp_path / "decoded").iterdir()}
    write_zip(tmp_path / "b.zip", ntu_members(3) | {"S001C001P009R001A001.skeleton": b"bad"})
    with pytest.raises(InputError):
        run(tmp_path, tmp_path / "b.zip", Decode())
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "decoded").iterdir()}


def test_missing_lists_of_the_package_and_of_the_owner(tmp_path):
    names = ["S001C002P005R002A008", "S001C001P001R001A001", "S001C001P001R001A002", "S001C001P001R001A003"]
    write_zip(tmp_path / "a.zip", {f"{name}.skeleton": skeleton_bytes((1,)) for name in names})
    header = "The list of samples\nwith missing skeletons:\n\n"
    (tmp_path / "list.txt").write_bytes((header + names[1] + "\r\n" + names[2] + ".skeleton\n").encode())
    archives = {"skeletons": tmp_path / "a.zip", "missing_list": tmp_path / "list.txt"}
    summary = run(tmp_path, archives, missing_list="ntu_missing_skeletons")
    assert read(tmp_path)[1]["name"].tolist() == names[3:]
    assert summary["left_out"] == {"missing list": 3}
    assert summary["rejected"] == 0


def test_made_recordings_of_which_none_is_missing(tmp_path):
    settings = SyntheticSettings(performers=(1, 2), cameras=1, replications=1, missing_rate=0)
    archives = {"skeletons": tmp_path / "a.zip", "missing_list": tmp_path / "list.txt"}
    write_ntu(settings, *archives.values())
    assert read_name_list(tmp_path / "list.txt") == frozenset()
    assert run(tmp_path, archives)["clips"] == settings.clip_count


@pytest.mark.parametrize("cut", ["S001C001P001R001A00", "S001C001P001R001", "S", "more words"])
def test_a_list_of_missing_clips_that_is_cut_off(tmp_path, cut):
    path = tmp_path / "list.txt"
    path.write_text(f"The list of samples\nwith missing skeletons:\n\nS001C001P001R001A001\n{cut}")
    with pytest.raises(InputError, match=rf"list\.txt, line 5: '{cut}' is no name of a clip"):
        read_name_list(path)
    path.write_text("sample,reason\nS001C001P001R001A001,x\nS001C001P001R001A0")
    with pytest.raises(InputError, match="may be cut off"):
        read_name_list(path)


def test_a_list_of_missing_clips_ends_rows_at_line_ends_only(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text('sample,reason\na\x0bb,x\n"c\nd",y\n')
    assert read_name_list(path) == {"a\x0bb", "c\nd"}


def test_a_list_of_missing_clips_that_is_another_file(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("x" * 200_000)
    with pytest.raises(InputError, match=r"list\.txt: list of clips to leave out cannot be read \(field larger"):
        read_name_list(path)


@pytest.mark.parametrize("content", [b"", b"only words\n", b"sample\n", b"\xff\xfe\x00"])
def test_a_list_that_names_nothing(tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError):
        read_name_list(tmp_path / "list.txt")


def test_the_list_of_the_package_has_all_names():
    from ikem.data.ntu_inventory import published_missing

    names = published_missing()
    assert len(names) == 535
    assert sum(int(name[1:4]) <= 17 for name in names) == 302


def test_two_archives_make_one_set_and_may_not_repeat_a_name(tmp_path):
    first = write_zip(tmp_path / "a.zip", ntu_members(3))
    second = write_zip(tmp_path / "b.zip", {"S020C001P001R001A061.skeleton": skeleton_bytes((1,))} | ntu_members(1))
    run(tmp_path, {"one": first, "two": second})
    _, samples, [row] = read(tmp_path)
    assert len(samples) == 4
    assert (row["archive"], row["member"]) == ("b.zip", "S001C001P001R001A001.skeleton")
    assert "a.zip" in row["reason"]


@pytest.mark.parametrize(("format_name", "reason"), [("none", "unknown format"), ("nwucla", "20 joints")])
def test_formats_that_do_not_fit(tmp_path, format_name, reason):
    write_zip(tmp_path / "a.zip", ntu_members(3))
    with pytest.raises(InputError, match=reason):
        decode(format_name, "ntu25", {"skeletons": tmp_path / "a.zip"}, tmp_path / "decoded")


def test_an_unknown_list(tmp_path):
    write_zip(tmp_path / "a.zip", ntu_members(3))
    with pytest.raises(InputError, match="no list 'none'"):
        run(tmp_path, tmp_path / "a.zip", missing_list="none")


def test_most_active_bodies_are_an_option(tmp_path):
    write_zip(tmp_path / "a.zip", {"S001C001P001R001A001.skeleton": skeleton_bytes((3, 3, 3, 3))})
    first = run(tmp_path, tmp_path / "a.zip")
    before = read(tmp_path)[0]
    second = run(tmp_path, tmp_path / "a.zip", Decode(bodies="most-active"))
    assert (first["bodies"], second["bodies"]) == ("first-two", "most-active")
    assert not np.array_equal(before, read(tmp_path)[0])


def test_a_folder_that_cannot_be_written_to(tmp_path):
    write_zip(tmp_path / "a.zip", ntu_members(3))
    (tmp_path / "decoded").write_text("a file, not a folder")
    with pytest.raises(InputError, match="cannot be written"):
        run(tmp_path, tmp_path / "a.zip")


@pytest.mark.parametrize("room", [1000, 60_000])
def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path, room):
    write_zip(tmp_path / "a.zip", {f"{ntu_name(action=n)}.skeleton": skeleton_bytes((1,) * 60) for n in range(1, 9)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))  # no file may grow beyond it
    try:
        with pytest.raises(InputError, match="cannot be written"):
            run(tmp_path, tmp_path / "a.zip")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "decoded").glob("*")) == []


def test_leaving_when_asked_leaves_nothing_behind(tmp_path):
    write_zip(tmp_path / "a.zip", ntu_members(3))

    def leave():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, tmp_path / "a.zip", leave_if_asked=leave)
    assert list((tmp_path / "decoded").glob("*")) == []


SCRIPT = """
import sys, pathlib, resource
from ikem.data import decode as module
from ikem.data.store import prepare
from ikem.settings.data import Decode, Prepare
from ikem.skeleton import load_skeleton
if __name__ == "__main__":
    archive, output, processes, worth = sys.argv[1:]
    module._WORTH_PROCESSES = int(worth)
    summary = module.decode("ntu", "ntu25", {"skeletons": pathlib.Path(archive)}, pathlib.Path(output, "decoded"),
                            Decode(), processes=int(processes))
    output = pathlib.Path(output)
    prepare(output / "decoded", output / "prepared", load_skeleton("ntu25"), Prepare(frames=8))
    # not ru_maxrss, to which the memory of the parent counts until the process begins its own program
    own = int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(own // 1024, others // 1024, summary["frames"])
"""


def test_memory_does_not_grow_with_the_archive(tmp_path):
    """Seven times the clips (600 MB of text, 134 MB of coordinates) take hardly more memory, all processes together."""
    (tmp_path / "run.py").write_text(SCRIPT)
    clip = skeleton_bytes((1,) * 200, seed=1)
    body = clip[clip.index(b"\n") + 1 :]
    long = b"4000\n" + body * 20
    peaks = []
    for count in (1, 8, 56):  # the first may compile
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number in range(count):
                name = ntu_name(performer=number // 60 + 1, action=number % 60 + 1)
                archive.writestr(f"{name}.skeleton", long)
        arguments = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "a.zip"), str(tmp_path), "2", "0"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=170)
        own, others, frames = map(int, done.stdout.split()[-3:])
        assert frames == 4000 * count
        peaks.append(own + 2 * others)
    assert peaks[2] < 1000, peaks
    assert peaks[2] < peaks[1] + 60, peaks


def test_readers_end_when_their_parent_is_killed(tmp_path):
    (tmp_path / "run.py").write_text(SCRIPT)
    long = skeleton_bytes((2,) * 900)
    write_zip(tmp_path / "a.zip", ntu_members(60) | {f"{ntu_name(2, action=n)}.skeleton": long for n in range(1, 61)})
    arguments = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "a.zip"), str(tmp_path), "2", "0"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children: list[int] = []
    until = time.monotonic() + 60
    while not children and time.monotonic() < until and process.poll() is None:
        listed = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        children = [int(child) for child in listed]
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 60
    while any(map(is_running, children)) and time.monotonic() < until:
        time.sleep(0.1)
    assert children
    assert not any(map(is_running, children))


def is_running(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # ended, and nobody has asked how


def with_empty_frames(before, inside, after):
    """A clip of three frames with a body, and frames with none around and between them."""
    return skeleton_bytes((0,) * before + (1,) + (0,) * inside + (1, 1) + (0,) * after)


@pytest.mark.parametrize(("before", "inside", "after"), [(0, 0, 0), (3, 0, 0), (0, 2, 0), (0, 0, 4), (1, 2, 3)])
def test_empty_frames_are_kept_as_published_or_trimmed(tmp_path, before, inside, after):
    data = with_empty_frames(before, inside, after)
    write_zip(tmp_path / "a.zip", {f"{ntu_name()}.skeleton": data, f"{ntu_name(action=2)}.skeleton": skeleton_bytes()})
    run(tmp_path, tmp_path / "a.zip")
    coordinates, samples, _ = read(tmp_path)
    assert samples["frames"].tolist() == [before + inside + after + 3, 3]
    np.testing.assert_array_equal(coordinates[: samples["frames"][0]], plain_read(data))
    summary = run(tmp_path, tmp_path / "a.zip", Decode(trim_empty=True))
    coordinates, samples, _ = read(tmp_path)
    assert samples["frames"].tolist() == [inside + 3, 3]
    assert samples["start"].tolist() == [0, inside + 3]
    np.testing.assert_array_equal(coordinates[: inside + 3], plain_read(data)[before : before + inside + 3])
    assert summary["trim_empty"] is True


def test_a_second_body_keeps_its_frames_when_empty_ones_are_trimmed():
    coordinates = np.zeros((6, 2, 25, 3), np.float32)
    coordinates[1, 1, 3, 2] = coordinates[4, 0, 0, 0] = 1
    np.testing.assert_array_equal(module.trimmed(coordinates), coordinates[1:5])


def test_clips_of_other_setups_are_counted_and_not_used(tmp_path, caplog):
    names = [ntu_name(setup, performer=performer) for setup in (1, 17, 18, 32) for performer in (1, 2)]
    write_zip(tmp_path / "a.zip", {f"{name}.skeleton": skeleton_bytes() for name in names})
    summary = run(tmp_path, tmp_path / "a.zip", Decode(setups=(1, 17)))
    assert read(tmp_path)[1]["setup"].tolist() == [1, 1, 17, 17]
    assert summary["left_out"] == {"other setups": 4}
    assert summary["rejected"] == 0
    assert "clips of setups that belong to another dataset: 4" in caplog.text
    assert run(tmp_path, tmp_path / "a.zip")["clips"] == 8
    with pytest.raises(InputError, match="there is no clip to read"):
        run(tmp_path, tmp_path / "a.zip", Decode(setups=(2, 3)))


@pytest.mark.parametrize("setups", [[17, 1], [1], [1, 2, 3]])
def test_setups_are_the_first_and_the_last(setups):
    block = {"dataset": "ntu60", "protocols": ["xsub"], "methods": ["random"], "evaluations": ["linear"]}
    with pytest.raises(InputError, match="setups"):
        build_config({"benchmark": [block], "datasets": {"ntu60": {"decode": {"setups": setups}}}})


def test_the_published_datasets_know_their_setups():
    block = {"dataset": "ntu60", "protocols": ["xsub"], "methods": ["random"], "evaluations": ["linear"]}
    datasets = build_config({"benchmark": [block]}).datasets
    assert (datasets["ntu60"].decode.setups, datasets["ntu120"].decode.setups) == ((1, 17), (1, 32))
