import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers import vectors
from ikem.data.prepare import prepare_clips, turn_by_first_frame, unit_range, usable_length
from ikem.errors import InputError
from ikem.skeleton import load_skeleton

NTU, KINECT = load_skeleton("ntu25"), load_skeleton("kinect20")


def slow(clip, skeleton, target, center="frame", align_shoulders="frame", scale="none"):
    """One clip (L, M, V, 3) to (3, T, V, M), number by number."""
    has_body_1 = [bool((frame[0, 0] != 0).any()) for frame in clip]
    length = sum(has_body_1)
    middle = clip[has_body_1.index(True), 0, skeleton.center].astype(np.float64)
    _, bodies, joints, _ = clip.shape
    left, right = skeleton.shoulders
    result = np.zeros((3, target, joints, bodies))
    for m in range(bodies):
        resized = np.zeros((target, joints, 3))
        for t in range(target):
            source = min(max((t + 0.5) * length / target - 0.5, 0), length - 1)
            low = math.floor(source)
            high = min(low + 1, length - 1)
            for weight, index in ((1 - (source - low), low), (source - low, high)):
                frame = clip[index, m].astype(np.float64)
                if center == "frame":
                    resized[t] += weight * (frame - frame[skeleton.center])
                elif frame.any():
                    resized[t] += weight * (frame - middle)
        lines = resized[:, right] - resized[:, left]
        flip = -1 if lines[:, 2].sum() >= 0 else 1
        for t in range(target):
            x, z = lines[t, 0], lines[t, 2]
            theta = flip * math.acos(x / (math.hypot(x, z) + 1e-4)) if align_shoulders == "frame" else 0.0
            matrix = np.array(
                [[math.cos(theta), 0, -math.sin(theta)], [0, 1, 0], [math.sin(theta), 0, math.cos(theta)]]
            )
            result[:, t, :, m] = matrix @ resized[t].T
    if align_shoulders == "first-frame":
        line = result[:, 0, right, 0] - result[:, 0, left, 0]
        theta = -math.atan2(line[2], line[0])
        matrix = np.array([[math.cos(theta), 0, -math.sin(theta)], [0, 1, 0], [math.sin(theta), 0, math.cos(theta)]])
        result = np.einsum("dc,ctvm->dtvm", matrix, result)
    return result if scale == "none" else slow_unit_range(result, scale)


def slow_unit_range(clip, scale):
    """One clip (3, T, V, M), axis by axis and frame by frame."""
    _, frames, _, bodies = clip.shape
    visible = [(t, m) for t in range(frames) for m in range(bodies) if clip[:, t, :, m].any()]
    values = [[value for t, m in visible for value in clip[c, t, :, m]] for c in range(3)]
    ranges = [max(axis) - min(axis) for axis in values]
    result = np.zeros_like(clip)
    for c in range(3):
        middle = (max(values[c]) + min(values[c])) / 2
        size = ranges[c] if scale == "unit-range-axes" else max(ranges)
        for t, m in visible:
            for v, value in enumerate(clip[c, t, :, m]):
                result[c, t, v, m] = 2 * (value - middle) / size if size > 0 else 0
    return result


def ragged(lengths, bodies=2, joints=25, seed=0):
    lengths = np.array(lengths)
    values = np.random.default_rng(seed).normal(size=(lengths.sum(), bodies, joints, 3)).astype(np.float32)
    return values, np.cumsum(lengths) - lengths, lengths


