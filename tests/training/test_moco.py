import copy

import pytest
import torch
import torch.nn.functional as F

from helpers import Narrow, alike, units
from ikem.losses.cross_modal import implicit_losses, mined_losses
from ikem.losses.infonce import info_nce
from ikem.seeding import seed_for
from ikem.skeleton import load_skeleton
from ikem.training.moco import MomentumContrast

NTU = load_skeleton("ntu25")
NAMES = ("joint", "motion", "bone")

pytestmark = pytest.mark.usefixtures("threads")


def model(names=NAMES, seed=0, queue_size=20, dropout=0.5, **options):
    settings = {"key_momentum": 0.9, "temperature": 0.07, "top_k": 1} | options
    return MomentumContrast(names, NTU, Narrow(dropout=dropout), queue_size, seed=seed, **settings)


def sgd(contrast, learning_rate, momentum, weight_decay):
    return torch.optim.SGD(contrast.trained_parameters(), learning_rate, momentum, weight_decay=weight_decay)


def views(names=NAMES, clips=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple({name: torch.randn(clips, 2, 3, 8, 25, generator=generator) for name in names} for _ in range(2))


def step(contrast, optimizer, stage, seed, **options):
    optimizer.zero_grad(set_to_none=True)
    losses = contrast.losses(*views(contrast.modalities, seed=seed), stage, dropout_seed=seed, **options)
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    return {name: loss.item() for name, loss in losses.items()}


def test_keys_start_equal_to_queries_and_queues_are_unit_columns():
    contrast = model()
    for mine, theirs in zip(contrast.query.parameters(), contrast.key.parameters(), strict=True):
        assert torch.equal(mine, theirs) and mine.requires_grad and not theirs.requires_grad
    assert torch.allclose(contrast.queue.stacked.norm(dim=1), torch.ones(3, 20))
    assert not torch.equal(contrast.queue.joint, contrast.queue.bone)


@pytest.mark.parametrize("stage", ["contrast", "exchange"])
def test_own_older_keys_are_masked(stage):
    """The second step sees the keys of the first."""
    query, key, losses = *views(), {}
    for mask, clips in ((True, torch.arange(4)), (True, torch.arange(4, 8)), (False, torch.arange(4))):
        contrast = model(queue_size=8, dropout=0.0, mask_own_keys=mask)
        contrast.losses(query, key, "contrast", clips=torch.arange(4))
        losses[mask, int(clips[0])] = contrast.losses(query, key, stage, clips=clips)
    for name in NAMES:
        torch.testing.assert_close(losses[True, 4][name], losses[False, 0][name])  # no older key is its own
        assert losses[True, 0][name] < losses[False, 0][name]


def test_a_queue_of_own_keys_has_no_negatives():
    contrast, (query, key) = model(queue_size=4, mask_own_keys=True), views()
    clips = torch.zeros(4, dtype=torch.int64)
    assert all(loss > 0 for loss in contrast.losses(query, key, "contrast", clips=clips).values())
    assert all(loss == 0 for loss in contrast.losses(query, key, "contrast", clips=clips).values())
    assert contrast.state_dict()["queue.clips"].tolist() == [0] * 4


def test_state_names():
    names = set(model().state_dict())
    assert {
        "queue.joint",
        "queue.pointer",
        "query.joint.encoder.blocks.0.graph.weight",
        "key.bone.head.2.bias",
    } <= names
    assert "exchange_head.motion.0.weight" in names
    assert not any(name.startswith("exchange_head") for name in model(["bone"]).state_dict())


def test_what_is_drawn_for_a_modality_does_not_depend_on_the_others():
    together = model().state_dict()
    for name in NAMES:
        for key, value in model([name]).state_dict().items():
            assert torch.equal(together[key], value), key
    assert not torch.equal(model(seed=1).state_dict()["queue.bone"], together["queue.bone"])
    assert not torch.equal(together["query.joint.head.0.weight"], together["query.bone.head.0.weight"])


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    contrast = model(initialization="pytorch")
    step(contrast, sgd(contrast, 0.1, 0.9, 0), "contrast", 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_stage_1_together_equals_stage_1_alone(threads):
    """Losses and all of the state."""
    together = model()
    optimizer = sgd(together, 0.1, 0.9, 1e-4)
    losses = [step(together, optimizer, "contrast", seed) for seed in (4, 5, 6)]
    for name in NAMES:
        alone = model([name])
        optimizer = sgd(alone, 0.1, 0.9, 1e-4)
        for seed, expected in zip((4, 5, 6), losses, strict=True):
            optimizer.zero_grad(set_to_none=True)
            query, key = ({name: view[name]} for view in views(seed=seed))
            loss = alone.losses(query, key, "contrast", dropout_seed=seed)[name]
            assert alike(loss.item(), expected[name], threads)
            loss.backward()
            optimizer.step()
        state = together.state_dict()
        for key, value in alone.state_dict().items():
            assert alike(state[key], value, threads), key


def test_a_step_in_its_parts():
    """Queries; momentum update; keys; losses against the queues as they were; then the queues take the keys."""
    contrast = model(dropout=0.0)
    optimizer = sgd(contrast, 0.1, 0.9, 1e-4)
    step(contrast, optimizer, "contrast", 1)
    old, queues = copy.deepcopy(contrast), contrast.state_dict()
    queues = torch.stack([queues[f"queue.{name}"] for name in NAMES]).clone()
    query_view, key_view = views(seed=2)
    losses = contrast.losses(query_view, key_view, "contrast")
    keys = []
    for index, name in enumerate(NAMES):
        query = F.normalize(old.query[name].head(old.query[name].encoder(query_view[name])), dim=1)
        with torch.no_grad():
            for mine, theirs in zip(old.key[name].parameters(), old.query[name].parameters(), strict=True):
                mine.mul_(0.9).add_(theirs, alpha=0.1)
            keys.append(F.normalize(old.key[name].head(old.key[name].encoder(key_view[name])), dim=1))
        assert torch.allclose(losses[name], info_nce(query, keys[-1], queues[index], 0.07), atol=1e-5)
    state = contrast.state_dict()
    assert int(state["queue.pointer"]) == 8
    for index, name in enumerate(NAMES):
        assert torch.allclose(state[f"queue.{name}"][:, 4:8], keys[index].t(), atol=1e-6)
        assert torch.equal(state[f"queue.{name}"][:, 8:], queues[index][:, 8:])
    for key in state:
        if "num_batches_tracked" in key:
            assert int(state[key]) == 2


@pytest.mark.parametrize(("explicit", "implicit"), [(True, True), (True, False), (False, True)])
def test_exchange_losses(explicit, implicit):
    contrast = model(dropout=0.0, top_k=2)
    twin = copy.deepcopy(contrast)
    query_view, key_view = views()
    losses = contrast.losses(query_view, key_view, "exchange", ("motion",), explicit, implicit)
    embedded = [twin.query[name].encoder(query_view[name]) for name in NAMES]
    queries = torch.stack([F.normalize(twin.query[n].head(e), dim=1) for n, e in zip(NAMES, embedded, strict=True)])
    exchanged = torch.stack(
        [F.normalize(twin.exchange_head[n](e), dim=1) for n, e in zip(NAMES, embedded, strict=True)]
    )
    with torch.no_grad():
        keys = torch.stack([F.normalize(twin.key[n].head(twin.key[n].encoder(key_view[n])), dim=1) for n in NAMES])
    expected = torch.zeros(3)
    if explicit:
        expected = expected + mined_losses(queries, keys, twin.queue.stacked, 0.07, 2).sum(dim=1) / 2
    if implicit:
        expected = expected + implicit_losses(exchanged, keys, twin.queue.stacked, 0.07)
    assert torch.allclose(torch.stack(list(losses.values())), expected, atol=1e-4)


def test_only_the_followed_keys_move_in_the_exchange():
    contrast = model()
    optimizer = sgd(contrast, 0.1, 0.9, 1e-4)
    step(contrast, optimizer, "contrast", 1)
    before = copy.deepcopy(contrast.key)
    step(contrast, optimizer, "exchange", 2, momentum_modalities=["motion"])
    for name in NAMES:
        moved = not torch.equal(contrast.key[name].head[0].weight, before[name].head[0].weight)
        assert moved == (name == "motion")
        mean = "input_norm.running_mean"
        assert not torch.equal(contrast.key[name].encoder.state_dict()[mean], before[name].encoder.state_dict()[mean])
    step(contrast, optimizer, "exchange", 3)  # all follow
    assert not torch.equal(contrast.key["bone"].head[0].weight, before["bone"].head[0].weight)


def test_parameters_without_gradient_stay():
    contrast = model()
    before = copy.deepcopy(contrast.exchange_head)
    step(contrast, sgd(contrast, 0.1, 0.9, 0.1), "contrast", 1)
    assert all(torch.equal(a, b) for a, b in zip(contrast.exchange_head.parameters(), before.parameters(), strict=True))


def test_a_state_is_all_there_is():
    """Going on from a state (with the optimizer's momentum) is the same as never having stopped."""
    one = model()
    first = sgd(one, 0.1, 0.9, 1e-4)
    step(one, first, "contrast", 1)
    step(one, first, "exchange", 2)
    two = model(seed=9)
    two.load_state_dict(one.state_dict())
    second = sgd(two, 0.1, 0.9, 1e-4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for seed in (3, 4):
        assert step(one, first, "exchange", seed) == step(two, second, "exchange", seed)
    found = two.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in one.state_dict().items())


def test_stage_1_states_load_by_name():
    merged = {}
    for name in NAMES:
        alone = model([name], seed=3)
        step(alone, sgd(alone, 0.1, 0.9, 0), "contrast", 1)
        merged |= alone.state_dict()
    together = model(seed=4)
    missing = together.load_state_dict(merged, strict=False)
    assert not missing.unexpected_keys
    assert all(key.startswith("exchange_head.") for key in missing.missing_keys)
    state = together.state_dict()
    assert all(torch.equal(state[key], value) for key, value in merged.items())
    assert int(state["queue.pointer"]) == 4


def test_loss_falls():
    """On one batch over and over, whose keys must then not stand in the queue as negatives."""
    contrast = model(["bone"], dropout=0.0, queue_size=500)
    optimizer = sgd(contrast, 0.1, 0.9, 0)
    view, other = views(["bone"], clips=8)
    queue = contrast.queue.stacked.clone()
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        contrast.queue.flush()
        contrast.queue.stacked.copy_(queue)
        loss = contrast.losses(view, other, "contrast")["bone"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_a_queue_smaller_than_a_batch():
    contrast = model(queue_size=3)
    step(contrast, sgd(contrast, 0.1, 0.9, 0), "exchange", 1)
    assert int(contrast.state_dict()["queue.pointer"]) == 1


def test_bfloat16():
    contrast = model()
    with torch.autocast("cpu", torch.bfloat16):
        losses = contrast.losses(*views(), "exchange", dropout_seed=1)
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in contrast.query.parameters())


def test_refusals():
    with pytest.raises(ValueError, match="exchange"):
        model(["bone"]).losses(*views(["bone"]), "exchange")
    with pytest.raises(ValueError, match="exchange"):
        model().losses(*views(), "exchange", explicit=False, implicit=False)


def test_dropout_differs_between_modalities_and_roles():
    seeds = {seed_for(1, name, role) for name in NAMES for role in ("query", "key")}
    assert len(seeds) == 6
    contrast = model(["joint"])
    view, _ = views(["joint"])
    features = [contrast.query["joint"](view["joint"], seed)[1] for seed in (1, 2)]
    assert not torch.allclose(*features)
    assert torch.allclose(features[0].norm(dim=1), units(4, 2).norm(dim=1).float())
