"""The augmentations of extreme views: against slow transcriptions, and how their draws are spread."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ikem.augmentations.axis_mask import AxisMask, random_axis_mask
from ikem.augmentations.gaussian_blur import GaussianBlur, blur_weights, random_blur
from ikem.augmentations.gaussian_noise import GaussianNoise, random_noise, standard_normal
from ikem.augmentations.registry import AUGMENTATIONS
from ikem.augmentations.rotation import Rotation, random_rotation, rotation_angles, rotation_matrices
from ikem.augmentations.swap import Swap, mirrored_joints, random_swap
from ikem.augmentations.time_flip import TimeFlip, random_time_flip
from ikem.augmentations.views import Views
from ikem.errors import InputError
from ikem.skeleton import load_skeleton

NTU, KINECT = load_skeleton("ntu25"), load_skeleton("kinect20")
NEW = ("swap", "rotation", "gaussian_noise", "gaussian_blur", "axis_mask", "time_flip")
MANY = 20_000


def uniform(count, numbers, seed=0):
    return torch.rand(count, numbers, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clips(count=12, frames=20, dtype=torch.float64, skeleton=NTU):
    shape = (count, 2, 3, frames, skeleton.joint_count)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def changed(before, after):
    """(N,) whether each clip is another."""
    return (before != after).flatten(1).any(dim=1)


def test_swap_is_the_published_permutation():
    published = (0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15, 20, 23, 24, 21, 22)
    assert mirrored_joints(NTU) == published
    assert [KINECT.joints[other] for other in mirrored_joints(KINECT)][4:8] == list(KINECT.joints[8:12])


@pytest.mark.parametrize("negate", [False, True])
def test_swap_by_hand(negate):
    before, numbers = clips(), uniform(12, 1)
    after = random_swap(before, numbers, Swap(probability=0.4, negate_x=negate), NTU)
    left, right = NTU.joints.index("left_elbow"), NTU.joints.index("right_elbow")
    for number in range(12):
        if numbers[number, 0] >= 0.4:
            assert torch.equal(after[number], before[number])
            continue
        sign = torch.tensor([-1.0 if negate else 1.0, 1, 1], dtype=torch.float64).view(1, 3, 1)
        assert torch.equal(after[number, ..., left], sign * before[number, ..., right])
        assert torch.equal(after[number, ..., 3], sign * before[number, ..., 3])
    assert 0 < changed(before, after).sum() < 12


def test_swap_needs_sides():
    with pytest.raises(InputError, match="left_hand has no counterpart right_hand"):
        mirrored_joints(replace(NTU, joints=("left_hand", "b")))
    with pytest.raises(InputError, match="no name of a joint"):
        mirrored_joints(replace(NTU, joints=("a", "b")))


def turned(axis, angle):
    """A rotation about one axis, counter-clockwise seen from its tip."""
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = math.cos(angle)
    matrix[j, i], matrix[i, j] = math.sin(angle), -math.sin(angle)
    return matrix


def test_rotation_by_hand():
    before, numbers = clips(4), uniform(4, 4)
    after = random_rotation(before, numbers, Rotation(main_degrees=40.0, other_degrees=2.0), NTU)
    for number in range(4):
        main = int(3 * numbers[number, 0])
        matrix = np.eye(3)
        for axis in range(3):
            degrees = float(numbers[number, 1 + axis]) * (40 if axis == main else 2)
            matrix = turned(axis, math.radians(degrees)) @ matrix
        for t in (0, 7):
            for v in (0, 24):
                point = before[number, 1, :, t, v].numpy()
                assert np.allclose(after[number, 1, :, t, v].numpy(), matrix @ point, atol=1e-12)


def test_rotation_of_known_points():
    quarter = rotation_matrices(torch.eye(3, dtype=torch.float64) * math.pi / 2)
    x, y, z = torch.eye(3, dtype=torch.float64)
    for matrix, start, end in zip(quarter, (y, z, x), (z, x, y), strict=True):
        assert torch.allclose(matrix @ start, end, atol=1e-12)


def test_rotation_angles_are_spread_as_published():
    degrees = rotation_angles(uniform(MANY, 4)).rad2deg()
    main = degrees.max(dim=1).values
    large = degrees > 1
    assert degrees.min() >= 0 and 29.9 < main.max() <= 30
    assert (large.sum(dim=1) <= 1).all()
    assert (large.double().mean(dim=0) - 29 / 90).abs().max() < 0.015
    assert abs(degrees[large].mean() - 15.5) < 0.2
    assert abs(degrees[~large].mean() - 0.5) < 0.01


def test_noise_is_standard_normal_and_independent():
    noise = standard_normal(uniform(200, 1)[:, 0], 4001).double()
    assert noise.shape == (200, 4001)
    assert abs(noise.mean()) < 0.005 and abs(noise.std() - 1) < 0.005
    assert abs((noise**3).mean()) < 0.02 and abs((noise**4).mean() - 3) < 0.05
    assert 4.5 < noise.abs().max() < 6.8
    for lag in (1, 2, 3, 25, 2000, 2001):
        assert abs((noise[:, lag:] * noise[:, :-lag]).mean()) < 0.01
    assert abs((noise[1:] * noise[:-1]).mean()) < 0.01


def test_noise_by_hand():
    """Two numbers of each output of SplitMix64."""
    (number,) = uniform(1, 1, seed=3)[0].tolist()
    mask, step = 2**64 - 1, 0x9E3779B97F4A7C15

    def output(state):
        word = state = state & mask
        for shift, multiplier in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            word = ((word ^ (word >> shift)) * multiplier) & mask
        return word ^ (word >> 31)

    start, first, second = output(int(number * 2**53) + step), [], []
    for count in range(1, 6):
        word = output(start + count * step)
        low, high = ((part + 2**31) % 2**32 - 2**31 for part in (word & 0xFFFFFFFF, word >> 32))
        radius = math.sqrt(-2 * math.log(low / 2**32 + 0.5))
        first.append(radius * math.cos(2 * math.pi * high / 2**32))
        second.append(radius * math.sin(2 * math.pi * high / 2**32))
    found = standard_normal(torch.tensor([number], dtype=torch.float64), 9)[0]
    assert torch.allclose(found, torch.tensor((first + second)[:9]), rtol=1e-4, atol=1e-5)


def test_noise_is_finite_whatever_the_words(monkeypatch):
    """The lowest of 2^32 words, whose float32 is -1/2, give the largest numbers that there are."""
    lowest, highest = -(2**31), 2**31 - 1
    pairs = torch.tensor([[lowest, lowest], [lowest + 64, 0], [0, highest], [highest, lowest]], dtype=torch.int32)
    words = pairs.flatten().view(torch.int64)[None]
    monkeypatch.setattr("ikem.encoders.dropout.random_words", lambda seeds, count: words[:, :count])
    noise = standard_normal(torch.zeros(1, dtype=torch.float64), 8)
    assert noise.isfinite().all()
    assert abs(noise.abs().max() - math.sqrt(66 * math.log(2))) < 1e-4, "of 2^-33"
    clip = torch.ones(1, 2, 1, 2, 2)
    assert torch.equal(random_noise(clip, torch.full((1, 2), 0.9).double(), GaussianNoise(), NTU), clip)


def test_noise_is_added_to_the_chosen_clips():
    before, numbers = clips(200, 8), uniform(200, 2)
    after = random_noise(before, numbers, GaussianNoise(), NTU)
    assert torch.equal(changed(before, after), numbers[:, 0] < 0.5)
    added = (after - before)[numbers[:, 0] < 0.5]
    assert abs(added.std() - 0.01) < 2e-4 and abs(added.mean()) < 2e-4
    alone = random_noise(before[5:6], numbers[5:6], GaussianNoise(), NTU)
    assert torch.equal(alone[0], after[5])


@pytest.mark.parametrize("normalized", [False, True])
def test_blur_by_hand(normalized):
    before, numbers = clips(6, 11), uniform(6, 2)
    numbers[0, 0], numbers[1, 0] = 0.1, 0.9
    after = random_blur(before, numbers, GaussianBlur(normalized=normalized), NTU)
    for number in range(6):
        if numbers[number, 0] >= 0.5:
            assert torch.equal(after[number], before[number])
            continue
        deviation = 0.1 + 1.9 * float(numbers[number, 1])
        weights = [math.exp(-(i**2) / (2 * deviation**2)) for i in range(-7, 8)]
        total = sum(weights) if normalized else 1
        for t in range(11):
            near = [(i, t + i - 7) for i in range(15) if 0 <= t + i - 7 < 11]
            expected = sum(weights[i] / total * before[number, :, :, s] for i, s in near)
            assert torch.allclose(after[number, :, :, t], expected, atol=1e-12)


def test_blur_weights_are_spread_as_published():
    weights = blur_weights(uniform(MANY, 2), GaussianBlur())
    blurred = weights[:, 6] > 0
    assert abs(blurred.double().mean() - 0.5) < 0.015
    assert (weights[:, 7] == 1).all()
    sums = weights[blurred].sum(dim=1)
    assert 1 <= sums.min() < 1.01 and 4.9 < sums.max() < 5.02
    deviation = (-0.5 / weights[weights[:, 6] > 1e-5, 6].log()).sqrt()
    assert deviation.max() <= 2 and abs(deviation.median() - (2 + 0.208) / 2) < 0.03
    assert torch.allclose(
        blur_weights(uniform(9, 2), GaussianBlur(normalized=True)).sum(dim=1), torch.ones(9, dtype=torch.float64)
    )
    with pytest.raises(ValidationError, match="smallest_deviation"):
        GaussianBlur(smallest_deviation=3.0)


def test_axis_mask_by_hand_and_as_published():
    before, numbers = clips(MANY // 10, 2), uniform(MANY // 10, 2)
    after = random_axis_mask(before, numbers, AxisMask(), NTU)
    axes = (after == 0).all(dim=4).all(dim=3).all(dim=1)
    for number in range(40):
        expected = before[number].clone()
        if numbers[number, 0] < 0.5:
            expected[:, int(3 * numbers[number, 1])] = 0
        assert torch.equal(after[number], expected)
    assert axes.sum(dim=1).max() == 1
    assert (axes.double().mean(dim=0) - 1 / 6).abs().max() < 0.03


def test_time_flip_by_hand():
    before, numbers = clips(9, 5), uniform(9, 1)
    after = random_time_flip(before, numbers, TimeFlip(), NTU)
    for number in range(9):
        frames = list(range(5))[:: -1 if numbers[number, 0] < 0.5 else 1]
        assert torch.equal(after[number], before[number][:, :, frames])
    assert 0 < changed(before, after).sum() < 9


@pytest.mark.parametrize("kind", [kind for kind in NEW if kind != "rotation"])
def test_probability_of_none_and_of_all(kind):
    augmentation, before = AUGMENTATIONS[kind], clips(300, 6, torch.float32)
    numbers = uniform(300, augmentation.numbers)
    shares = []
    for probability in (0.0, 0.5, 1.0):
        options = augmentation.options(probability=probability)
        shares.append(float(changed(before, augmentation.apply(before, numbers, options, NTU)).double().mean()))
    assert shares[0] == 0 and abs(shares[1] - 0.5) < 0.1
    assert shares[2] > 0.9  # a blur of deviation 0.1 rounds to none


@pytest.mark.parametrize("skeleton", [NTU, KINECT], ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize("kind", NEW)
def test_a_clip_does_not_depend_on_its_batch(kind, skeleton):
    """Function of (seed, epoch, view, clip); nothing reads a value on the host."""
    before = clips(30, 12, torch.float32, skeleton)
    options = (AUGMENTATIONS[kind].options(),)
    rows = torch.arange(30)

    def view(chosen, seed=5, epoch=2, count=30):
        return Views(options, skeleton, seed, epoch, count, 2)(before[chosen], chosen, 1)

    whole = view(rows)
    assert torch.equal(view(rows[7:9], count=99), whole[7:9])
    assert not torch.equal(view(rows, seed=6), whole) and not torch.equal(view(rows, epoch=3), whole)
    assert whole.dtype == torch.float32 and whole.shape == before.shape
    shapes = Views(options, skeleton, 5, 2, 30, 1)(before.to("meta"), rows.to("meta"), 0)
    assert shapes.shape == before.shape
