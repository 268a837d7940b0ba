"""Mixing, pooling and loss of SkeleMixCLR against slow transcriptions; how its draws are spread."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from helpers import units
from ikem.encoders.pooling import pool
from ikem.errors import InputError
from ikem.losses.infonce import info_nce
from ikem.methods.skelemixclr.losses import region_loss
from ikem.methods.skelemixclr.mixing import Mix, body_parts, draw_mix, mixed, pool_regions, region
from ikem.methods.skelemixclr.trainer import SkeleMixTrainer
from ikem.seeding import seed_for
from ikem.skeleton import load_skeleton
from ikem.training.loader import Clips
from ikem.training.moco import unit
from stage_support import CPU, stage_jobs, write_prepared

NTU, KINECT = load_skeleton("ntu25"), load_skeleton("kinect20")
BATCH, DIM, SIZE, T = 4, 5, 11, 0.2
CLIPS = 8


def test_body_parts_are_the_published_ones():
    published = [{4, 3, 21, 2, 1}, {9, 10, 11, 12, 24, 25}, {5, 6, 7, 8, 22, 23}, {17, 18, 19, 20}, {13, 14, 15, 16}]
    found = [{joint + 1 for joint in part} for part in body_parts(NTU)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, published))
    assert [len(part) for part in body_parts(KINECT)] == [4, 4, 4, 4, 4]
    assert body_parts(replace(NTU, joints=tuple("abcdefghijklmnopqrstuvwxy"))) == [list(range(25))]


def masks(skeleton=NTU):
    return [torch.tensor([v in part for v in range(skeleton.joint_count)]) for part in body_parts(skeleton)]


def test_draws_are_spread_as_published():
    mixes = [draw_mix(seed, 128, 16, 5, (2, 3), (7 / 16, 11 / 16)) for seed in range(20_000)]
    assert {mix.length for mix in mixes} == set(range(7, 12))
    assert {len(mix.parts) for mix in mixes} == {2, 3}
    assert {mix.shift for mix in mixes} == set(range(1, 127))
    assert all(tuple(sorted(set(mix.parts))) == mix.parts for mix in mixes)
    for counts, different in (
        (Counter(mix.length for mix in mixes), 5),
        (Counter(len(mix.parts) for mix in mixes), 2),
        (Counter(part for mix in mixes for part in mix.parts), 2),  # each of 5 in half of the mixes
        (Counter(mix.start for mix in mixes if mix.length == 9), 40),
    ):
        assert all(abs(count * different / 20_000 - 1) < 0.25 for count in counts.values())
    assert {mix.start for mix in mixes if mix.length == 11} == set(range(6))
    assert draw_mix(7, 128, 16, 5, (2, 3), (0.4, 0.7)) == draw_mix(7, 128, 16, 5, (2, 3), (0.4, 0.7))


@pytest.mark.parametrize(("batch", "shifts"), [(1, {0}), (2, {1}), (3, {1}), (4, {1, 2})])
def test_small_batches(batch, shifts):
    assert {draw_mix(seed, batch, 1, 5, (1, 4), (0.1, 0.9)).shift for seed in range(50)} == shifts


def test_one_frame_at_least():
    assert draw_mix(0, 8, 1, 5, (2, 3), (0.1, 0.2)) == replace(
        draw_mix(0, 8, 1, 5, (2, 3), (0.1, 0.2)), start=0, length=1
    )


@pytest.mark.parametrize(("frames", "of"), [(64, 16), (50, 13), (12, 12), (16, 4)])
def test_mixing_by_hand(frames, of):
    mix = Mix(shift=1, parts=(0, 3), start=of // 4, length=of // 2)
    joints = {joint for part in mix.parts for joint in body_parts(NTU)[part]}
    x = torch.randn(BATCH, 2, 3, frames, 25, generator=torch.Generator().manual_seed(0))
    after = mixed(x, mix, region(mix, masks(), frames, of))
    on_map = region(mix, masks(), of, of)
    for t in range(frames):
        step = t * of // frames
        if (frames, of) == (64, 16):
            assert step == t // 4
        inside = mix.start <= step < mix.start + mix.length
        for v in range(25):
            assert bool(on_map[step, v]) == (inside and v in joints)
            for clip in range(BATCH):
                source = (clip + 1) % BATCH if inside and v in joints else clip
                assert torch.equal(after[clip, :, :, t, v], x[source, :, :, t, v])


def test_pooling_by_hand():
    features = torch.randn(6, 3, 4, 25, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pasted = region(Mix(1, (1, 2), 1, 2), masks(), 4, 4)
    found = pool_regions(features, pasted, bodies=2)
    for clip in range(3):
        for channel in range(3):
            for number, chosen in enumerate((pasted, ~pasted)):
                bodies = [features[2 * clip + body, channel][chosen].mean() for body in range(2)]
                assert torch.allclose(found[number, clip, channel], sum(bodies) / 2)
    share = pasted.double().mean()
    assert torch.allclose(share * found[0] + (1 - share) * found[1], pool(features, bodies=2))


@pytest.mark.parametrize("mask", [False, True])
def test_loss_against_transcription(mask):
    z, other = (units(BATCH, DIM, seed=seed).requires_grad_() for seed in (3, 4))
    key, queue = units(BATCH, DIM, seed=1), units(DIM, SIZE, seed=2, dim=0)
    masked = torch.rand(BATCH, SIZE, generator=torch.Generator().manual_seed(4)) < 0.4 if mask else None
    theirs = 0
    for clip in range(BATCH):
        columns = [queue[:, j] for j in range(SIZE) if masked is None or not masked[clip, j]]
        negatives = sum((z[clip] @ column / T).exp() for column in [*columns, other[clip].detach()])
        positive = (z[clip] @ key[clip] / T).exp()
        theirs = theirs - (positive / (positive + negatives)).log() / BATCH
    ours = region_loss(z, key, queue, other, T, masked)
    assert torch.allclose(ours, theirs, rtol=1e-12)
    assert torch.allclose(torch.autograd.grad(ours, z)[0], torch.autograd.grad(theirs, z)[0], rtol=1e-10)
    assert torch.autograd.gradcheck(lambda x: region_loss(x, key, queue, other.detach(), T, masked), z)


def test_loss_of_equal_similarities():
    zero = torch.zeros(BATCH, DIM, dtype=torch.float64)
    queue = units(DIM, SIZE, seed=2, dim=0)
    expected = torch.tensor(2.0 + SIZE, dtype=torch.float64).log()
    assert torch.allclose(region_loss(zero, zero, queue, zero, T), expected)


@pytest.fixture
def job(tmp_path):
    settings, _ = stage_jobs(write_prepared(tmp_path, CLIPS), CLIPS, tmp_path)["skelemixclr"]
    return settings, Clips(tmp_path / "position.npy", np.arange(CLIPS), CPU, resident=True)


@pytest.mark.parametrize("sum_of_mixes", ["sum", "mean"])
def test_a_step_in_its_parts(job, sum_of_mixes):
    settings, clips = job
    settings = settings | {"sum_of_mixes": sum_of_mixes, "mixes": 2}
    settings["encoder"] = settings["encoder"] | {"dropout": 0.0}
    first, second = (SkeleMixTrainer(settings, clips, CPU, {}) for _ in range(2))
    (batch,) = clips.batches([np.arange(CLIPS)])
    first.begin_epoch(0)
    views = [{"joint": position} for position in first.positions(batch)]
    loss = first.losses(views, 0, 5, batch.rows)["joint"]

    branch, queue = second.model.query["joint"], second.model.queue.stacked[0]
    key = second.model.key["joint"](views[1]["joint"], 0)[1]
    x, temperature = views[0]["joint"], second.model.temperature
    expected = info_nce(branch(x, 0)[1], key, queue, temperature)
    frames = branch.features(x, 0).shape[2]
    for number in range(2):
        seed = seed_for(seed_for(5, "joint", "mix", number), "draw")
        mix = draw_mix(seed, CLIPS, frames, 5, (2, 3), (7 / 16, 11 / 16))
        clip = mixed(x, mix, region(mix, masks(), 16, frames))
        parts = pool_regions(branch.features(clip, 0), region(mix, masks(), frames, frames), bodies=2)
        pasted, rest = (unit(branch.head(part)) for part in parts)
        partner = torch.stack([key[(clip + mix.shift) % CLIPS] for clip in range(CLIPS)])
        both = region_loss(pasted, partner, queue, rest, temperature) + region_loss(
            rest, key, queue, pasted, temperature
        )
        expected = expected + both / 2 / (2 if sum_of_mixes == "mean" else 1)
    assert torch.allclose(loss, expected, rtol=1e-4)


def test_the_head_has_batch_normalization(job):
    settings, clips = job
    trainer = SkeleMixTrainer(settings | {"normalized_head": True}, clips, CPU, {})
    for branches in (trainer.model.query, trainer.model.key):
        kinds = [type(layer) for layer in branches["joint"].head]
        assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    (batch,) = clips.batches([np.arange(CLIPS)])
    trainer.begin_epoch(0)
    assert trainer.step(batch, 0, 0)["joint"].isfinite()


def test_refusals(job):
    settings, clips = job
    with pytest.raises(InputError, match="5 body parts, of which 5"):
        SkeleMixTrainer(settings | {"most_parts": 5}, clips, CPU, {})
    schedule = settings["schedule"] | {"batch_size": 7}
    with pytest.raises(InputError, match="8 clips leave a batch of one"):
        SkeleMixTrainer(settings | {"schedule": schedule, "normalized_head": True}, clips, CPU, {})
    SkeleMixTrainer(settings | {"schedule": schedule, "normalized_head": True, "drop_last": True}, clips, CPU, {})
