"""What several tests use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ikem.encoders.stgcn.encoder import STGCN

TESTS = Path(__file__).parent
ROOT = TESTS.parent
VECTORS = TESTS / "vectors"
TINY = TESTS / "configs" / "tiny.yaml"
EVERY_METHOD = TINY, TESTS / "configs" / "methods.yaml"
"""A config with an entry of every method, in layers."""


class Narrow(STGCN):
    """An encoder small enough for tests."""

    hidden_channels: int = 4
    hidden_dim: int = 16
    feature_dim: int = 8


def units(*shape, seed=0, dim=-1, dtype=torch.float64):
    """Random unit vectors along `dim`."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=dtype), dim=dim)


def vectors(name):
    """Arrays of a file of reference vectors."""
    with np.load(VECTORS / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def in_memory(array):
    """(N, C, T, V, M) to (N, M, C, T, V)."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 4, 1, 2, 3)))


def near(ours, theirs):
    """The general tolerance of the reference vectors."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    limit = 1e-4 * np.abs(theirs) + 1e-5 * max(1.0, np.abs(theirs).max())
    assert (np.abs(ours - theirs) <= limit).all(), np.abs(ours - theirs).max()


def alike(one, other, threads):
    """Whether an encoder among others and a lone one give the same: the same bits with one numeric thread.

    With several, an encoder among others has one, a lone one has all, and they shape the last bits of its sums.
    """
    one, other = torch.as_tensor(one), torch.as_tensor(other)
    return torch.equal(one, other) if threads == 1 else torch.allclose(one, other, rtol=1e-3, atol=1e-3)
