"""Made recordings: what the archives hold, and that a seed fixes every byte of them."""

from __future__ import annotations

import itertools
import re
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import py7zr
import pytest
from pydantic import ValidationError

from ikem.errors import InputError
from ikem.skeleton import load_skeleton
from ikem.synthetic.actions import ACTIONS
from ikem.synthetic.ntu import clip_text, clips, record_clip, write_ntu
from ikem.synthetic.pkummd import write_pkummd
from ikem.synthetic.scene import Clip, list_clips, random_for, stage_clip
from ikem.synthetic.sensor import draw_camera, sense
from ikem.synthetic.settings import SyntheticSettings

SMALL = SyntheticSettings(performers=(1, 3), actions=("waving", "pushing"), frames=(12, 20))
RUINED = SyntheticSettings(
    performers=(1, 2),
    actions=("clapping", "pushing"),
    frames=(20, 30),
    missing_rate=0.2,
    frame_drop_rate=0.05,
    body_loss_rate=0.5,
    swap_rate=0.8,
    spurious_rate=0.6,
)


def parse(text: str) -> list[list[tuple[int, np.ndarray]]]:
    """A `.skeleton` file, read as its description says: for each frame (body id, (25, 12) fields) of each body."""
    words = text.split()
    position = 0

    def take(count: int) -> list[str]:
        nonlocal position
        position += count
        assert position <= len(words)
        return words[position - count : position]

    frames = []
    for _ in range(int(take(1)[0])):
        bodies = []
        for _ in range(int(take(1)[0])):
            head = take(10)
            assert take(1) == ["25"]
            bodies.append((int(head[0]), np.array(take(25 * 12), dtype=np.float64).reshape(25, 12)))
        frames.append(bodies)
    assert position == len(words)
    return frames


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str]:
    """Text of each member of a badly recorded archive, and its missing list."""
    folder = tmp_path_factory.mktemp("ruined")
    write_ntu(RUINED, folder / "made.zip", folder / "missing.txt")
    with zipfile.ZipFile(folder / "made.zip") as archive:
        assert archive.testzip() is None
        members = {name: archive.read(name).decode("ascii") for name in archive.namelist()}
    return members, (folder / "missing.txt").read_text()


def test_archive_has_every_clip_under_its_real_name(ruined: tuple[dict[str, str], str]) -> None:
    members, _ = ruined
    assert len(members) == RUINED.clip_count == 2 * 2 * 3 * 2
    for name in members:
        assert re.fullmatch(r"nturgb\+d_skeletons/S\d{3}C00[123]P00[12]R00[12]A00[12]\.skeleton", name)


def test_missing_list_names_the_clips_without_a_body_after_three_lines(ruined: tuple[dict[str, str], str]) -> None:
    members, listed = ruined
    names = listed.splitlines()[3:]
    without = [Path(name).stem for name, text in members.items() if not any(parse(text))]
    assert names == without
    assert 0 < len(names) < len(members)


def test_text_and_arrays_are_the_same_recording_to_the_bit(ruined: tuple[dict[str, str], str]) -> None:
    members, _ = ruined
    read = {}
    for name, text in members.items():
        frames = parse(text)
        found = np.zeros((len(frames), 2, 25, 3), dtype=np.float32)
        for number, bodies in enumerate(frames):
            for position, (_, fields) in enumerate(bodies[:2]):
                found[number, position] = fields[:, :3]
        if found.any():
            read[Path(name).stem] = found
    made = dict(clips(RUINED))
    assert list(made) == list(read)
    for name, array in made.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, read[name])


def test_sensor_faults_occur(ruined: tuple[dict[str, str], str]) -> None:
    members, _ = ruined
    most, swapped, gaps = Counter[int](), 0, 0
    for name, text in members.items():
        frames = parse(text)
        if not any(frames):
            continue
        counts = [len(bodies) for bodies in frames]
        gaps += 0 in counts
        most[max(counts) - (2 if name.endswith("A002.skeleton") else 1)] += 1
        ids = [[number for number, _ in bodies] for bodies in frames]
        swapped += any(set(a) == set(b) and a != b for a, b in itertools.pairwise(ids))
    assert most[1] > 0, "a spurious body"
    assert gaps > 0, "a frame without bodies"
    assert swapped > 0, "bodies that change places"


