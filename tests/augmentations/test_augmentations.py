import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from helpers import in_memory, near, vectors
from ikem.augmentations.crop import Crop, crop, crop_start
from ikem.augmentations.declaration import Augmentation
from ikem.augmentations.registry import AUGMENTATIONS, PUBLISHED, AugmentationEntry
from ikem.augmentations.shear import Shear, shear, shear_matrices
from ikem.augmentations.views import Views
from ikem.seeding import seed_for
from ikem.skeleton import load_skeleton

SKELETON = load_skeleton("ntu25")


def uniform(count, numbers, seed=0):
    return torch.rand(count, numbers, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_reference_vectors():
    loaded = vectors("augment")
    cropped = crop(in_memory(loaded["position"]), torch.from_numpy(loaded["crop_start"]))
    near(cropped.permute(0, 2, 3, 4, 1), loaded["cropped"])
    near(shear(cropped, torch.from_numpy(loaded["shear"])).permute(0, 2, 3, 4, 1), loaded["cropped_sheared"])


@given(frames=st.integers(1, 30), ratio=st.integers(1, 8), seed=st.integers(0, 99))
def test_crop_against_a_padded_list(frames, ratio, seed):
    padding = frames // ratio
    (start,) = crop_start(uniform(1, 1, seed), frames, ratio).tolist()
    assert 0 <= start <= 2 * padding
    times = list(range(frames))
    padded = times[:padding][::-1] + times + times[frames - padding :][::-1]
    clip = torch.arange(frames, dtype=torch.float32).view(1, 1, 1, frames, 1).expand(1, 2, 3, frames, 4)
    cropped = crop(clip, torch.tensor([start]), ratio)
    assert cropped.shape == clip.shape
    assert cropped[0, 1, 2, :, 3].tolist() == padded[start : start + frames]


def test_no_padding():
    clip = torch.randn(2, 1, 3, 9, 4)
    assert torch.equal(crop(clip, crop_start(uniform(2, 1), 9, 0), 0), clip)


def test_shear_is_a_matrix_product():
    clip, matrices = torch.randn(3, 2, 3, 5, 4), torch.randn(3, 3, 3)
    sheared = shear(clip, matrices)
    for n in range(3):
        for m in range(2):
            for t in range(5):
                assert torch.allclose(sheared[n, m, :, t, 1], matrices[n] @ clip[n, m, :, t, 1], atol=1e-5)


def test_draws_are_spread_as_published():
    counts = torch.bincount(crop_start(uniform(20000, 1), 50))
    assert len(counts) == 17 and counts.min() > 1000  # 0 .. 2 (50 // 6), 1176 each
    matrices = shear_matrices(uniform(20000, 6)).numpy()
    off = matrices[:, ~np.eye(3, dtype=bool)]
    assert np.abs(off).max() <= 0.5 and abs(off.mean()) < 0.01 and abs(off.std() - 1 / 12**0.5) < 0.005
    assert np.abs(np.corrcoef(off.T) - np.eye(6)).max() < 0.05
    assert (matrices[:, np.eye(3, dtype=bool)] == 1).all()
    assert shear_matrices(uniform(100, 6), 0.1)[:, 0, 1].abs().max() <= 0.1


COUNT, FRAMES = 30, 50
CLIPS = torch.randn(COUNT, 2, 3, FRAMES, 25, generator=torch.Generator().manual_seed(2))


def view_of(rows, augmentations=PUBLISHED, seed=5, epoch=2, view=1, count=COUNT, views=2):
    rows = torch.tensor(rows)
    return Views(augmentations, SKELETON, seed, epoch, count, views)(CLIPS[rows], rows, view)


def test_draws_are_those_of_seed_epoch_view_and_clip():
    """The published augmentations, from the definition of their random numbers."""
    base, rows = seed_for(5, "augmentation") & 0xFFFFFFFF, [4, 17]
    numbers = np.random.default_rng([0xA06, base, 2, 1]).random((COUNT, 7))[rows]
    start = torch.from_numpy((numbers[:, 0] * 17).astype(np.int64))
    matrices = np.tile(np.eye(3, dtype=np.float32), (2, 1, 1))
    matrices[:, ~np.eye(3, dtype=bool)] = (2 * numbers[:, 1:] - 1) * 0.5
    expected = shear(crop(CLIPS[rows], start), torch.from_numpy(matrices))
    assert torch.equal(view_of(rows), expected)
    assert torch.equal(view_of(rows, count=COUNT + 9, views=3), expected)  # other clips and views change nothing
    for other in ({"seed": 6}, {"epoch": 3}, {"view": 0}):
        assert not torch.equal(view_of(rows, **other), expected)


def test_batch_layout_does_not_matter():
    whole, parts = view_of([5, 0, 1, 2, 3, 4]), torch.cat([view_of([5, 0]), view_of([1, 2, 3, 4])])
    assert torch.equal(whole, parts)


def test_options_and_order():
    rows = [0, 3]
    assert torch.equal(view_of(rows, ()), CLIPS[rows])
    assert torch.equal(view_of(rows, (Crop(padding_ratio=0), Shear(amplitude=0.0))), CLIPS[rows])
    gentle = view_of(rows, (Shear(amplitude=0.01),))
    assert not torch.equal(gentle, CLIPS[rows]) and torch.allclose(gentle, CLIPS[rows], atol=0.1)
    assert not torch.equal(view_of(rows, (Shear(), Crop())), view_of(rows))


def test_an_augmentation_is_one_entry(monkeypatch):
    class Flip(Crop):
        kind: str = "flip"

    def flip(position, uniform, options, skeleton):
        return position.flip(3).where(uniform.view(-1, 1, 1, 1, 1) < 0.5, position)

    monkeypatch.setitem(AUGMENTATIONS, "flip", Augmentation(Flip, 1, flip))
    rows = list(range(COUNT))
    found = view_of(rows, (Flip(),))
    kept = [torch.equal(clip, other) for clip, other in zip(found, CLIPS, strict=True)]
    flipped = [torch.equal(clip, other.flip(2)) for clip, other in zip(found, CLIPS, strict=True)]
    assert sum(kept) + sum(flipped) == COUNT and 5 < sum(kept) < 25


def test_entries_are_validated():
    entries = TypeAdapter(tuple[AugmentationEntry, ...])
    assert entries.validate_json('[{"kind": "crop"}, {"kind": "shear"}]') == PUBLISHED
    assert entries.validate_json('[{"kind": "shear", "amplitude": 1.0}]') == (Shear(amplitude=1.0),)
    for wrong in (
        '[{"kind": "blur"}]',
        '[{"kind": "shear", "amplitude": -1.0}]',
        '[{"kind": "crop", "amplitude": 1.0}]',
    ):
        with pytest.raises(ValidationError):
            entries.validate_json(wrong)
    for name, augmentation in AUGMENTATIONS.items():
        assert augmentation.options().kind == name and "arXiv" in augmentation.options.__doc__
