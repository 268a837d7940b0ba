"""ActCLR: loss, actionlet and mixing against slow transcriptions and known answers; a step in its parts."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import EVERY_METHOD, Narrow, units
from ikem.errors import InputError
from ikem.methods.actclr.actionlet import actionlet, body_parts, combine, masked_pool, membership
from ikem.methods.actclr.losses import similarity_distillation
from ikem.methods.actclr.mixing import Mix, draw_mix, draw_offset, exchange, mix, mixed_key
from ikem.methods.actclr.model import ActionletContrast
from ikem.methods.actclr.trainer import ActCLRTrainer
from ikem.settings.loading import load_config
from ikem.skeleton import load_skeleton
from ikem.training.checkpoint import load_tensors
from ikem.training.loader import Clips
from stage_support import CPU, stage_jobs, write_prepared
from transcription.losses import best

NTU, KINECT = load_skeleton("ntu25"), load_skeleton("kinect20")
PARTS = membership(NTU)
VIEWS, BATCH, DIM, SIZE = 2, 4, 5, 11
TEMPERATURES = 0.04, 0.1

pytestmark = pytest.mark.usefixtures("threads")


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def tensors():
    return units(VIEWS, BATCH, DIM, seed=3).requires_grad_(), units(BATCH, DIM, seed=1), units(DIM, SIZE, seed=2, dim=0)


def probabilities(similarities, temperature):
    weights = [(similarity / temperature).exp() for similarity in similarities]
    return [weight / sum(weights) for weight in weights]


def slow(features, key, queue, neighbors, duplicate, teacher_temperature, student_temperature):
    """View by view, clip by clip, neighbor by neighbor."""
    losses = []
    for view in features:
        loss = 0
        for z, k in zip(view, key, strict=True):
            seen = [k @ column for column in queue.t()]
            seen = [torch.tensor(-1.0, dtype=torch.float64) if value > duplicate else value for value in seen]
            chosen = best(seen, neighbors)
            teacher = probabilities([seen[j] for j in chosen], teacher_temperature)
            student = probabilities([(z @ queue[:, j]) ** 2 for j in chosen], student_temperature)
            loss = loss + sum(p * (p.log() - q.log()) for p, q in zip(teacher, student, strict=True)) / len(key)
        losses.append(loss)
    return torch.stack(losses)


@pytest.mark.parametrize("neighbors", [1, 4, SIZE])
def test_loss_against_transcription(neighbors):
    features, key, queue = tensors()
    duplicate = (key @ queue).max(dim=1).values.median().item() - 1e-6  # some clips have a duplicate
    found = similarity_distillation(features, key, queue, neighbors, duplicate, *TEMPERATURES)
    expected = slow(features, key, queue, neighbors, duplicate, *TEMPERATURES)
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)
    weight = torch.tensor([0.7, 1.9], dtype=torch.float64)
    gradients = [torch.autograd.grad((losses * weight).sum(), features)[0] for losses in (found, expected)]
    assert torch.allclose(*gradients, rtol=1e-8, atol=1e-10)


def test_gradients():
    features, key, queue = tensors()
    assert torch.autograd.gradcheck(lambda z: similarity_distillation(z, key, queue, 4, 0.95, *TEMPERATURES), features)
    key.requires_grad_()
    similarity_distillation(features, key, queue, 4, 0.95, *TEMPERATURES).sum().backward()
    assert key.grad is None


def test_known_losses():
    """A key that is sure, and a view as near to one column as to the other, whatever its sign; duplicates."""
    key, queue = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.9, 0.0], [0.0, 1.0]])
    even = F.normalize(torch.tensor([[[1 / 0.9, 1.0]], [[-1 / 0.9, 1.0]]]), dim=2)
    losses = similarity_distillation(even, key, queue, 2, 0.95, 0.01, 0.1)
    assert torch.allclose(losses, torch.full((2,), math.log(2)), rtol=1e-5)
    # The first column counts as the clip itself: it is as far as can be, and with one neighbor all is on the other.
    first = similarity_distillation(even, key, queue, 2, 0.85, 0.01, 0.1)
    assert torch.allclose(first, torch.full((2,), math.log(2)), rtol=1e-5)
    assert not similarity_distillation(even, key, queue, 1, 0.85, 0.04, 0.1).any()
    masked = torch.tensor([[True, False]])
    assert torch.equal(similarity_distillation(even, key, queue, 2, 0.95, 0.01, 0.1, masked), first)


def test_parts():
    """The five parts of the published code, 1-based."""
    published = [
        [1, 2, 3, 4, 21],
        [5, 6, 7, 8, 22, 23],
        [9, 10, 11, 12, 24, 25],
        [13, 14, 15, 16],
        [17, 18, 19, 20],
    ]
    assert [[joint + 1 for joint in part] for part in body_parts(NTU)] == published
    assert [len(part) for part in body_parts(KINECT)] == [4, 4, 4, 4, 4]
    assert torch.equal(PARTS.sum(dim=0), torch.ones(25))
    nameless = copy.copy(NTU)
    object.__setattr__(nameless, "joints", tuple(f"j{number}" for number in range(25)))
    with pytest.raises(InputError, match="no parts of a body"):
        body_parts(nameless)


def head_and_maps(seed=0):
    torch.manual_seed(seed)
    head = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4)).double()
    return head, random(BATCH * 2, 6, 3, 25, seed=seed + 1).relu(), random(1, 4, seed=seed + 2)


def slow_actionlet(maps, head, mean_feature):
    """The whole gradient by autograd through the pooling, then joint by joint."""
    y = maps.clone().requires_grad_()
    z = head(y.mean(dim=(2, 3)).view(BATCH, 2, -1).mean(dim=1))
    similarity = sum(each @ mean_feature[0] / each.norm() / mean_feature[0].norm() for each in z) / BATCH
    (1 - similarity).backward()
    mask = torch.zeros(len(maps), 1, *maps.shape[2:], dtype=maps.dtype)
    for body in range(len(maps)):
        weights = [y.grad[body, channel].mean() for channel in range(maps.shape[1])]
        for t in range(maps.shape[2]):
            positive = []
            for v in range(25):
                value = sum(w * maps[body, c, t, v] for c, w in enumerate(weights)) / len(weights)
                positive.append(max(float(value), 0.0) / 1e-8)
            for part in body_parts(NTU):
                mask[body, 0, t, part] = min(1.0, float(np.mean([positive[v] for v in part])))
    return mask


def test_actionlet_against_transcription():
    head, maps, mean_feature = head_and_maps()
    found = actionlet(maps, 2, head, mean_feature, PARTS)
    assert torch.allclose(found, slow_actionlet(maps, head, mean_feature), rtol=1e-8, atol=1e-10)
    assert 0 < found.mean() < 1 and not found.requires_grad
    small = actionlet(maps * 3e-5, 2, head, mean_feature, PARTS)  # so small that the mask is not binary
    assert torch.allclose(small, slow_actionlet(maps * 3e-5, head, mean_feature), rtol=1e-6, atol=1e-10)
    assert ((small > 0.01) & (small < 0.99)).any()


def test_released_actionlets_are_empty():
    """Each number divided by its own length is 1 or -1, which has no gradient but that of rounding."""
    head, maps, mean_feature = (each.float() for each in head_and_maps())
    released = actionlet(maps, 2, head, mean_feature, PARTS, "released")
    assert released.max() < 1e-2 and actionlet(maps, 2, head, mean_feature, PARTS).max() == 1
    assert not any(parameter.grad is not None for parameter in head.parameters())


def test_actionlet_marks_what_makes_a_clip_unlike_the_mean():
    """One channel is that of the mean clip, the other is not, and is in one hand only."""
    head = torch.nn.Identity()
    maps = torch.zeros(1, 2, 4, 25)
    maps[:, 0] = 1
    maps[:, 1, :, body_parts(NTU)[1]] = 1
    mask = actionlet(maps, 1, head, torch.tensor([[1.0, 0.0]]), PARTS)
    assert torch.equal(mask[0, 0, 0], PARTS[1]) and torch.equal(mask, mask[:, :, :1].expand_as(mask))


def test_masked_pool():
    maps, mask = random(4, 3, 2, 25), torch.zeros(4, 1, 2, 25, dtype=torch.float64)
    mask[0, 0, 1, :10] = 1
    mask[1] = 1
    pooled = masked_pool(maps, mask, 2)
    expected = (maps[0, :, 1, :10].sum(dim=1) / (10 + 1e-5) + maps[1].sum(dim=(1, 2)) / (50 + 1e-5)) / 2
    assert torch.allclose(pooled[0], expected) and not pooled[1].any()


def test_combination():
    """Where the mask is 1 at all corners around a value, it is that of the first clip; 0, that of the second."""
    inside, outside = random(2, 2, 3, 13, 25), random(2, 2, 3, 13, 25, seed=1)
    mask = torch.zeros(4, 1, 4, 25, dtype=torch.float64)  # frames 0, 4, 8, 12
    mask[:, :, 1:3, 3] = 1
    combined = combine(inside, outside, mask)
    assert torch.allclose(combined[..., 4:9, 3], inside[..., 4:9, 3])
    assert torch.allclose(combined[..., 2, 3], (inside + outside)[..., 2, 3] / 2)
    assert torch.allclose(combined[..., 12, :], outside[..., 12, :])
    assert torch.allclose(combined[..., [0, 1, 2, 4]], outside[..., [0, 1, 2, 4]])


def drawn(**values):
    return Mix(**({"offset": 2, "kind": "paste", "parts": (1, 3), "start": 1, "blocks": 2, "share": 0.3} | values))


@pytest.mark.parametrize("kind", ["paste", "compress", "blend"])
def test_mixes_in_loops(kind):
    x = random(5, 2, 3, 18, 25)
    found = mix(x, drawn(kind=kind), PARTS)
    region = {joint for part in (1, 3) for joint in body_parts(NTU)[part]}
    for n in range(5):
        for t in range(18):
            for v in range(25):
                own, other = x[n, ..., t, v], x[(n + 2) % 5]
                expected = own
                if kind == "blend":
                    expected = 0.7 * own + 0.3 * other[..., t, v]
                elif v in region and 4 <= t < 12:
                    expected = other[..., t if kind == "paste" else 2 * (t - 4), v]
                assert torch.allclose(found[n, ..., t, v], expected)


def test_a_compressed_piece_of_a_short_clip():
    """Twice the region is more than there is: the 10 frames are spread over the region's 8."""
    x = torch.arange(10.0).view(1, 1, 1, 10, 1).expand(3, 1, 1, 10, 25)
    found = mix(x, drawn(kind="compress", start=0, offset=1), PARTS)
    assert found[0, 0, 0, :, body_parts(NTU)[1][0]].tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 8, 9]


