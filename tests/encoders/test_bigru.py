"""The bidirectional GRU against its equations, and bodies that enter together."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ikem.encoders.bigru.encoder import BiGRU
from ikem.encoders.initialization import initialize
from ikem.encoders.registry import build_encoder
from ikem.evaluations.embed import embed_clips
from ikem.skeleton import load_skeleton

SKELETON = load_skeleton("ntu25")


def network(**options):
    built = build_encoder(BiGRU(kind="bigru", hidden_dim=6, feature_dim=4, **options), SKELETON)
    initialize(built, 1, "pytorch")
    return built.double()


def clips(count=4, bodies=2, frames=7):
    return torch.randn(count, bodies, 3, frames, 25, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(inputs, weights, suffix):
    """The states of one direction, frame by frame (Cho et al. 2014, in the form of PyTorch)."""
    into, within, bias_into, bias_within = (
        weights[f"{name}_l{suffix}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    size = within.shape[1]
    state, states = np.zeros(size), []
    for x in inputs:
        a, b = into @ x + bias_into, within @ state + bias_within
        reset, update = sigmoid(a[:size] + b[:size]), sigmoid(a[size : 2 * size] + b[size : 2 * size])
        candidate = np.tanh(a[2 * size :] + reset * b[2 * size :])
        state = (1 - update) * candidate + update * state
        states.append(state)
    return states


def embedded(built, x):
    """The embedding of one group of bodies (M, C, T, V), from the equations; running statistics are 0 and 1."""
    weights = {name: value.detach().numpy() for name, value in built.gru.named_parameters()}
    sequence = [x[:, :, t].flatten().numpy() / np.sqrt(1 + built.input_norm.eps) for t in range(x.shape[2])]
    for layer in range(built.gru.num_layers):
        forward = gru(sequence, weights, f"{layer}")
        backward = gru(sequence[::-1], weights, f"{layer}_reverse")[::-1]
        sequence = [np.concatenate(pair) for pair in zip(forward, backward, strict=True)]
    return sequence[-1]


@pytest.mark.parametrize("bodies", [1, 2])
def test_against_its_equations(bodies):
    built, x = network(layers=2, bodies=bodies).eval(), clips()
    found = built(x).detach().numpy()
    for clip, row in zip(x, found, strict=True):
        groups = [clip[start : start + bodies] for start in range(0, 2, bodies)]
        np.testing.assert_allclose(row, np.mean([embedded(built, group) for group in groups], axis=0), atol=1e-12)
    features = built.features(x)
    assert torch.allclose(features.mean(dim=(2, 3)).view(len(x), -1, 6).mean(dim=1), built(x))


def test_weights_are_drawn_as_published():
    """Uniform within the limit of Glorot and Bengio, which is another than that of PyTorch's GRU."""
    built = build_encoder(BiGRU(kind="bigru", hidden_dim=128), SKELETON)
    initialize(built, 0, "pytorch")
    for name, value in built.gru.named_parameters():
        limit = (6 / sum(value.shape)) ** 0.5 if value.dim() == 2 else 1 / 64**0.5
        assert 0.97 * limit < value.abs().max() <= limit, name
    with torch.device("meta"):
        published = build_encoder(BiGRU(kind="bigru", bodies=2), SKELETON)
    weights = sum(2 * 3 * 1024 * (inputs + 1024 + 2) for inputs in (150, 2048, 2048))
    assert sum(value.numel() for value in published.parameters()) == 2 * 150 + weights


def test_a_group_is_filled_with_absent_bodies():
    built, x = network(bodies=2).eval(), clips(bodies=3)
    filled = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    assert torch.equal(built(x), built(filled))
    assert torch.allclose(built(x), (built(x[:, :2]) + built(filled[:, 2:])) / 2)


@pytest.mark.parametrize("bodies", [1, 2])
def test_clips_are_embedded_as_the_network_embeds_them(bodies):
    """Also where bodies are absent, which alone are embedded once."""
    built, x = network(bodies=bodies).float().eval(), clips().float()
    x[0] = x[1, 1] = 0
    array = x.permute(0, 2, 3, 4, 1).contiguous().numpy()
    found = embed_clips(built, array, torch.device("cpu"), "float32")
    assert torch.allclose(found, built(x), atol=1e-6)
    assert torch.allclose(found, built(x.flip(1)), atol=1e-3) == (bodies == 1)  # together, their order counts


def test_an_odd_width_is_refused():
    with pytest.raises(ValidationError, match="hidden_dim: 7 must be even"):
        BiGRU(kind="bigru", hidden_dim=7)
