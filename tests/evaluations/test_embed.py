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
            embedded = embed_clips(torch.nn.Flatten(), stored, torch.device("cpu"), "float32")
    finally:
        torch.set_warn_always(False)
    expected = array.transpose(0, 4, 1, 2, 3).reshape(5, bodies, -1).mean(axis=1)
    np.testing.assert_allclose(embedded.numpy(), expected, rtol=1e-6)


class Counted(torch.nn.Module):
    """Embeds a body as its sum plus one, and counts clips."""

    count = 0

    def forward(self, x):
        self.count += len(x)
        return 1 + x.sum(dim=(2, 3, 4)).mean(dim=1, keepdim=True)


def test_absent_bodies_are_embedded_once():
    array = np.ones((4, 3, 2, 2, 2), np.float32)
    array[0, ..., 1] = array[2, ..., 1] = array[3] = 0
    encoder = Counted()
    embedded = embed_clips(encoder, array, torch.device("cpu"), "float32")
    assert embedded[:, 0].tolist() == [7.0, 13.0, 7.0, 1.0]
    assert encoder.count == 5  # four that are present, and one for all that are not
