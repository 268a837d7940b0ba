"""Shear or corruption, against plain loops, and its probabilities."""

import torch

from ikem.augmentations.shear_or_corruption import (
    AUGMENTATION,
    ShearOrCorruption,
    corrupt,
    random_subset,
)
from ikem.skeleton import load_skeleton

SKELETON = load_skeleton("ntu25")


def uniform(count, numbers, seed=0):
    return torch.rand(count, numbers, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def applied(clips, numbers, **options):
    return AUGMENTATION.apply(clips, numbers, ShearOrCorruption(**options), SKELETON)


def test_corruption_in_loops():
    clips, matrices = torch.randn(3, 2, 3, 4, 5), torch.randn(3, 3, 3)
    joints = torch.rand(3, 5) < 0.5
    found = corrupt(clips, matrices, joints)
    for n in range(3):
        for m in range(2):
            for t in range(4):
                for v in range(5):
                    vector = clips[n, m, :, t, v]
                    expected = matrices[n] @ vector if joints[n, v] else vector
                    assert torch.allclose(found[n, m, :, t, v], expected, atol=1e-6)


def test_the_draws_of_a_clip():
    """From the random numbers of each clip, by hand."""
    clips, numbers = torch.randn(200, 2, 3, 4, 25, dtype=torch.float64), uniform(200, 12)
    found = applied(clips, numbers)
    kinds = {"shear": 0, "zero": 0, "matrix": 0}
    for clip, number, seen in zip(clips, numbers, found, strict=True):
        signed = [2 * float(value) - 1 for value in number[2:11]]
        changed = (seen != clip).any(dim=(0, 2)).any(dim=0)  # (V,)
        if number[0] >= 0.5:
            kinds["shear"] += 1
            a, b, c, d, e, f = signed[:6]
            matrix = torch.tensor([[1, a, b], [c, 1, d], [e, f, 1]], dtype=torch.float64)
            assert changed.all()
            assert torch.allclose(seen, torch.einsum("ij,mjtv->mitv", matrix, clip))
            continue
        kind = "zero" if number[1] < 0.5 else "matrix"
        kinds[kind] += 1
        assert changed.sum() == 15
        matrix = torch.tensor(signed, dtype=torch.float64).view(3, 3) * (kind == "matrix")
        assert torch.allclose(seen[..., changed], torch.einsum("ij,mjtv->mitv", matrix, clip[..., changed]))
    assert kinds["shear"] > 80 and min(kinds["zero"], kinds["matrix"]) > 35


def test_probabilities_and_ranges():
    """Of 8000 clips that are the unit vectors at three joints: the result is the matrix itself."""
    clips = torch.eye(3, dtype=torch.float64).expand(8000, 1, 1, 3, 3).transpose(2, 3).repeat_interleave(25, dim=4)
    numbers = uniform(8000, 12)
    found = applied(clips, numbers)
    share = [
        (found == 0).all(dim=2).flatten(1).any(dim=1).double().mean(),  # a joint that became zero
        (found == clips).all(dim=2).flatten(1).any(dim=1).double().mean(),  # a joint that was left alone
    ]
    assert abs(share[0] - 0.25) < 0.02 and abs(share[1] - 0.5) < 0.02
    assert found.abs().max() <= 1 and found.max() > 0.999 and found.min() < -0.999
    gentle = applied(clips, numbers, corruption=0.0, amplitude=0.1) - clips
    assert 0.0999 < gentle.abs().max() <= 0.1
    assert torch.equal(applied(clips, numbers, corruption=1.0, joints=0.0), clips)
    assert (applied(clips, numbers, corruption=1.0, joints=1.0, zero=1.0) == 0).all()


def test_subsets_are_equally_likely():
    """Of 5 things 2 are chosen: 10 subsets, 1000 times each."""
    chosen = random_subset(uniform(10000, 1)[:, 0], 5, 2)
    assert (chosen.sum(dim=1) == 2).all()
    counts = torch.bincount((chosen * 2 ** torch.arange(5)).sum(dim=1))
    counts = counts[counts > 0]
    assert len(counts) == 10 and ((counts - 1000) ** 2 / 1000).sum() < 27.9  # chi-squared, 9 degrees: 0.1 %
