"""The reader of `.skeleton` files: right on good ones, clear on bad ones, quick on all."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_support import BODY, VECTORS, plain_read, skeleton_bytes, skeleton_lines, steady
from ikem.data.clips import ClipError
from ikem.data.formats.ntu import most_active, parse_name, read_skeleton


def fault(data: bytes) -> ClipError:
    with pytest.raises(ClipError) as caught:
        read_skeleton(data, "archive.zip: member")
    assert str(caught.value).startswith("archive.zip: member")
    return caught.value


def joined(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


@pytest.mark.parametrize("path", sorted((VECTORS / "skeletons").glob("*.skeleton")), ids=lambda path: path.stem)
def test_published_files_are_read_as_published(path):
    expected = np.load(VECTORS / "skeleton_xyz.npz")
    key = next(name for name in expected.files if path.stem in name)
    coordinates = read_skeleton(path.read_bytes(), path.name)
    assert coordinates.dtype == np.float32
    np.testing.assert_array_equal(coordinates.transpose(3, 0, 2, 1), expected[key])
    np.testing.assert_array_equal(coordinates, plain_read(path.read_bytes()))


@pytest.mark.parametrize("bodies", [(1,), (2, 2), (0, 1, 0, 2, 1), (3, 1, 4), (0,), (0, 0, 1)])
def test_equals_the_plain_reader(bodies):
    data = skeleton_bytes(bodies)
    np.testing.assert_array_equal(read_skeleton(data, ""), plain_read(data))


numbers = st.one_of(
    st.floats(-1000, 1000).map(repr),
    st.floats(-1000, 1000, width=32).map(lambda value: repr(np.float32(value).item())),
    st.decimals(-1000, 1000, places=7).map(str),
    st.decimals(-1, 1, places=30).map(lambda value: f"{value:f}"),
    st.floats(-1000, 1000).map(lambda value: f"{value:.17e}"),
    st.floats(-1, 1).map(lambda value: f"{value:E}"),
    st.integers(-1000, 1000).map(str),
    st.integers(0, 1000).map(lambda value: f"+{value}."),
    st.integers(0, 10**30).map(lambda value: f".{value}"),
    st.sampled_from(
        ["-0", "-0.0", "0e5", "1e-400", "000000000000000000001.5", "1e+2", "5e-324", "0." + "0" * 30 + "7"]
    ),
)


@steady
@given(st.lists(numbers, min_size=75, max_size=75))
def test_every_number_equals_float(tokens):
    lines = skeleton_lines((1,))
    for joint in range(25):
        rest = lines[4 + joint].split(maxsplit=3)[3]
        lines[4 + joint] = " ".join([*tokens[3 * joint : 3 * joint + 3], rest])
    coordinates = read_skeleton(joined(lines), "")
    expected = np.array([float(token) for token in tokens]).astype(np.float32).reshape(25, 3)
    np.testing.assert_array_equal(coordinates[0, 0].view(np.uint32), expected.view(np.uint32))


def test_truncation_at_every_line_is_an_error():
    lines = skeleton_lines((1, 2))
    for count in range(len(lines)):
        error = fault(joined(lines[:count]) if count else b"")
        assert "cut off" in error.message or "empty" in error.message
        assert error.line == count + 1
    assert len(read_skeleton(joined(lines), "")) == 2


def test_truncation_at_every_byte_is_an_error():
    data = skeleton_bytes((1,))
    for size in range(len(data) - 1):  # without the last line feed the file is whole
        assert fault(data[:size]).line >= 1
    read_skeleton(data[:-1], "")


def test_every_line_left_out_is_an_error():
    lines = skeleton_lines((2, 1))
    for position in range(len(lines)):
        fault(joined(lines[:position] + lines[position + 1 :]))


def test_every_line_doubled_is_an_error():
    lines = skeleton_lines((1, 1))
    for position in range(len(lines)):
        fault(joined(lines[: position + 1] + lines[position:]))


@pytest.mark.parametrize("position", [0, 1, 2, 3, 4, 20, 28])
@pytest.mark.parametrize(
    "text", ["x", "1 x", "1.5", "-1", "nan", "1e3", "26", "99999999999999999999", "0x19", "١", "1_0"]
)
def test_text_for_whole_lines(position, text):
    lines = skeleton_lines((1,))
    lines[position] = text
    assert fault(joined(lines)).line >= position + 1


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nan", "not a finite number"),
        ("NaN", "not a finite number"),
        ("-inf", "not a finite number"),
        ("Infinity", "not a finite number"),
        ("-1.#IND", "not a finite number"),
        ("1e999", "beyond 1000 m"),
        ("1000.0001", "beyond 1000 m"),
        ("-1e9", "beyond 1000 m"),
        ("1" * 30, "beyond 1000 m"),
        ("9" * 5000, "is not a number"),
        ("abc", "is not a number"),
        ("1,5", "is not a number"),
        ("1.2.3", "is not a number"),
        ("--1", "is not a number"),
        ("1e", "is not a number"),
        (".", "is not a number"),
        ("0x10", "is not a number"),
        ("1_0", "is not a number"),
        ("é", "is not a number"),
    ],
)
def test_bad_coordinates_are_reported_with_their_line(axis, text, reason):
    lines = skeleton_lines((1, 1))
    fields = lines[10].split()
    fields[axis] = text
    lines[10] = " ".join(fields)
    error = fault(joined(lines))
    assert error.line == 11
    assert reason in error.message or (text == "1e999" and "finite" in error.message)


@steady
@given(st.integers(0, 54), st.binary(min_size=1, max_size=12))
def test_random_bytes_in_a_line_never_pass_silently(position, junk):
    lines = [line.encode() for line in skeleton_lines((1, 1))]
    before = read_skeleton(b"\n".join(lines), "")
    lines[position] = junk
    try:
        after = read_skeleton(b"\n".join(lines), "")
    except ClipError as error:
        assert error.line >= 1
    else:  # only a number that says the same passes
        np.testing.assert_array_equal(before, after)


@steady
@given(st.data())
def test_one_changed_byte_gives_the_plain_readers_array_or_an_error(data):
    content = bytearray(skeleton_bytes((1, 2)))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    try:
        coordinates = read_skeleton(bytes(content), "")
    except ClipError:
        return
    np.testing.assert_array_equal(coordinates, plain_read(bytes(content)))


@steady
@given(st.binary(max_size=400))
def test_any_bytes_end_in_an_error(content):
    fault(content)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", " \n", "\t\r\n", "\n \n\t\n"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n", "  "])
def test_line_ends_blanks_and_marks_change_nothing(start, end):
    lines = skeleton_lines((1, 0, 2))
    data = (start + end.join(lines) + end * 3).encode()
    np.testing.assert_array_equal(read_skeleton(data, ""), plain_read(skeleton_bytes((1, 0, 2))))


def test_line_numbers_count_blank_lines_and_carriage_returns():
    lines = skeleton_lines((1,))
    lines[5] = "\n\n" + lines[5].replace("0", "o", 1)
    assert fault("\r\n".join(lines).encode()).line == 8


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_reported(encoding):
    assert "UTF-16" in fault("\n".join(skeleton_lines((1,))).encode(encoding)).message


@pytest.mark.parametrize("joints", [0, 1, 20, 24, 26, 50])
def test_other_numbers_of_joints(joints):
    error = fault(skeleton_bytes((1,), joints))
    assert f"{joints} joints, expected 25" in error.message
    assert error.line == 4


@pytest.mark.parametrize(("fields", "reason"), [(11, "11 fields"), (13, "13 fields"), (3, "3 fields"), (2, "2 fields")])
def test_other_numbers_of_fields(fields, reason):
    lines = skeleton_lines((1,))
    lines[7] = " ".join(([*lines[7].split(), "0"])[:fields])
    error = fault(joined(lines))
    assert error.line == 8
    assert reason in error.message


@pytest.mark.parametrize("text", [BODY + " 1", BODY.rsplit(" ", 1)[0], "x" + BODY, BODY.replace(" ", "", 1)])
def test_bad_lines_of_a_body(text):
    lines = skeleton_lines((1,))
    lines[2] = text
    assert fault(joined(lines)).line == 3


def test_no_frames():
    assert "no frames" in fault(b"0\n").message


@pytest.mark.parametrize("count", ["1000000000", "100001", "99999999999999999", "100000"])
def test_a_declared_billion_of_frames_costs_nothing(count):
    read_skeleton(b"1\n0\n", "")  # compiled by now
    started = time.perf_counter()
    fault(f"{count}\n1\n".encode())
    fault(f"2\n{count}\n".encode())
    assert time.perf_counter() - started < 0.5


def test_a_thousand_bodies_are_read_as_the_first_two():
    data = skeleton_bytes((1000, 1))
    np.testing.assert_array_equal(read_skeleton(data, ""), plain_read(data))
    with pytest.raises(ClipError, match="more than 64 body ids"):
        read_skeleton(data, "", "most-active")
    fault(data[: len(data) // 2])


def test_fields_that_are_not_read_may_be_anything():
    lines = skeleton_lines((1,))
    expected = read_skeleton(joined(lines), "")
    lines[8] = " ".join([*lines[8].split()[:3], *["NaN"] * 9])
    np.testing.assert_array_equal(read_skeleton(joined(lines), ""), expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S001C002P003R002A013", {"setup": 1, "camera": 2, "subject": 3, "replication": 2, "action": 13}),
        ("S032C003P106R002A120", {"setup": 32, "camera": 3, "subject": 106, "replication": 2, "action": 120}),
        ("S001C002P003R002A13", None),
        ("xS001C002P003R002A013", None),
        ("S001C002P003R002A013x", None),
        ("S001C002P003R002A٠١٣", None),
        ("", None),
    ],
)
def test_names(name, expected):
    assert parse_name(name) == expected


def bodies_in_motion(frames: list[list[tuple[int, float]]]) -> bytes:
    """Each frame a list of (id, place): all joints of the body stand there."""
    lines = [str(len(frames))]
    for frame in frames:
        lines.append(str(len(frame)))
        for identity, position in frame:
            lines += [BODY.replace("72057594037931101", str(identity)), "25"]
            lines += [f"{position} {position} {position} 0 0 0 0 0 0 0 0 2"] * 25
    return joined(lines)


def test_most_active_follows_ids_and_keeps_places():
    still, walker, runner = 7, 8, 9
    frames = []
    for step in range(10):
        frame = [(still, 1.0), (walker, 2.0 + 0.1 * step), (runner, 3.0 + step)]
        frames.append(frame if step % 2 else frame[::-1])  # the order in the file changes
    coordinates = read_skeleton(bodies_in_motion(frames), "", "most-active")
    np.testing.assert_allclose(coordinates[:, 0, 0, 0], 3.0 + np.arange(10))
    np.testing.assert_allclose(coordinates[:, 1, 4, 2], 2.0 + 0.1 * np.arange(10), rtol=1e-6)
    first_two = read_skeleton(bodies_in_motion(frames), "")
    assert first_two[0, 0, 0, 0] == 3.0
    assert first_two[1, 0, 0, 0] == 1.0


def test_most_active_counts_a_short_appearance_little():
    frames = [[(1, 1.0 + 0.2 * step), (2, 5.0 + 0.1 * step)] for step in range(20)]
    frames[3].append((3, 0.0))
    frames[4].append((3, 0.9))
    coordinates = read_skeleton(bodies_in_motion(frames), "", "most-active")
    np.testing.assert_allclose(coordinates[:, 0, 0, 0], 1.0 + 0.2 * np.arange(20), rtol=1e-6)
    np.testing.assert_allclose(coordinates[:, 1, 0, 0], 5.0 + 0.1 * np.arange(20), rtol=1e-6)


def test_most_active_leaves_gaps_zero():
    frames = [[(1, 1.0)], [], [(1, 2.0)], [(2, 1.0), (1, 4.0)]]
    coordinates = read_skeleton(bodies_in_motion(frames), "", "most-active")
    assert coordinates[:, 0, 0, 0].tolist() == [1.0, 0.0, 2.0, 4.0]
    assert coordinates[:, 1, 0, 0].tolist() == [0.0, 0.0, 0.0, 1.0]  # a body that moves less


def places(frames):
    """First coordinate of each of the bodies that are kept, by frame."""
    return read_skeleton(bodies_in_motion(frames), "", "most-active")[:, :, 0, 0].astype(float).round(5).tolist()


def test_one_person_with_two_ids_in_turn_is_one_body():
    frames = [[(1, 1 + 0.1 * step)] for step in range(5)] + [[(2, 1 + 0.1 * step)] for step in range(5, 10)]
    assert places(frames) == [[round(1 + 0.1 * step, 5), 0] for step in range(10)]


def test_ids_are_joined_over_a_gap():
    assert places([[(1, 1.0)], [], [], [(2, 2.0)], [], [(3, 3.0)]]) == [[1, 0], [0, 0], [0, 0], [2, 0], [0, 0], [3, 0]]


def test_an_id_that_comes_back_is_the_same_body():
    assert places([[(1, 1.0)], [(2, 1.5)], [(1, 2.0)], [(2, 2.5)]]) == [[1, 0], [1.5, 0], [2, 0], [2.5, 0]]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_second_person_whose_id_changes(swapped):
    """The new id continues the person that was nearest, not the one that is listed at its index."""
    frames = [[(1, 1.0 + step), (2, 9.0)] for step in range(3)] + [[(3, 9.25), (1, 4.0)], [(3, 9.5), (1, 5.0)]]
    frames = [frame[::-1] for frame in frames] if swapped else frames
    assert places(frames) == [[1, 9], [2, 9], [3, 9], [4, 9.25], [5, 9.5]]


@pytest.mark.parametrize("swapped", [False, True])
def test_two_ids_that_change_in_one_frame(swapped):
    frames = [[(1, 1.0), (2, 4.0)], [(1, 1.5), (2, 4.0)]]
    changed = [
        [(3, 2.0), (4, 2.75)],
        [(3, 2.5), (4, 2.75)],
    ]  # both are nearer to the first; the nearest is joined first
    frames += [frame[::-1] for frame in changed] if swapped else changed
    assert places(frames) == [[4, 1], [4, 1.5], [2.75, 2], [2.75, 2.5]]  # the second moves more


def test_persons_that_exchange_places_keep_their_ids():
    frames = [[(1, float(step)), (2, 10.0 - 0.5 * step)] for step in range(10)]
    assert places(frames) == [[step, 10 - 0.5 * step] for step in range(10)]


def test_a_ghost_beside_the_person_is_a_body_of_its_own():
    frames = [[(1, 1.0 + 0.5 * step)] for step in range(8)]
    frames[3].append((9, 6.0))
    frames[4].append((9, 6.0))
    assert places(frames) == [[1 + 0.5 * step, 6 if step in (3, 4) else 0] for step in range(8)]


def test_most_active_refuses_more_ids_than_a_recording_has():
    assert places([[(identity, 1.0 + identity)] for identity in range(64)])[63] == [64, 0]
    with pytest.raises(ClipError, match="more than 64 body ids"):
        places([[(identity, 1.0 + identity)] for identity in range(65)])


def test_most_active_refuses_one_id_twice_in_a_frame():
    with pytest.raises(ClipError, match="two bodies of one id") as caught:
        read_skeleton(bodies_in_motion([[(1, 1.0)], [(1, 1.0), (1, 2.0)]]), "m", "most-active")
    assert caught.value.line == 58


def test_most_active_against_a_slow_transcription():
    random = np.random.default_rng(4)
    frames = [
        [(int(i), float(random.normal())) for i in random.permutation(4)[: random.integers(0, 5)]] for _ in range(30)
    ]
    tracks: dict[int, dict[int, float]] = {}
    for number, frame in enumerate(frames):
        for identity, position in frame:
            tracks.setdefault(identity, {})[number] = position
    movement = {i: 75 * sum((p - sum(t.values()) / len(t)) ** 2 for p in t.values()) for i, t in tracks.items()}
    best = sorted(movement, key=movement.__getitem__, reverse=True)[:2]
    coordinates = read_skeleton(bodies_in_motion(frames), "", "most-active")
    for position, identity in enumerate(best):
        expected = [tracks[identity].get(number, 0.0) for number in range(30)]
        np.testing.assert_allclose(coordinates[:, position, 3, 1], expected, rtol=1e-6)


def test_most_active_without_any_body_is_empty():
    empty = most_active(np.zeros((0, 25, 3), np.float32), np.zeros((0, 4), np.int64), 3, "")
    assert empty.shape == (3, 2, 25, 3)
    assert not empty.any()


def test_zero_and_minus_zero():
    lines = skeleton_lines((1,))
    lines[4] = "-0.0 0 -0e-5 " + lines[4].split(maxsplit=3)[3]
    x, y, z = read_skeleton(joined(lines), "")[0, 0, 0].tolist()
    assert (math.copysign(1, x), math.copysign(1, y), math.copysign(1, z)) == (-1, 1, -1)
