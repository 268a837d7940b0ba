import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers import vectors
from ikem.data.prepare import prepare_clips, usable_length
from ikem.errors import InputError
from ikem.skeleton import load_skeleton

NTU, KINECT = load_skeleton("ntu25"), load_skeleton("kinect20")


def slow(clip, skeleton, target, turn=True):
    """One clip (L, M, V, 3) to (3, T, V, M), number by number."""
    length = sum(bool((frame[0, 0] != 0).any()) for frame in clip)
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
                resized[t] += weight * (frame - frame[skeleton.center])
        lines = resized[:, right] - resized[:, left]
        flip = -1 if lines[:, 2].sum() >= 0 else 1
        for t in range(target):
            x, z = lines[t, 0], lines[t, 2]
            theta = flip * math.acos(x / (math.hypot(x, z) + 1e-4)) if turn else 0.0
            matrix = np.array(
                [[math.cos(theta), 0, -math.sin(theta)], [0, 1, 0], [math.sin(theta), 0, math.cos(theta)]]
            )
            result[:, t, :, m] = matrix @ resized[t].T
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
    turn=st.booleans(),
)
@example(lengths=[1, 1], bodies=1, skeleton=NTU, target=1, turn=False)  # a gap in clip 0 would empty clip 1
@example(lengths=[1], bodies=1, skeleton=NTU, target=1, turn=False)
@example(lengths=[2, 1], bodies=2, skeleton=KINECT, target=13, turn=True)
@settings(max_examples=25, deadline=None)
def test_against_transcription(lengths, bodies, skeleton, target, turn):
    values, starts, frames = ragged(lengths, bodies, skeleton.joint_count, seed=sum(lengths))
    if frames[0] > 1:
        values[starts[0] + 1, 0, 0] = 0  # a gap
    ours = prepare_clips(values, starts, frames, skeleton, target, turn)
    assert ours.shape == (len(lengths), 3, target, skeleton.joint_count, bodies)
    for n, (start, count) in enumerate(zip(starts, frames, strict=True)):
        theirs = slow(values[start : start + count], skeleton, target, turn)
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


def test_absent_body_stays_zero():
    values, starts, frames = ragged([20])
    values[:, 1] = 0
    assert np.abs(prepare_clips(values, starts, frames, NTU, 50)[..., 1]).max() == 0


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
