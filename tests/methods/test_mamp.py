"""MAMP: masking, target and loss against slow transcriptions, known answers and statistics."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from config_support import changed
from helpers import ROOT
from ikem.encoders.initialization import initialize
from ikem.encoders.registry import encoder_options
from ikem.encoders.transformer.network import patches
from ikem.errors import InputError
from ikem.methods.mamp.masked_motion import (
    gumbel_noise,
    hidden_loss,
    intensity,
    motion,
    order_by_motion,
    standardized,
    visible_count,
)
from ikem.methods.mamp.model import Decoder, MaskedMotion
from ikem.settings.loading import build_config, load_config
from ikem.skeleton import load_skeleton

SKELETON = load_skeleton("ntu25")
ENCODER = encoder_options({"kind": "transformer", "hidden_dim": 8, "frames": 16, "blocks": 1, "heads": 2})
CPU = torch.device("cpu")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def model(mask_ratio=0.75, seed=0):
    built = MaskedMotion(SKELETON, ENCODER, 2, mask_ratio, 0.8)
    initialize(built, seed, "pytorch")
    return built.double()


def test_motion_and_intensity_number_by_number():
    x = drawn(2, 3, 12, 4)
    moved, tokens = motion(x), patches(x, 4)
    found = intensity(tokens)
    for axis in range(3):
        for t in range(12):
            expected = x[1, axis, t + 1, 2] - x[1, axis, t, 2] if t < 11 else 0.0
            assert moved[1, axis, t, 2] == expected
    for s in range(3):
        here = max(s, 1)
        numbers = [abs(float(tokens[1, here, 2, p] - tokens[1, here - 1, 2, p])) for p in range(12)]
        assert math.isclose(found[1, s, 2], sum(numbers) / 12)


def test_intensity_of_known_motion():
    """A joint that moves by 0.1 a frame along one of three axes moves by 0.4 / 3 from token to token."""
    x = torch.zeros(1, 3, 16, 2, dtype=torch.float64)
    x[0, 1, :, 1] = 0.1 * torch.arange(16)
    found = intensity(patches(x, 4))
    assert not found[0, :, 0].any()
    assert torch.allclose(found[0, :, 1], torch.full((4,), 0.4 / 3, dtype=torch.float64))
    assert not intensity(patches(x[:, :, :3], 4)).any()  # one segment only


@pytest.mark.parametrize(("tokens", "ratio", "seen"), [(750, 0.9, 74), (750, 0.899, 75), (200, 0.5, 100), (3, 0.9, 1)])
def test_visible_tokens(tokens, ratio, seen):
    assert visible_count(tokens, ratio) == seen


def test_noise_is_gumbel_and_follows_its_seed():
    noise = gumbel_noise(torch.Size((400, 500)), 3, CPU)
    assert noise.dtype == torch.float64 and noise.isfinite().all()
    assert abs(noise.mean() - 0.57722) < 0.01 and abs(noise.var() - math.pi**2 / 6) < 0.02
    for limit in (-1.0, 0.0, 2.0):
        assert abs((noise <= limit).double().mean() - math.exp(-math.exp(-limit))) < 0.005
    assert len(noise.unique()) > 0.9999 * noise.numel()
    assert torch.equal(gumbel_noise(torch.Size((2, 500)), 3, CPU), noise[:2])
    assert not torch.equal(gumbel_noise(torch.Size((2, 500)), 4, CPU), noise[:2])


def slow_order(moved, noise, temperature):
    largest = max(moved)
    scaled = [each / (largest * temperature + 1e-10) for each in moved]
    total = sum(math.exp(each) for each in scaled)
    scores = [math.log(math.exp(each) / total) + extra for each, extra in zip(scaled, noise, strict=True)]
    return sorted(range(len(moved)), key=lambda token: scores[token])


@given(seed=st.integers(0, 99), temperature=st.sampled_from([0.1, 0.8, 5.0]), scale=st.sampled_from([0.0, 1e-3, 1.0]))
def test_order_against_transcription(seed, temperature, scale):
    moved = drawn(3, 11, seed=seed).abs() * scale
    noise = gumbel_noise(moved.shape, seed, CPU)
    expected = [slow_order(*pair, temperature) for pair in zip(moved.tolist(), noise.tolist(), strict=True)]
    assert order_by_motion(moved, noise, temperature).tolist() == expected


def test_tokens_are_hidden_by_how_much_they_move():
    """The first hidden token has the probabilities of the softmax; the second those of the tokens that are left."""
    row, temperature, count = torch.tensor([0.0, 0.5, 1.0, 2.0], dtype=torch.float64), 0.8, 40_000
    order = order_by_motion(row.expand(count, 4), gumbel_noise(torch.Size((count, 4)), 1, CPU), temperature)
    expected = (row / (2.0 * temperature)).softmax(dim=0)
    first = order[:, -1].bincount(minlength=4) / count
    assert (first - expected).abs().max() < 0.01
    second = order[order[:, -1] == 3, -2].bincount(minlength=4)
    rest = expected.clone()
    rest[3] = 0
    assert (second / second.sum() - rest / rest.sum()).abs().max() < 0.01


def test_temperature():
    row = torch.linspace(0, 1, 10, dtype=torch.float64).expand(5000, 10)
    noise = gumbel_noise(row.shape, 2, CPU)
    any_token = order_by_motion(row, noise, 1e6)[:, -3:].flatten().bincount(minlength=10) / 15_000
    assert (any_token - 0.1).abs().max() < 0.01
    moving = order_by_motion(row, noise, 0.002)[:, -3:]
    assert torch.equal(moving.sort(dim=1).values.unique(dim=0), torch.tensor([[7, 8, 9]]))
    assert torch.equal(order_by_motion(row * 1e-4, noise, 0.8), order_by_motion(row, noise, 0.8))  # no unit


def test_standardized():
    x = drawn(3, 5, 12)
    for token, raw in zip(standardized(x).flatten(0, 1), x.flatten(0, 1), strict=True):
        mean = sum(raw) / 12
        variance = sum((value - mean) ** 2 for value in raw) / 11
        assert torch.allclose(token, (raw - mean) / (variance + 1e-6).sqrt())
    assert not standardized(torch.zeros(2, 12)).any()


def test_loss_against_transcription_and_gradient():
    prediction, target = drawn(3, 6, 4), drawn(3, 6, 4, seed=1)
    hidden = torch.tensor([[0, 2, 3], [5, 4, 1], [0, 1, 2]])
    errors = [
        (float(prediction[b, token, p]) - float(target[b, token, p])) ** 2
        for b in range(3)
        for token in hidden[b].tolist()
        for p in range(4)
    ]
    prediction.requires_grad_()
    loss = hidden_loss(prediction, target, hidden)
    assert math.isclose(loss.item(), sum(errors) / len(errors), rel_tol=1e-12)
    assert torch.autograd.gradcheck(lambda given: hidden_loss(given, target, hidden), prediction)
    loss.backward()
    assert not prediction.grad[0, [1, 4, 5]].any() and prediction.grad[0, [0, 2, 3]].all()
    assert hidden_loss(target, target, hidden) == 0
    assert hidden_loss(prediction.bfloat16(), target.bfloat16(), hidden).dtype == torch.float32


def test_decoder_puts_tokens_where_they_belong():
    """Without blocks each prediction follows from its own token only."""
    decoder = Decoder(ENCODER, 3, 0)
    initialize(decoder, 0, "pytorch")
    encoded, order = drawn(2, 2, 8).float(), torch.tensor([[4, 1, 0, 2, 3, 5], [0, 5, 3, 2, 4, 1]])
    predicted = decoder(encoded, order)
    assert predicted.shape == (2, 6, 12)
    for b in range(2):
        for position, token in enumerate(order[b].tolist()):
            x = decoder.embedding(encoded[b, position]) if position < 2 else decoder.hidden
            x = x + decoder.of_time[token // 3, 0] + decoder.of_joint[token % 3]
            assert torch.allclose(predicted[b, token], decoder.prediction(decoder.norm(x)), atol=1e-6)


def test_model_sequence_by_sequence():
    """Each sequence by itself, with its visible tokens chosen by the slow order."""
    built, x, seed = model(), drawn(2, 2, 3, 12, 25), 9
    bodies = x.flatten(0, 1)
    tokens, moved = built.encoder.tokens(x).flatten(1, 2), intensity(patches(bodies, 4)).flatten(1)
    target = standardized(patches(motion(bodies), 4)).flatten(1, 2)
    noise, errors = gumbel_noise(moved.shape, seed, CPU), []
    for b in range(4):
        order = slow_order(moved[b].tolist(), noise[b].tolist(), 0.8)
        seen, hidden = order[:18], order[18:]  # a quarter of 3 x 25 tokens
        encoded = built.encoder.encode(torch.stack([tokens[b, token] for token in seen])[None])
        predicted = built.decoder(encoded, torch.tensor([order]))[0]
        errors += [(predicted[token] - target[b, token]).square().mean().item() for token in hidden]
    assert math.isclose(built(x, seed).item(), sum(errors) / len(errors), rel_tol=1e-9)
    assert built(x, seed) == built(x, seed) != built(x, seed + 1)


def test_what_is_hidden_is_not_seen():
    """The loss depends on the coordinates of visible tokens, through the encoder, and on no others but as a target."""
    built, x = model(), drawn(1, 1, 3, 16, 25).requires_grad_()
    built(x, 4).backward()
    moved = intensity(patches(x[0].detach(), 4)).flatten(1)
    order = order_by_motion(moved, gumbel_noise(moved.shape, 4, CPU), 0.8)
    used = patches(x.grad[0], 4).flatten(1, 2)[0].any(dim=1)
    assert set(used.nonzero().flatten().tolist()) == set(order[0, :25].tolist())


def test_loss_falls():
    """All joints move at one speed: that much can be known of hidden tokens."""
    built = model().float()
    x = torch.tensor([0.5, -0.2, 0.1]).view(1, 1, 3, 1, 1) * torch.arange(16).view(1, 1, 1, 16, 1)
    optimizer = torch.optim.AdamW(built.parameters(), lr=2e-2)
    losses = []
    for step in range(30):
        optimizer.zero_grad()
        loss = built(x.expand(4, -1, -1, -1, 25), step)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 < 11 / 12 < losses[0]  # predicting nothing gives 11 / 12


def test_only_encoders_with_tokens():
    values = changed("methods.mamp", {"recipe": "tiny"})
    with pytest.raises(InputError, match=r"methods\.mamp\.recipe: the encoder of 'tiny' is 'stgcn'"):
        build_config(values)


def test_the_published_recipe():
    config = load_config(ROOT / "config" / "ntu60.yaml")
    method = config.methods["mamp"]
    recipe = config.recipes[method.recipe]
    assert (method.mask_ratio, method.mask_temperature, method.decoder_blocks) == (0.9, 0.8, 3)
    encoder, schedule = recipe.encoder, recipe.schedule
    assert (encoder.hidden_dim, encoder.frames, encoder.segment, encoder.blocks, encoder.heads, encoder.mlp_ratio) == (
        *(256, 120, 4, 8, 8, 4),
    )
    assert (schedule.epochs, schedule.batch_size, schedule.learning_rate, schedule.weight_decay) == (
        *(400, 128, 1e-3, 0.05),
    )
    assert schedule.optimizer.betas == (0.9, 0.95)
    assert (schedule.decay.warmup_epochs, schedule.decay.final) == (20, 0.5)
    assert [each.kind for each in recipe.augmentations] == ["crop_resize", "euler_rotation"]
