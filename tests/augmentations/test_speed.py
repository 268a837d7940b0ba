"""Change of speed, against PyTorch's own interpolation, and the spread of its draws."""

import pytest
import torch
import torch.nn.functional as F

from ikem.augmentations.speed import AUGMENTATION, Speed, lengths, resize
from ikem.skeleton import load_skeleton


def uniform(count, numbers, seed=0):
    return torch.rand(count, numbers, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("frames", [1, 7, 20])
def test_against_interpolate(frames):
    clips = torch.randn(30, 2, 3, frames, 4, dtype=torch.float64)
    length = lengths(uniform(30, 2), frames, Speed(probability=1.0))
    for clip, count, found in zip(clips, length.tolist(), resize(clips, length), strict=True):
        flat = clip.permute(0, 1, 3, 2).flatten(0, 1)  # (2 * 3, V, T)
        resized = F.interpolate(flat, size=count, mode="linear", align_corners=False)[..., :frames]
        expected = F.pad(resized, (0, frames - resized.shape[2]))
        assert torch.allclose(found.permute(0, 1, 3, 2).flatten(0, 1), expected, atol=1e-12)


def test_draws():
    """Half of the clips keep their speed; the others have 25 to 74 frames of 50, each as often."""
    length = lengths(uniform(40000, 2), 50, Speed())
    counts = torch.bincount(length)
    assert counts[:25].sum() == 0 and len(counts) == 75
    counts[50] -= 20000
    assert abs(counts[50]) < 4 * 100 + 400 + 200
    others = torch.cat([counts[25:50], counts[51:]])
    assert (others - 400).abs().max() < 5 * 20
    assert (lengths(uniform(100, 2), 1, Speed(probability=1.0)) == 1).all()


def test_an_unchanged_clip_is_left_alone():
    clips = torch.randn(4, 2, 3, 9, 25)
    assert torch.equal(AUGMENTATION.apply(clips, uniform(4, 2), Speed(probability=0.0), load_skeleton("ntu25")), clips)
