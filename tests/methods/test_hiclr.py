"""The joint mask of HiCLR; its loss is tested with AimCLR's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ikem.methods.hiclr.joint_mask import joint_mask
from ikem.methods.hiclr.trainer import HiCLRTrainer
from ikem.training.loader import Clips
from ikem.training.loop import training_tensors
from stage_support import CPU, stage_jobs, write_prepared

CLIPS = 8


@pytest.mark.parametrize("count", [0, 1, 2, 25])
def test_mask_has_as_many_joints_in_every_frame(count):
    mask = joint_mask(2**63 - 1, 50, 25, count, CPU)
    assert mask.shape == (50, 25) and mask.dtype == torch.bool
    assert (mask.sum(dim=1) == count).all()


def test_mask_is_spread_evenly():
    masks = torch.stack([joint_mask(seed, 50, 25, 2, CPU) for seed in range(400)]).double()
    assert (masks.mean(dim=(0, 1)) - 0.08).abs().max() < 0.01
    assert (masks.mean(dim=0) - 0.08).abs().max() < 0.07
    pairs = torch.einsum("nti,ntj->ij", masks, masks) / masks[..., 0].numel()
    assert (pairs[~torch.eye(25, dtype=bool)] - 2 / (25 * 24)).abs().max() < 0.003
    neighbors = (masks[:, 1:] * masks[:, :-1]).mean()  # frames are independent
    assert abs(neighbors - 0.08**2) < 0.001


def test_mask_is_a_function_of_its_seed():
    assert torch.equal(joint_mask(5, 9, 25, 3, CPU), joint_mask(5, 9, 25, 3, CPU))
    assert not torch.equal(joint_mask(5, 9, 25, 3, CPU), joint_mask(6, 9, 25, 3, CPU))
    assert joint_mask(5, 9, 25, 3, torch.device("meta")).shape == (9, 25)


def test_only_the_last_view_is_masked_and_the_number_is_learned(tmp_path):
    settings, inputs = stage_jobs(write_prepared(tmp_path, CLIPS), CLIPS, tmp_path)["hiclr"]
    clips = Clips(tmp_path / "position.npy", np.arange(CLIPS), CPU, resident=True)
    trainer = HiCLRTrainer(settings, clips, CPU, inputs)
    (batch,) = clips.batches([np.arange(CLIPS)])
    trainer.begin_epoch(0)
    seen = []
    branch = trainer.model.query["joint"]
    branch.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    with torch.no_grad():
        trainer.mask_value.fill_(77)
    positions = trainer.positions(batch)
    trainer.step(batch, 0, 0)
    query, first, second = seen
    assert torch.equal(query, positions[0]) and torch.equal(first, positions[2])
    masked = second == 77
    assert torch.equal(second[~masked], positions[3][~masked])
    assert (masked == masked[:1, :1, :1]).all() and (masked[0, 0, 0].sum(dim=1) == 2).all()
    assert trainer.mask_value != 77
    assert training_tensors(trainer)["mask_value"].shape == (1,)