def test_reference_vectors():
    decoded, held = vectors("skeleton_xyz"), vectors("preprocess")
    clips = [decoded[name].transpose(1, 3, 2, 0) for name in held["names"]]
    frames = np.array([len(clip) for clip in clips])
    ours = prepare_clips(np.concatenate(clips), np.cumsum(frames) - frames, frames, NTU, 50)
    assert np.allclose(ours, held["position"], rtol=1e-3, atol=1e-4)
    assert ours.dtype == np.float32


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    bodies=st.integers(1, 3),
    skeleton=st.sampled_from([NTU, KINECT]),
    target=st.sampled_from([1, 2, 13, 50]),
    choices=st.tuples(
        st.sampled_from(["frame", "first-frame"]),
        st.sampled_from(["frame", "first-frame", "none"]),
        st.sampled_from(["none", "unit-range", "unit-range-axes"]),
    ),
    absent=st.booleans(),
)
@example([1, 1], 1, NTU, 1, ("frame", "none", "none"), False)  # a gap in clip 0 would empty clip 1
@example([1], 1, NTU, 1, ("frame", "none", "none"), False)
@example([2, 1], 2, KINECT, 13, ("frame", "frame", "none"), False)
@example([9, 4], 2, KINECT, 13, ("first-frame", "none", "unit-range-axes"), True)
@example([30, 4], 3, NTU, 50, ("first-frame", "first-frame", "unit-range"), True)
@settings(max_examples=40, deadline=None)
def test_against_transcription(lengths, bodies, skeleton, target, choices, absent):
    values, starts, frames = ragged(lengths, bodies, skeleton.joint_count, seed=sum(lengths))
    if frames[0] > 1:
        values[starts[0] + 1, 0, 0] = 0  # a gap
    if frames[-1] > 2 and absent:
        values[starts[-1]] = 0  # all bodies come in the second frame
        values[-1, 1:] = 0  # and in the last one, one body is left
    ours = prepare_clips(values, starts, frames, skeleton, target, *choices)
    assert ours.shape == (len(lengths), 3, target, skeleton.joint_count, bodies)
    for n, (start, count) in enumerate(zip(starts, frames, strict=True)):
        theirs = slow(values[start : start + count], skeleton, target, *choices)
        assert np.allclose(ours[n], theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("side", [-1, 1])
def test_shoulders_end_up_along_x(side):
    values, starts, frames = ragged([30, 17])
    left, right = NTU.shoulders
    values[..., right, 2] = values[..., left, 2] + side * (1 + np.abs(values[..., right, 2]))
    ours = prepare_clips(values, starts, frames, NTU, 50)
    lines = ours[:, :, :, right] - ours[:, :, :, left]
    assert (lines[:, 0] > 1).all()
    assert np.abs(lines[:, 2]).max() < 0.01
    assert np.abs(ours[:, :, :, NTU.center]).max() == 0


@pytest.mark.parametrize("choices", [("frame", "frame", "none"), ("first-frame", "first-frame", "unit-range")])
def test_absent_body_stays_zero(choices):
    values, starts, frames = ragged([20])
    values[:, 1] = 0
    prepared = prepare_clips(values, starts, frames, NTU, 50, *choices)
    assert np.abs(prepared[..., 1]).max() == 0 and np.abs(prepared[..., 0]).min(axis=(0, 2)).max() > 0


def test_a_walk_is_kept_from_the_first_frame_on():
    """A body that does not change its pose moves by 3 m, and so does all of it; two bodies keep their distance."""
    pose = np.random.default_rng(1).normal(size=(2, 25, 3)).astype(np.float32)
    walk = np.linspace([0, 0, 0], [0, 0, 3], 50, dtype=np.float32)[:, None, None]
    values, starts, frames = pose + walk, np.array([0]), np.array([50])
    (kept,) = prepare_clips(values, starts, frames, NTU, 50, "first-frame", "none")
    assert np.allclose(kept.transpose(1, 3, 2, 0), values - pose[0, NTU.center], atol=1e-5)
    (lost,) = prepare_clips(values, starts, frames, NTU, 50, "frame", "none")
    assert np.ptp(lost, axis=1).max() < 1e-5


def test_a_pirouette_is_kept_from_the_first_frame_on():
    """However a clip is turned as a whole, it ends up the same, and as far from its first frame as before."""
    values, starts, frames = ragged([30], bodies=1)
    prepared = []
    for angle in (0.0, 1.0, 4.0):
        matrix = [[math.cos(angle), 0, -math.sin(angle)], [0, 1, 0], [math.sin(angle), 0, math.cos(angle)]]
        turned = (values @ np.float32(matrix)).astype(np.float32)
        prepared.append(prepare_clips(turned, starts, frames, NTU, 30, "first-frame", "first-frame"))
    left, right = NTU.shoulders
    lines = prepared[0][0, :, :, right, 0] - prepared[0][0, :, :, left, 0]
    assert lines[0, 0] > 0 and abs(lines[2, 0]) < 1e-5 and np.abs(lines[2, 1:]).min() > 1e-3
    for other in prepared[1:]:
        assert np.allclose(other, prepared[0], atol=1e-4)


@pytest.mark.parametrize("each_axis", [False, True])
@given(factor=st.floats(1e-2, 1e2), shift=st.floats(-10, 10))
def test_unit_range(each_axis, factor, shift):
    """The range is [-1, 1], whatever it was before: that of each axis, or of the longest only."""
    clips = np.random.default_rng(0).normal(size=(3, 3, 7, 5, 2)).astype(np.float32)
    clips[:, 1] *= 3
    scaled = unit_range(clips, each_axis)
    low, high = scaled.min(axis=(2, 3, 4)), scaled.max(axis=(2, 3, 4))
    assert np.allclose(low, -high, atol=1e-6)
    assert np.allclose(high[:, 1], 1, atol=1e-6) and (np.abs(high[:, ::2] - 1) < 1e-6).all() == each_axis
    factors = np.float32([1, factor, 2] if each_axis else [factor] * 3).reshape(3, 1, 1, 1)
    assert np.allclose(unit_range((clips + np.float32(shift)) * factors, each_axis), scaled, atol=1e-4)


def test_without_a_range_or_shoulders():
    clips = np.random.default_rng(0).normal(size=(1, 3, 7, 5, 1)).astype(np.float32)
    clips[:, 1] = 0.3
    scaled = unit_range(clips, each_axis=True)
    assert (scaled[:, 1] == 0).all() and scaled[:, 0].max() == 1
    assert not unit_range(np.zeros_like(clips), each_axis=True).any()
    assert np.array_equal(turn_by_first_frame(clips, 2, 2), clips)


def test_a_clip_has_the_same_bits_in_any_chunk():
    values, starts, frames = ragged([9, 30, 14])
    whole = prepare_clips(values, starts, frames, NTU, 50)
    for n in range(3):
        alone = prepare_clips(values[starts[n] : starts[n] + frames[n]], np.array([0]), frames[n : n + 1], NTU, 50)
        assert np.array_equal(alone[0], whole[n])


def test_usable_length_counts_where_body_1_is():
    values, starts, frames = ragged([5, 4])
    values[1, 0, 0], values[6:, 0, 0] = 0, 0
    assert usable_length(values, starts, frames).tolist() == [4, 1]


def test_refusals():
    values, starts, frames = ragged([6, 5])
    values[6:, 0, 0] = 0
    with pytest.raises(InputError, match=r"clip 1: .*no length"):
        prepare_clips(values, starts, frames, NTU, 50)
    values, starts, frames = ragged([6, 5])
    for bad in (np.nan, np.inf):
        values[8, 1, 3, 2] = bad
        with pytest.raises(InputError, match=r"clip 1: a coordinate of frame 3 is NaN or infinite"):
            prepare_clips(values, starts, frames, NTU, 50)
    values[8, 1, 3, 2] = 0
    with pytest.raises(InputError, match="shape"):
        prepare_clips(values, starts, frames, KINECT, 50)
    with pytest.raises(InputError, match=r"clip 1: .*not within"):
        prepare_clips(values, starts, frames + np.array([0, 1]), NTU, 50)
    with pytest.raises(InputError, match="0 frames"):
        prepare_clips(values, starts, frames, NTU, 0)