def test_fields_are_those_of_the_sensor(ruined: tuple[dict[str, str], str]) -> None:
    members, _ = ruined
    bodies = [fields for text in members.values() for frame in parse(text) for _, fields in frame]
    fields = np.stack(bodies)
    x, y, z = np.moveaxis(fields[..., :3], -1, 0)
    near = z > 0.5
    np.testing.assert_allclose(fields[..., 3][near], (256 + 365.5 * x / z)[near], atol=1e-4)
    np.testing.assert_allclose(fields[..., 6][near], (568 - 1081 * y / z)[near], atol=1e-3)
    length = np.linalg.norm(fields[..., 7:11], axis=-1)
    assert np.all((np.abs(length - 1) < 1e-5) | (length == 0))
    assert set(np.unique(fields[..., 11])) == {1.0, 2.0}


def test_equal_settings_give_equal_bytes(tmp_path: Path) -> None:
    for run in ("first", "second"):
        write_ntu(SMALL, tmp_path / run / "made.zip", tmp_path / run / "missing.txt")
    for file in ("made.zip", "missing.txt"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    write_ntu(SMALL.model_copy(update={"seed": 1}), tmp_path / "other.zip", tmp_path / "other.txt")
    assert (tmp_path / "first" / "made.zip").read_bytes() != (tmp_path / "other.zip").read_bytes()


def test_a_clip_depends_on_its_own_name_only() -> None:
    few = dict(clips(SMALL))
    more = SMALL.model_copy(update={"performers": (9, 3, 1), "replications": 3, "actions": (*SMALL.actions, "kicking")})
    many = dict(clips(more))
    assert len(many) > len(few)
    for name, array in few.items():
        np.testing.assert_array_equal(array, many[name])


def test_cameras_see_one_performance_each_in_its_own_way() -> None:
    clip = next(list_clips(SMALL))
    other = clip._replace(camera=2)
    for first, second in zip(stage_clip(SMALL, clip), stage_clip(SMALL, other), strict=True):
        np.testing.assert_array_equal(first, second)
    seen = [record_clip(SMALL, one) for one in (clip, other)]
    assert seen[0] is not None and seen[1] is not None
    assert np.abs(seen[0].joints[0] - seen[1].joints[0]).mean() > 50_000


@pytest.mark.parametrize("action", ACTIONS)
def test_bones_keep_their_length_and_bodies_stay_on_the_floor(action: str) -> None:
    settings = SyntheticSettings(actions=(action,), seated_share=0.0)
    parents = np.array(load_skeleton("ntu25").parents)
    people = stage_clip(settings, Clip(1, 1, 1, 1, 1))
    assert len(people) == ACTIONS[action].persons
    for joints in people:
        assert np.isfinite(joints).all()
        lengths = np.linalg.norm(joints - joints[:, parents], axis=-1)
        np.testing.assert_allclose(lengths, lengths[:1].repeat(len(lengths), axis=0), atol=1e-9)
        assert -1e-9 < joints[..., 1].min() < 0.5
        assert 0.9 < joints[..., 1].max() < 3.0
        assert np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() < 0.6, "nothing moves by leaps"
        assert np.linalg.norm(joints - joints.mean(axis=0), axis=-1).max() > 0.05, "something moves"


def test_walking_apart_takes_two_persons_apart() -> None:
    settings = SyntheticSettings(actions=("walking apart",))
    first, second = stage_clip(settings, Clip(1, 1, 1, 1, 1))
    distance = np.linalg.norm((first - second)[:, 0], axis=-1)
    assert distance[-1] > distance[0] + 0.5


def test_without_noise_a_camera_only_moves_the_body() -> None:
    quiet = SyntheticSettings(
        noise_millimetres=0, drift_millimetres=0, frame_drop_rate=0, body_loss_rate=0, swap_rate=0, spurious_rate=0
    )
    world = stage_clip(quiet, Clip(1, 2, 1, 1, 1))
    random = random_for(quiet, 99)
    recording = sense(quiet, draw_camera(quiet, 2, random), world, random)
    pair = recording.joints[0] / 1e6, world[0]
    between = [np.linalg.norm(joints[:, :, None] - joints[:, None], axis=-1) for joints in pair]
    np.testing.assert_allclose(*between, atol=2e-6)


@pytest.mark.parametrize(
    "value, decimals, text",
    [(0, 6, "0"), (-1, 6, "-0.000001"), (1_000_000, 6, "1"), (-12_340_000, 6, "-12.34"), (120, 0, "120")],
)
def test_numbers_are_written_plainly(value: int, decimals: int, text: str) -> None:
    from ikem.synthetic.number_writer import format_table

    assert format_table(np.array([[value, value]]), decimals).decode() == f"{text} {text}\n"


def test_large_requests_start_at_once() -> None:
    large = SyntheticSettings(performers=tuple(range(1, 41)), replications=50)
    assert large.clip_count >= 60_000
    name, _ = next(clips(large))
    assert name.endswith("A001")


def test_settings_name_what_is_wrong() -> None:
    for wrong, named in (
        ({"actions": ("flying",)}, "flying"),
        ({"performers": (1, 1)}, "twice"),
        ({"frames": (9, 3)}, "smaller first"),
        ({"color": 1}, "color"),
    ):
        with pytest.raises(ValidationError, match=named):
            SyntheticSettings(**wrong)


def read_pkummd(settings: SyntheticSettings, folder: Path) -> list[Path]:
    paths = [folder / name for name in ("skeletons.7z", "labels.7z", "cross-subject.txt", "cross-view.txt")]
    write_pkummd(settings, *paths)
    return paths


def test_pkummd_archives_and_splits(tmp_path: Path) -> None:
    settings = SyntheticSettings(videos=4, instances=(3, 4), frames=(12, 20), frame_drop_rate=0.05)
    skeletons, labels, cross_subject, cross_view = read_pkummd(settings, tmp_path)
    for archive in (skeletons, labels):
        with py7zr.SevenZipFile(archive) as opened:
            opened.extractall(tmp_path / "out")
    names = {f"{number:04d}-{view}" for number in range(2, 6) for view in "LMR"}
    videos = {path.stem: np.loadtxt(path) for path in (tmp_path / "out/PKU_Skeleton_Renew").iterdir()}
    assert set(videos) == names == {path.stem for path in (tmp_path / "out/Train_Label_PKU_final").iterdir()}
    two, absent = 0, 0
    for name, table in videos.items():
        assert table.shape[1] == 150
        lines = (tmp_path / f"out/Train_Label_PKU_final/{name}.txt").read_text().splitlines()
        assert 3 <= len(lines) <= 4
        last = 0
        for line in lines:
            action, start, end, confidence = map(int, line.split(","))
            assert 1 <= action <= len(settings.actions) and confidence == 2
            assert last < start < end <= len(table)
            assert table[start - 1 : end - 1].any()
            two += bool(table[start - 1 : end - 1, 75:].any()) == (ACTIONS[settings.actions[action - 1]].persons == 2)
            last = end
        absent += int((~table.any(axis=1)).sum())
    assert two >= 0.9 * sum(1 for name in videos for _ in range(3)), "a second body where there are two persons"
    assert absent > 0, "frames in which nobody is found"
    for path in (cross_subject, cross_view):
        _, train, _, test = path.read_text().splitlines()
        train_names, test_names = (set(line.split(", ")) for line in (train, test))
        assert train_names | test_names == names and not train_names & test_names and test_names
    assert test_names == {name for name in names if name.endswith("L")}


def test_pkummd_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    settings = SyntheticSettings(videos=2, instances=(2, 2), frames=(8, 12))
    for first, second in zip(*(read_pkummd(settings, tmp_path / run) for run in ("a", "b")), strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_pkummd_needs_two_performers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two performers"):
        read_pkummd(SyntheticSettings(performers=(1,)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_half_written_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(recording: object) -> bytes:
        raise RuntimeError("interrupted")

    monkeypatch.setattr("ikem.synthetic.ntu.clip_text", fail)
    with pytest.raises(RuntimeError):
        write_ntu(SMALL, tmp_path / "made.zip", tmp_path / "missing.txt")
    assert not list(tmp_path.iterdir())


def test_a_clip_is_text_of_whole_frames() -> None:
    recording = record_clip(SMALL, next(list_clips(SMALL)))
    assert recording is not None
    text = clip_text(recording).decode()
    assert text.endswith("\n") and "\n\n" not in text and " \n" not in text
    assert len(parse(text)) == recording.joints.shape[1]
