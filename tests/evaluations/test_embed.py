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
    np.testing.assert_array_equal(embedded.numpy(), array.transpose(0, 4, 1, 2, 3).reshape(5, -1))
