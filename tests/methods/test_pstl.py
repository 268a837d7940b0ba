"""PSTL: loss and masks against slow transcriptions, statistics of the masks, and a step in its parts."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from helpers import EVERY_METHOD
from ikem.encoders.dropout import random_words
from ikem.encoders.registry import build_encoder
from ikem.encoders.stgcn.encoder import STGCN
from ikem.errors import InputError
from ikem.methods.pstl.losses import barlow_twins
from ikem.methods.pstl.masks import remaining_joints, slow_frames
from ikem.methods.pstl.model import PartialLearning
from ikem.methods.pstl.trainer import PSTLTrainer
from ikem.settings.loading import load_config
from ikem.skeleton import load_skeleton
from ikem.training.loader import Clips
from ikem.training.optimizers import build_optimizer, learning_rate
from ikem.workflow.plan import Plan
from stage_support import CPU, write_prepared

NTU = load_skeleton("ntu25")
DEGREES = [3, 2, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 1, 4, 1, 2, 1, 2]
"""Edges of each joint of NTU RGB+D."""

pytestmark = pytest.mark.usefixtures("threads")


def features(seed, batch=7, width=5):
    return torch.randn(batch, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_barlow_twins(first, second, weight):
    """Feature by feature, clip by clip."""
    standardized = []
    for values in (first, second):
        columns = []
        for column in values.t():
            mean = sum(column) / len(column)
            variance = sum((value - mean) ** 2 for value in column) / len(column)
            columns.append([(value - mean) / (variance + 1e-5).sqrt() for value in column])
        standardized.append(columns)
    loss = 0
    for i, left in enumerate(standardized[0]):
        for j, right in enumerate(standardized[1]):
            c = sum(a * b for a, b in zip(left, right, strict=True)) / len(left)
            loss = loss + ((1 - c) ** 2 if i == j else weight * c**2)
    return loss


def test_loss_against_transcription():
    first, second = features(0).requires_grad_(), features(1).requires_grad_()
    found, expected = (loss(first, second, 0.3) for loss in (barlow_twins, slow_barlow_twins))
    assert torch.allclose(found, expected, rtol=1e-10)
    gradients = [torch.autograd.grad(loss, (first, second)) for loss in (found, expected)]
    assert all(torch.allclose(*pair, rtol=1e-8) for pair in zip(*gradients, strict=True))
    assert torch.autograd.gradcheck(lambda a, b: barlow_twins(a, b, 0.3), (first, second))


def test_loss_of_known_correlations():
    """Features that are orthogonal over the batch: equal, opposite, and in another order."""
    signs = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float64)
    z = 100 * signs.t()[:, 1:]  # (4 clips, 3 features), mean 0
    known = {1: (z, 0), -1: (-z, 3 * 4), 0: (z.roll(1, dims=1), 3 + 3 * 0.5)}
    for other, expected in known.values():
        assert torch.allclose(barlow_twins(z, other, 0.5), torch.tensor(float(expected), dtype=torch.float64))


def test_frames_in_loops():
    x = torch.randn(5, 2, 3, 11, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = slow_frames(x, 3, 2, seed=9)
    dropped = set(random_words(torch.tensor([9]), 8)[0].argsort()[:2].tolist())
    for clip, kept in zip(x, found, strict=True):
        motion = [((clip[:, :, t + 1] - clip[:, :, t]) ** 2).mean().item() for t in range(10)] + [0.0]
        fastest = sorted(range(11), key=lambda t: motion[t])[-3:]
        left = [t for t in range(11) if t not in fastest]
        chosen = [t for number, t in enumerate(left) if number not in dropped]
        assert torch.equal(kept, clip[:, :, chosen])


def test_frames_at_random_are_equally_likely():
    """Of a clip that stands still but for one frame: that one is dropped, and each other one as often as others."""
    x = torch.arange(10.0).view(1, 1, 1, 10, 1).clone()
    x[0, 0, 0, 4] = 100  # the motion of frames 3 and 4
    counts = torch.zeros(101, dtype=torch.int64)
    for seed in range(2000):
        kept = slow_frames(x, 2, 3, seed).flatten()
        assert len(kept) == 5 and (kept.diff() > 0).all()
        counts[kept.long()] += 1
    assert counts[3] == counts[100] == 0
    assert (counts[[0, 1, 2, 5, 6, 7, 8, 9]] - 2000 * 5 / 8).abs().max() < 4 * (2000 * 15 / 64) ** 0.5
    assert torch.equal(slow_frames(x, 0, 0, 1), x)


def test_joints_leave_as_often_as_they_have_edges():
    """8 draws of the 48 ends of edges; by simulation these are 8 joints in 47 % of draws, 7 in 41 %, 6 in 11 %."""
    degrees = np.bincount(np.asarray(NTU.graph_edges).flatten())
    assert degrees.tolist() == DEGREES
    count, gone, sizes = 4000, np.zeros(25), np.zeros(9)
    for seed in range(count):
        left = remaining_joints(NTU, 8, seed)
        assert (np.diff(left) > 0).all()
        gone[np.setdiff1d(np.arange(25), left)] += 1
        sizes[25 - len(left)] += 1
    # A joint of d ends stays if none of 8 draws without replacement is one of them.
    stays = [np.prod([(48 - d - k) / (48 - k) for k in range(8)]) for d in DEGREES]
    assert np.abs(gone / count - (1 - np.asarray(stays))).max() < 0.03
    assert np.abs(sizes[[8, 7, 6]] / count - [0.47, 0.41, 0.11]).max() < 0.03
    assert remaining_joints(NTU, 0, 1).tolist() == list(range(25))


def encoder(**options):
    torch.manual_seed(0)
    return build_encoder(STGCN(hidden_channels=4, hidden_dim=16, dropout=0.0, **options), NTU)


def test_left_out_joints_are_as_if_the_graph_had_never_had_them():
    """The encoder on the remaining joints, with a graph that has only these; the input is normalized whole."""
    built, kept = encoder(), torch.tensor([0, 1, 2, 4, 5, 8, 12, 20])
    x = torch.randn(3, 2, 3, 16, 25)
    with torch.no_grad():
        for block in built.blocks:
            block.edge_importance.add_(torch.rand_like(block.edge_importance))
    small = encoder()
    small.load_state_dict(built.state_dict())
    found = built(x, None, kept)
    for block in small.blocks:
        block.edge_importance = torch.nn.Parameter(block.edge_importance[:, kept][:, :, kept].detach())
    small.adjacency = small.adjacency[:, kept][:, :, kept]
    normalized = built.input_norm.train()(x.flatten(0, 1).permute(0, 3, 1, 2).reshape(6, 75, 16)).view(3, 2, 25, 3, 16)
    small.input_norm = torch.nn.Identity()
    assert torch.allclose(found, small(normalized.permute(0, 1, 3, 4, 2)[..., kept]), atol=1e-5)
    assert not torch.allclose(found, built(x), atol=1e-3)
    assert torch.equal(built(x, None, torch.arange(25)), built(x))
    again = encoder(activation_checkpointing=True)
    again.load_state_dict(built.state_dict())
    assert torch.equal(again(x, None, kept), built(x, None, kept))


def job(**changes):
    (found,) = (job for job in Plan(load_config(*EVERY_METHOD)).all_jobs() if job.name.kind == "pstl")
    return {**found.settings, **changes}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return Clips(write_prepared(tmp_path_factory.mktemp("prepared"), 8), np.arange(8), CPU, resident=True)


@pytest.mark.parametrize("draws", ["batch", "clip"])
def test_a_step_in_its_parts(draws, clips, monkeypatch):
    """The views that the model gets."""
    settings = job(draws=draws, augmentations=[{"kind": "shear", "amplitude": 1.0}], seed=3)
    trainer = PSTLTrainer(settings, clips, CPU, {})
    (batch,) = clips.batches([np.arange(8)])
    given = []
    losses = trainer.model.losses
    monkeypatch.setattr(trainer.model, "losses", lambda *inputs: given.extend(inputs) or losses(*inputs))
    trainer.begin_epoch(0)
    trainer.step(batch, 0, 1)
    whole, slow, peripheral, joints, weight, _ = given
    assert weight == 2e-4 and slow.shape[3] == 16 - 3 - 3 and 17 <= len(joints) <= 19
    matrices = []
    for view in (whole, peripheral):
        flat = [x.permute(0, 2, 1, 3, 4).reshape(8, 3, -1).double() for x in (batch.position, view)]
        matrices.append(flat[1] @ torch.linalg.pinv(flat[0]))  # the shear of each clip
    same = [torch.allclose(each, each[:1].expand_as(each), atol=1e-5) for each in matrices]
    assert same == [draws == "batch"] * 2
    assert not torch.allclose(*matrices, atol=1e-2)


def test_gradients_reach_the_encoder_through_every_view():
    model = PartialLearning(NTU, STGCN(hidden_channels=4, hidden_dim=16, dropout=0.0), 12, 0)
    x = torch.randn(3, 4, 2, 3, 16, 25)
    x.requires_grad_()
    losses = model.losses(x[0], x[1][..., :10, :], x[2], torch.arange(20), 2e-4, 0)
    (gradient,) = torch.autograd.grad(losses[0] + losses[1], x)
    assert all(view.abs().sum() > 0 for view in gradient)
    assert gradient[1][..., 10:, :].abs().sum() == 0 and gradient[2][..., 20:].abs().sum() == 0


def test_a_batch_of_one_clip_is_refused(clips):
    schedule = job()["schedule"] | {"batch_size": 7}
    with pytest.raises(InputError, match="alone in its batch"):
        PSTLTrainer(job(schedule=schedule, drop_last=False), clips, CPU, {})
    PSTLTrainer(job(schedule=schedule, drop_last=True), clips, CPU, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "tiny-bigru"}, "methods.pstl.recipe: its encoder is bigru; only stgcn"),
        ({"fast_frames": 0.5, "random_frames": 0.5}, "random_frames: together with fast_frames at most 0.9"),
    ],
)
def test_options_are_checked(changes, message):
    with pytest.raises(InputError, match=message):
        load_config(*EVERY_METHOD, changes={"methods": {"pstl": changes}})


def test_the_published_schedule():
    """The first epoch has the rate 0, the eleventh the full one, and half a cosine follows."""
    config = load_config(*EVERY_METHOD)
    schedule = config.recipes["pstl"].schedule.job_settings()
    rates = [learning_rate(schedule, epoch) for epoch in range(150)]
    assert rates[:3] == [0, 0.0005, 0.001] and rates[10] == 0.005 and abs(rates[80] - 0.0025) < 1e-12
    assert all(later < earlier for earlier, later in pairwise(rates[10:])) and rates[149] < 1e-6
    optimizer = build_optimizer([torch.nn.Parameter(torch.ones(1))], schedule)
    assert type(optimizer) is torch.optim.Adam and optimizer.defaults["weight_decay"] == 1e-5
    other = schedule | {"decay": schedule["decay"] | {"warmup_from_zero": False}}
    assert abs(learning_rate(other, 0) - 0.005 / 11) < 1e-12
