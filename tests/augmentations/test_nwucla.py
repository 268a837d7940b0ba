"""Augmentations of view and time that are usual for NW-UCLA."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ikem.augmentations.frame_sampling import FrameSampling, random_frame_sampling, sampled_frames
from ikem.augmentations.scaling import Scaling, random_scaling
from ikem.augmentations.view_rotation import ViewRotation, random_view_rotation
from ikem.skeleton import load_skeleton

SKELETON = load_skeleton("kinect20")
CLIPS = torch.randn(3, 2, 3, 5, 20, generator=torch.Generator().manual_seed(0))


def slow_rotation(point, turn, tilt):
    """One point: about the vertical axis y, then about the horizontal axis x."""
    x, y, z = point
    x, z = math.cos(turn) * x + math.sin(turn) * z, math.cos(turn) * z - math.sin(turn) * x
    y, z = math.cos(tilt) * y - math.sin(tilt) * z, math.cos(tilt) * z + math.sin(tilt) * y
    return [x, y, z]


def test_rotation_point_by_point():
    numbers = torch.tensor([[0.1, 0.9], [0.5, 0.5], [0.0, 0.3]], dtype=torch.float64)
    found = random_view_rotation(CLIPS, numbers, ViewRotation(turn_degrees=90, tilt_degrees=20), SKELETON)
    for n, (first, second) in enumerate(numbers.tolist()):
        angles = math.radians(90 * (2 * first - 1)), math.radians(20 * (2 * second - 1))
        for m in range(2):
            for t in range(5):
                for v in range(20):
                    expected = slow_rotation(CLIPS[n, m, :, t, v].tolist(), *angles)
                    assert found[n, m, :, t, v].tolist() == pytest.approx(expected, abs=1e-5)
    assert torch.equal(found[1], CLIPS[1])


def test_bones_keep_their_lengths():
    numbers = torch.rand(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = random_view_rotation(CLIPS.double(), numbers, ViewRotation(turn_degrees=180, tilt_degrees=180), SKELETON)
    assert torch.allclose(found.diff(dim=4).norm(dim=2), CLIPS.double().diff(dim=4).norm(dim=2))


def test_a_turn_keeps_heights_and_a_tilt_keeps_widths():
    numbers = torch.rand(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    turned = random_view_rotation(CLIPS, numbers, ViewRotation(tilt_degrees=0), SKELETON)
    tilted = random_view_rotation(CLIPS, numbers, ViewRotation(turn_degrees=0), SKELETON)
    assert torch.equal(turned[:, :, 1], CLIPS[:, :, 1]) and torch.equal(tilted[:, :, 0], CLIPS[:, :, 0])
    assert not torch.allclose(turned[:, :, 0], CLIPS[:, :, 0]) and not torch.allclose(tilted[:, :, 1], CLIPS[:, :, 1])


def test_scaling():
    numbers = torch.tensor([[0.0], [0.5], [0.75]], dtype=torch.float64)
    found = random_scaling(CLIPS, numbers, Scaling(low=0.5, high=2.5), SKELETON)
    for clip, other, factor in zip(found, CLIPS, (0.5, 1.5, 2.0), strict=True):
        assert np.array_equal(clip, other * np.float32(factor))


def test_scaling_in_order():
    with pytest.raises(ValidationError, match=r"low: 2 must not be more than high \(1.5\)"):
        Scaling(low=2)


def test_sampled_frames_are_independent_and_sorted():
    frames = sampled_frames(torch.rand(4000, dtype=torch.float64, generator=torch.Generator().manual_seed(3)), 7)
    assert (frames.diff(dim=1) >= 0).all()
    counts = torch.bincount(frames.flatten(), minlength=8)
    assert counts[7] == 0 and (counts[:7] - 4000).abs().max() < 300  # 5 standard deviations
    # Seven different frames are one in 7^7 / 7!, 163.4.
    assert 10 < (frames == torch.arange(7)).all(dim=1).sum() < 42
    assert torch.equal(
        sampled_frames(torch.tensor([0.3, 0.6], dtype=torch.float64), 7)[1:],
        sampled_frames(torch.tensor([0.6], dtype=torch.float64), 7),
    )


def test_frames_are_moved_whole():
    numbers = torch.rand(3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    found = random_frame_sampling(CLIPS, numbers, FrameSampling(), SKELETON)
    for n, frames in enumerate(sampled_frames(numbers[:, 0], 5).tolist()):
        for t, frame in enumerate(frames):
            assert torch.equal(found[n, :, :, t], CLIPS[n, :, :, frame])
