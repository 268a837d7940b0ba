"""Embedding the clips of a modality array."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from ikem.evaluations.embed import embed_clips


@pytest.mark.parametrize("bodies", [1, 2])
def test_read_only_arrays_are_embedded_without_a_warning(tmp_path, bodies):
    array = np.random.default_rng(0).normal(size=(5, 3, 4, 6, bodies)).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    stored = np.load(tmp_path / "a.npy", mmap_mode="r")
    torch.set_warn_always(True)  # as a rule PyTorch warns once in a process
    try:
        with warnings.catch_warnings(action="error"):
            embedded = embed_clips(Flat(), stored, torch.device("cpu"), "float32")
    finally:
        torch.set_warn_always(False)
    np.testing.assert_allclose(embedded.numpy(), array.mean(axis=-1).reshape(5, -1), rtol=1e-6)


class Flat(torch.nn.Module):
    """The embedding is the clip itself, a mean over bodies; 1 is added so that an absent body does not embed to 0."""

    def __init__(self, added=0.0):
        super().__init__()
        self.added, self.bodies = added, []

    def forward(self, x):
        self.bodies.append(x.shape[0] * x.shape[1])
        return x.flatten(2).mean(dim=1) + self.added


def test_absent_bodies_are_embedded_once():
    """And count in the mean over bodies."""
    array = np.random.default_rng(0).normal(size=(4, 3, 4, 6, 2)).astype(np.float32)
    array[0, ..., 1] = array[2, ..., 1] = array[3, ..., 0] = array[3, ..., 1] = 0
    encoder = Flat(1.0)
    embedded = embed_clips(encoder, array, torch.device("cpu"), "float32")
    np.testing.assert_allclose(embedded.numpy(), 1 + array.mean(axis=-1).reshape(4, -1), rtol=1e-5, atol=1e-6)
    assert encoder.bodies == [5]  # four that are present, and one for all that are absent
