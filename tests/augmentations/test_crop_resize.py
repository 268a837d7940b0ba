"""Crop and resize, against PyTorch's own interpolation clip by clip, and the spread of its draws."""

import pytest
import torch
import torch.nn.functional as F

from ikem.augmentations.crop_resize import CropResize, at_times, crop_frames, crop_resize
from ikem.augmentations.views import Views
from ikem.skeleton import load_skeleton


def uniform(count, numbers, seed=0):
    return torch.rand(count, numbers, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("frames", [1, 2, 7, 50])
def test_against_interpolate(frames):
    clips = torch.randn(20, 2, 3, frames, 4, dtype=torch.float64)
    start, length = crop_frames(uniform(20, 2), frames, CropResize(smallest=0.1, at_least=0.0))
    resized = crop_resize(clips, start, length)
    for clip, first, count, found in zip(clips, start.tolist(), length.tolist(), resized, strict=True):
        part = clip[:, :, first : first + count].permute(0, 1, 3, 2).flatten(0, 1)  # (2 * 3, V, L)
        expected = F.interpolate(part, size=frames, mode="linear", align_corners=False)
        assert torch.allclose(found.permute(0, 1, 3, 2).flatten(0, 1), expected, atol=1e-12)


def test_the_whole_clip_is_left_alone():
    clips = torch.randn(3, 1, 3, 9, 4)
    whole = crop_resize(clips, torch.zeros(3, dtype=torch.int64), torch.full((3,), 9))
    assert torch.equal(whole, clips)


def test_times_between_frames():
    clip = torch.tensor([0.0, 10.0, 40.0]).view(1, 1, 1, 3, 1)
    assert at_times(clip, torch.tensor([[0.0, 0.5, 1.0, 1.25, 2.0]])).flatten().tolist() == [0, 5, 10, 17.5, 40]


def test_draws():
    """A part of 0.1 to 1, but 0.75 at least: 72 % of the draws are 37 frames of 50; each crop lies within the clip."""
    start, length = crop_frames(uniform(40000, 2), 50, CropResize())
    assert length.min() == 37 and length.max() == 49
    assert abs((length == 37).double().mean() - (0.76 - 0.1) / 0.9) < 0.01  # up to a part of 38 / 50
    assert ((start >= 0) & (start + length <= 50)).all()
    counts = torch.bincount(start[length == 37])
    assert len(counts) == 14 and counts.min() > 0.9 * counts.float().mean()
    start, length = crop_frames(uniform(40000, 2), 50, CropResize(at_least=0.0))
    counts = torch.bincount(length)
    assert len(counts) == 50 and counts[:5].sum() == 0 and counts[5:].min() > 0.85 * 40000 / 45
    assert (crop_frames(uniform(100, 2), 1, CropResize())[1] == 1).all()


def test_as_a_view():
    skeleton, clips = load_skeleton("ntu25"), torch.randn(6, 2, 3, 16, 25)
    views = Views([CropResize(at_least=0.3)], skeleton, 0, 0, 6, views=1)
    seen = views(clips, torch.arange(6), 0)
    assert seen.shape == clips.shape and not torch.equal(seen, clips)
