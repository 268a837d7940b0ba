"""The losses and the attention-guided drop of AimCLR, against slow transcriptions and cases with a known answer."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from torch.nn import functional

from helpers import EVERY_METHOD, units
from ikem.encoders.pooling import pool
from ikem.errors import InputError
from ikem.losses.infonce import info_nce
from ikem.methods.aimclr.attention_drop import attention, drop_attended
from ikem.methods.aimclr.losses import divergence, mined_contrast, view_losses
from ikem.methods.aimclr.trainer import AimCLRTrainer
from ikem.settings.loading import load_config
from ikem.training.loader import Clips
from ikem.training.moco import unit
from ikem.workflow.plan import Plan
from stage_support import CPU, stage_jobs, write_prepared

VIEWS, BATCH, DIM, SIZE, T = 3, 4, 5, 11, 0.07
CLIPS = 8
KEY, QUEUE = units(BATCH, DIM, seed=1), units(DIM, SIZE, seed=2, dim=0)


def features(seed=3):
    return units(VIEWS, BATCH, DIM, seed=seed).requires_grad_()


def slow_distribution(z, k, columns):
    """The probabilities of the key and of each column, one by one."""
    exponentials = [(z @ other / T).exp() for other in (k, *columns)]
    return [each / sum(exponentials) for each in exponentials]


def slow_view_losses(z, key, queue, targets, top_k, positives, masked=None):
    total = 0
    for clip in range(BATCH):
        columns = [queue[:, j] for j in range(SIZE) if masked is None or not masked[clip, j]]
        each = [slow_distribution(view[clip], key[clip], columns) for view in z]
        chosen = {0}
        if top_k:
            for probabilities in each:
                ranked = sorted(range(1, len(probabilities)), key=lambda j: -float(probabilities[j].detach()))
                chosen |= set(ranked[:top_k])
        if positives == "together":
            total = total - sum(each[0][j] for j in chosen).log()
        else:
            total = total - sum(each[0][j].log() for j in chosen) / len(chosen)
        for view, target in enumerate(targets, start=1):
            pairs = zip(each[target], each[view], strict=True)
            total = total - 0.5 * sum(p.detach() * q.log() for p, q in pairs)
    return total / BATCH


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("positives", ["separate", "together"])
@pytest.mark.parametrize("top_k", [0, 1, 2])
@pytest.mark.parametrize("targets", [(0, 0), (0, 1)], ids=["aimclr", "hiclr"])
def test_view_losses_against_transcription(targets, top_k, positives, mask):
    z = features()
    masked = torch.rand(BATCH, SIZE, generator=torch.Generator().manual_seed(4)) < 0.4 if mask else None
    ours = view_losses(z, KEY, QUEUE, T, targets, top_k, positives, masked)
    theirs = slow_view_losses(z, KEY, QUEUE, targets, top_k, positives, masked)
    assert torch.allclose(ours, theirs, rtol=1e-10)
    gradients = [torch.autograd.grad(loss, z)[0] for loss in (ours, theirs)]
    assert torch.allclose(*gradients, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("positives", ["separate", "together"])
def test_gradients_in_double_precision(positives):
    every = torch.randn(BATCH, 1 + SIZE, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * 4
    mined = torch.tensor([[0, 3], [1, 1], [10, 2], [5, 6]])
    assert torch.autograd.gradcheck(lambda x: mined_contrast(x, mined, positives), every.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda x: divergence(every, x), (every * 0.5).requires_grad_())
    z = features()
    further = z.detach()[1:]
    assert torch.autograd.gradcheck(
        lambda x: view_losses(torch.cat([further[:1], x]), KEY, QUEUE, T, (0, 0), 2, positives),
        further.clone().requires_grad_(),
    )


def test_targets_are_constants():
    z = features()
    loss = view_losses(z, KEY, QUEUE, T, (0, 0)) - info_nce(z[0], KEY, QUEUE, T)
    (gradient,) = torch.autograd.grad(loss, z)
    assert gradient[0].abs().max() < 1e-12 and gradient[1:].abs().min() > 1e-9


def test_known_answers():
    """Equal logits are a uniform distribution, whose entropy is log(1 + K)."""
    every = torch.zeros(BATCH, 1 + SIZE, dtype=torch.float64)
    total = math.log(1 + SIZE)
    assert math.isclose(divergence(every, every), total)
    assert math.isclose(mined_contrast(every, torch.tensor([[1, 1, 2]] * BATCH)), total)
    assert math.isclose(mined_contrast(every, torch.tensor([[1, 1, 2]] * BATCH), "together"), total - math.log(3))
    whole = view_losses(torch.zeros(3, BATCH, DIM, dtype=torch.float64), KEY, QUEUE, T, (0, 0))
    assert math.isclose(whole, 2 * total)


def test_a_queue_of_masked_columns_leaves_the_key():
    z, masked = features(), torch.ones(BATCH, SIZE, dtype=torch.bool)
    for positives in ("separate", "together"):
        for dtype in (torch.float32, torch.float64):
            loss = view_losses(z.to(dtype), KEY.to(dtype), QUEUE.to(dtype), T, (0, 0), 2, positives, masked)
            assert loss == 0
            assert torch.autograd.grad(loss, z)[0].abs().max() == 0


def test_half_precision_is_widened():
    z = features().detach().bfloat16()
    loss = view_losses(z, KEY.float(), QUEUE.float(), T, (0, 0), 1)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, view_losses(z.float(), KEY.float(), QUEUE.float(), T, (0, 0), 1))


def maps(count=3, channels=4, frames=5, joints=6, seed=0):
    x = torch.randn(count, channels, frames, joints, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x.relu() ** 3).requires_grad_()  # few values stand out


def slow_attention(x):
    result = x.clone()
    for n in range(x.shape[0]):
        for d in range(x.shape[1]):
            values = x[n, d].flatten().tolist()
            mean = sum(values) / len(values)
            squares = [(value - mean) ** 2 for value in values]
            for index, square in enumerate(squares):
                energy = square / (4 * (sum(squares) / (len(values) - 1) + 1e-4)) + 0.5
                result[n, d].view(-1)[index] = 1 / (1 + math.exp(-energy))
    return result


def slow_drop(x, joint_threshold, time_threshold, time_drop):
    every = slow_attention(x.detach())
    count, channels, frames, joints = x.shape
    first, second = torch.ones_like(every), torch.ones_like(every)
    for n in range(count):
        for v in range(joints):
            if every[n, :, :, v].mean() >= joint_threshold:
                first[n, :, :, v] = 0
        for t in range(frames):
            if time_drop == "frames" and every[n, :, t].mean() >= time_threshold:
                second[n, :, t] = 0
            if time_drop == "values":
                for d in range(channels):
                    for v in range(joints):
                        if every[n, d, t, v] >= time_threshold:
                            second[n, d, t, v] = 0
    # A mask of joints has an entry for each joint, one of frames an entry for each frame: the shares are the same.
    return x * first * (first.numel() / first.sum()) * second * (second.numel() / second.sum())


@pytest.mark.parametrize("time_drop", ["values", "frames"])
@pytest.mark.parametrize("thresholds", [(0.66, 0.66), (0.66, 1.0), (1.0, 0.66)])
def test_drop_against_transcription(thresholds, time_drop):
    x = maps()
    assert torch.allclose(attention(x.detach()), slow_attention(x.detach()), rtol=1e-12)
    ours, theirs = drop_attended(x, *thresholds, time_drop), slow_drop(x, *thresholds, time_drop)
    assert torch.allclose(ours, theirs, rtol=1e-12)
    assert ((ours == 0) & (x > 0)).any()
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    gradients = [torch.autograd.grad((each * weight).sum(), x)[0] for each in (ours, theirs)]
    assert torch.allclose(*gradients, rtol=1e-12)


def test_drop_gradient_in_double_precision():
    """Away from the thresholds, where masks jump."""
    x = maps(2, 2, 3, 3).detach()
    assert torch.autograd.gradcheck(lambda y: drop_attended(y, 0.7, 0.7, "values"), x.requires_grad_())


def test_drop_of_known_maps():
    """A constant map has the least attention, sigmoid(1/2); one large value among zeros stands out by itself."""
    constant = torch.full((2, 3, 4, 5), 7.0, dtype=torch.float64)
    assert torch.allclose(attention(constant), torch.full_like(constant, 1 / (1 + math.exp(-0.5))))
    assert torch.equal(drop_attended(constant, 0.7, 0.7, "values"), constant)
    alone = torch.zeros(1, 1, 4, 5, dtype=torch.float64)
    alone[0, 0, 1, 2] = 1.0
    assert drop_attended(alone, 1.0, 0.7, "values").abs().sum() == 0
    assert drop_attended(alone, 0.7, 1.0, "values").abs().sum() == 0
    every = drop_attended(constant, 0.1, 0.1, "values")  # all dropped: no division by zero
    assert every.abs().sum() == 0
    single = torch.ones(2, 3, 1, 1)
    assert torch.equal(drop_attended(single, 0.7, 0.7, "frames"), single)


def test_drop_in_half_precision():
    x = maps().detach().bfloat16()
    assert drop_attended(x, 0.7, 0.7, "values").dtype == torch.bfloat16
    assert attention(x).dtype == torch.float32
    kept = drop_attended(x, 0.7, 0.7, "values") != 0
    assert torch.equal(kept, drop_attended(x.float(), 0.7, 0.7, "values") != 0)
    assert functional.mse_loss(drop_attended(x, 2.0, 2.0, "values").float(), x.float()) == 0


@pytest.fixture
def job(tmp_path):
    settings, _ = stage_jobs(write_prepared(tmp_path, CLIPS), CLIPS, tmp_path)["aimclr"]
    settings["encoder"] = settings["encoder"] | {"dropout": 0.0}
    return settings, Clips(tmp_path / "position.npy", np.arange(CLIPS), CPU, resident=True)


@pytest.mark.parametrize("mining_epoch", [1, 2])
def test_a_step_in_its_parts(job, mining_epoch):
    """Neighbors are mined from epoch `mining_epoch` on, in the queue as it was."""
    settings, clips = job
    settings = settings | {"mining_epoch": mining_epoch, "top_k": 2, "joint_threshold": 0.66}
    first, second = (AimCLRTrainer(settings, clips, CPU, {}) for _ in range(2))
    (batch,) = clips.batches([np.arange(CLIPS)])
    first.begin_epoch(1)
    query, key, extreme = first.positions(batch)
    loss = first.losses([{"joint": position} for position in (query, key, extreme)], 1, 5, batch.rows)["joint"]

    branch, queue = second.model.query["joint"], second.model.queue.stacked[0].clone()
    keys = second.model.key["joint"](key, 0)[1]
    maps = branch.features(extreme, 0)
    dropped = drop_attended(maps, 0.66, 0.7, "values")
    assert not torch.equal(dropped, maps)
    embeddings = [branch.encoder(query), pool(maps, 2), pool(dropped, 2)]
    z = torch.stack([unit(branch.head(embedding)) for embedding in embeddings])
    expected = view_losses(z, keys, queue, settings["contrast"]["temperature"], (0, 0), 2 if mining_epoch == 1 else 0)
    assert torch.allclose(loss, expected, rtol=1e-4)
    state = first.model.state_dict()
    assert torch.allclose(state["queue.joint"][:, :CLIPS], keys.t(), atol=1e-5)
    assert torch.equal(state["queue.joint"][:, CLIPS:], queue[:, CLIPS:])


def test_views_are_different_draws(job):
    settings, clips = job
    trainer = AimCLRTrainer(settings | {"extreme_augmentations": settings["augmentations"]}, clips, CPU, {})
    (batch,) = clips.batches([np.arange(CLIPS)])
    trainer.begin_epoch(0)
    views = trainer.positions(batch)
    trainer.begin_epoch(1)
    views += trainer.positions(batch)
    assert len(views) == 6
    assert all(not torch.equal(a, b) for a, b in combinations(views, 2))


def configured(**options):
    return load_config(*EVERY_METHOD, changes={"methods": {"aimclr": options}})


def test_mining_begins_after_stage_1_of_the_recipe_by_default():
    found = {}
    for epoch in (None, 1, 900):
        jobs = Plan(configured(mining_epoch=epoch)).all_jobs()
        found[epoch] = next(job.settings["mining_epoch"] for job in jobs if job.name.kind == "aimclr")
    assert found == {None: 2, 1: 1, 900: 4}


def test_top_k_is_at_most_the_queue():
    with pytest.raises(InputError, match=r"methods\.aimclr\.top_k: more than the queue has; allowed are 1 to 20"):
        configured(top_k=21)