def slow_mixed_key(key, mask, mixed):
    """Clip by clip, body by body, value by value."""
    frames, region = mask.shape[2], {joint for part in mixed.parts for joint in body_parts(NTU)[part]}
    inside, outside = [], []
    for clip in range(len(key)):
        shares = [[], []]
        for body in range(2):
            total = paste = rest = 0.0
            for t in range(frames):
                for v in range(25):
                    weight = math.exp(float(mask[2 * clip + body, 0, t, v]) / 0.1)
                    pasted = v in region and mixed.start <= t < mixed.start + mixed.blocks
                    taken = v in region if mixed.kind == "compress" else pasted
                    if mixed.kind == "blend":
                        taken = pasted = mixed.share
                    total, paste, rest = total + weight, paste + weight * taken, rest + weight * (1 - pasted)
            shares[0].append(paste / total)
            shares[1].append(rest / total)
        inside.append(np.mean(shares[0]))
        outside.append(np.mean(shares[1]))
    rows = []
    for clip in range(len(key)):
        other = (clip + mixed.offset) % len(key)
        p, c = inside[other], outside[clip]
        row = key[clip] * c / (p + c) + key[other] * p / (p + c)
        rows.append(row / row.norm())
    return torch.stack(rows)


@pytest.mark.parametrize("kind", ["paste", "compress", "blend"])
def test_keys_of_mixes(kind):
    key = units(5, DIM, seed=1)
    mask = torch.rand(10, 1, 5, 25, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = mixed_key(key, mask, drawn(kind=kind), PARTS)
    assert torch.allclose(found, slow_mixed_key(key, mask, drawn(kind=kind)), rtol=1e-8)


def test_draws():
    """Parts, blocks and kinds as published; a region lies within the clip, and no clip is its own partner."""
    for fine, counts, lengths in ((False, (2, 3), (3, 4, 5)), (True, (1, 2), (1, 2, 3))):
        every = [draw_mix(seed, 6, 50, 5, fine) for seed in range(3000)]
        assert {each.offset for each in every} == {1, 2, 3, 4}
        assert {len(each.parts) for each in every} == set(counts)
        assert {each.blocks for each in every} == set(lengths)
        assert {each.start for each in every if each.blocks == lengths[0]} == set(range(12 - lengths[0] + 1))
        assert all(each.start + each.blocks <= 12 for each in every)
        kinds = [np.mean([each.kind == kind for each in every]) for kind in ("paste", "compress", "blend")]
        assert np.abs(np.subtract(kinds, [0.5, 0.25, 0.25])).max() < 0.03
        often = np.bincount([part for each in every for part in each.parts]) / len(every)
        assert np.abs(often - np.mean(counts) / 5).max() < 0.04
        assert abs(np.mean([each.share for each in every]) - 0.5) < 0.02
    assert {draw_offset(seed, 5) for seed in range(50)} == {1, 2, 3}
    assert draw_mix(0, 2, 3, 5, False).offset == 1 and draw_mix(0, 2, 7, 5, False).blocks == 1


def test_exchange_of_bone_lengths():
    """Directions stay, lengths become those of the partner, frame by frame."""
    x = random(4, 2, 3, 5, 25)
    found = exchange(x, "joint", 1, NTU)
    for n in range(4):
        other = x[(n + 1) % 4]
        assert torch.equal(found[n, ..., NTU.center], x[n, ..., NTU.center])
        for v, parent in enumerate(NTU.parents):
            if v == parent:
                continue
            old, new, partner = (y[..., v] - y[..., parent] for y in (x[n], found[n], other))
            ratio = ((partner**2).sum(dim=1, keepdim=True) + 1e-5).sqrt() / (
                (old**2).sum(dim=1, keepdim=True) + 1e-5
            ).sqrt()
            assert torch.allclose(new, old * ratio, atol=1e-9)
    vectors = exchange(x, "bone", 1, NTU)
    assert torch.allclose(vectors.norm(dim=2), x.roll(-1, dims=0).norm(dim=2), atol=1e-2)
    assert torch.allclose(F.normalize(vectors, dim=2), F.normalize(x, dim=2))


def test_exchange_of_spread():
    x = random(4, 2, 3, 5, 25)
    found = exchange(x, "motion", 3, NTU)
    for n in range(4):
        other = x[(n + 3) % 4]
        for t in range(5):
            for v in range(25):
                mean, partner_mean = x[n][..., t, :].mean(dim=-1), other[..., t, :].mean(dim=-1)
                deviation, partner_deviation = (y[..., v].std(dim=-1) for y in (x[n], other))
                expected = (x[n][..., t, v] - mean) / (deviation + 1e-3) * partner_deviation + partner_mean
                assert torch.allclose(found[n][..., t, v], expected)


def model(**options):
    return ActionletContrast("joint", NTU, Narrow(dropout=0.0), SIZE, 0.9, 0, **options)


@pytest.mark.parametrize("mixed_view", ["released", "weak"])
def test_views_in_their_parts(mixed_view):
    one = model()
    with torch.no_grad():  # so that queries and keys differ
        for parameter in one.query.parameters():
            parameter.add_(0.01)
    before = copy.deepcopy(one)
    strong, normal, weak, key_view = seen = random(4, 6, 2, 3, 16, 25, dtype=torch.float32)
    mixes = (2, drawn(), drawn(kind="blend", offset=1))
    inputs, keys, mixed_keys = one.views(seen, mixes, mixed_view, 0)
    with torch.no_grad():
        for key, query in zip(before.key.parameters(), before.query.parameters(), strict=True):
            key.copy_(0.9 * key + 0.1 * query)
        key, query = before.key["joint"], before.query["joint"]
        mean_feature = key.head(key.encoder(key_view.mean(dim=0, keepdim=True), 0))
        maps = key.features(key_view, 0)
        inside = masked_pool(maps, actionlet(maps, 2, key.head, mean_feature, PARTS), 2)
        embedding = maps.mean(dim=(2, 3)).view(6, 2, -1).mean(dim=1)
        expected = F.normalize((key.head(embedding) + key.head(inside)) / 2, dim=1)
        assert torch.allclose(keys, expected, atol=1e-5)
        masks = [actionlet(query.features(x, 0), 2, query.head, mean_feature, PARTS) for x in (normal, weak)]
        exchanged = exchange(weak, "joint", 2, NTU)
        assert torch.allclose(inputs[0], combine(normal, strong, masks[0]), atol=1e-4)
        assert torch.allclose(inputs[1], combine(exchanged, mix(exchanged, mixes[1], PARTS), masks[1]), atol=1e-4)
        assert torch.allclose(inputs[2], mix(exchanged if mixed_view == "released" else weak, mixes[2], PARTS))
        assert torch.allclose(mixed_keys, mixed_key(keys, masks[1], mixes[2], PARTS), atol=1e-5)
    features = one.features(inputs, 0)
    assert features.shape == (3, 6, 8) and features.requires_grad
    assert not any(x.requires_grad for x in inputs) and not keys.requires_grad


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    position = write_prepared(folder, 8)
    return Clips(position, np.arange(8), CPU, resident=True), stage_jobs(position, 8, folder)["actclr"]


def test_it_starts_from_the_other_method(prepared):
    clips, (settings, inputs) = prepared
    trainer = ActCLRTrainer(settings, clips, CPU, inputs)
    start = load_tensors(inputs["start"])[0]
    for role in ("query", "key"):
        for name, value in getattr(trainer.model, role).state_dict().items():
            assert torch.equal(value, start[f"query.{name}"])
    assert int(trainer.model.state_dict()["queue.pointer"]) == 0 and not trainer.optimizer.state
    wider = settings | {"encoder": settings["encoder"] | {"hidden_dim": 16}}
    with pytest.raises(InputError, match="cannot start from it"):
        ActCLRTrainer(wider, clips, CPU, inputs)


def test_phases(prepared):
    """All augmentations, then some that are drawn for each epoch, then none at all."""
    clips, (settings, inputs) = prepared
    phases = [{"until": 1, "normal": 5, "strong": 7}, {"until": 40, "normal": 1, "strong": 3}]
    trainer = ActCLRTrainer(settings | {"phases": phases}, clips, CPU, inputs)
    chosen = []
    for epoch in range(42):
        trainer.begin_epoch(epoch)
        chosen.append([[options.kind for _, options in views._chain] for views in trainer.views])
    strong, normal, weak = chosen[0]
    assert weak == ["crop", "shear"]
    assert normal == [*weak, "swap", "rotation", "gaussian_noise", "gaussian_blur", "axis_mask"]
    assert strong == [*normal, "speed", "bone_scale"]
    for strong, normal, weak in chosen[1:40]:
        assert (len(strong), len(normal), len(weak)) == (5, 3, 2)
        assert strong[2:] == sorted(strong[2:], key=chosen[0][0].index)
    assert len({tuple(strong) for strong, _, _ in chosen[1:40]}) > 15
    assert {normal[2] for _, normal, _ in chosen[1:40]} == set(chosen[0][1][2:])
    assert chosen[40:] == [[[], [], []]] * 2
    deviations = [each["deviation"] for each in settings["strong_augmentations"] if each["kind"] == "gaussian_noise"]
    assert deviations == [0.05]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "pstl"}, "methods.actclr.start: 'pstl' has no projection head"),
        ({"start": "actclr"}, "methods.actclr.start: actclr starts from actclr, without an end"),
        ({"modalities": ["bone"]}, "methods.actclr.modalities: aimclr has no bone"),
        ({"recipe": "tiny-bigru"}, "methods.actclr.recipe: its encoder is not that of aimclr"),
        ({"phases": [{"until": 3, "normal": 1, "strong": 1}] * 2}, "phases: each must end later"),
        ({"phases": [{"until": 3, "normal": 6, "strong": 1}]}, "phases: there are 5 normal and 7 strong"),
    ],
)
def test_options_are_checked(changes, message):
    with pytest.raises(InputError, match=message):
        load_config(*EVERY_METHOD, changes={"methods": {"actclr": changes}})


def test_an_entry_that_only_teaches_is_checked():
    block = {"dataset": "tiny", "protocols": ["xsub"], "methods": ["student"], "evaluations": ["linear"]}
    methods = {"actclr": {"modalities": ["joint", "bone"]}, "student": {"teacher": "actclr"}}
    with pytest.raises(InputError, match="aimclr has no bone"):
        load_config(*EVERY_METHOD, changes={"methods": methods, "benchmark": [block]})
