"""The transformer against a slow transcription, and what it drops."""

import math

import pytest
import torch
from pydantic import ValidationError

from ikem.encoders.initialization import initialize
from ikem.encoders.registry import build_encoder, encoder_options
from ikem.encoders.transformer.network import Block, GlorotLinear, patches
from ikem.errors import InputError
from ikem.skeleton import load_skeleton

SKELETON = load_skeleton("ntu25")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def options(**values):
    return encoder_options({"kind": "transformer", "hidden_dim": 16, "frames": 12, "blocks": 2, "heads": 2} | values)


def network(**values):
    built = build_encoder(options(**values), SKELETON)
    initialize(built, 0, "pytorch")
    return built.double()


@pytest.mark.parametrize(("frames", "segment"), [(8, 4), (9, 4), (3, 4), (5, 1)])
def test_patches_number_by_number(frames, segment):
    x = drawn(2, 3, frames, 5)
    cut = patches(x, segment)
    assert cut.shape == (2, math.ceil(frames / segment), 5, 3 * segment)
    for s in range(cut.shape[1]):
        numbers = [x[1, axis, min(s * segment + frame, frames - 1), 4] for frame in range(segment) for axis in range(3)]
        assert cut[1, s, 4].tolist() == numbers


def layer_norm(x):
    mean = x.sum() / len(x)
    return (x - mean) / ((x - mean).square().sum() / len(x) + 1e-5).sqrt()


def linear(layer, x):
    return torch.stack([row @ x + bias for row, bias in zip(layer.weight, layer.bias, strict=True)])


def slow_block(block, tokens):
    """Token by token, head by head."""
    width = len(tokens[0])
    of_head = width // block.heads
    projected = [linear(block.query_key_value, layer_norm(token)) for token in tokens]
    queries, keys, values = ([each[part * width : (part + 1) * width] for each in projected] for part in range(3))
    result = []
    for token, query in zip(tokens, queries, strict=True):
        mixed = []
        for head in range(block.heads):
            part = slice(head * of_head, (head + 1) * of_head)
            weights = [(query[part] @ key[part] / math.sqrt(of_head)).exp() for key in keys]
            mixed.append(
                sum(weight * value[part] for weight, value in zip(weights, values, strict=True)) / sum(weights)
            )
        token = token + linear(block.projection, torch.cat(mixed))
        hidden = linear(block.expand, layer_norm(token))
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        result.append(token + linear(block.contract, hidden))
    return torch.stack(result)


def block(**values):
    built = Block(8, 2, 3, **values)
    initialize(built, 1, "pytorch")
    for number, (name, parameter) in enumerate(built.named_parameters()):
        if name.endswith("bias") and "norm" not in name:
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
    return built.double()


def test_block_against_transcription():
    built, x = block(), drawn(2, 5, 8)
    expected = torch.stack([slow_block(built, list(tokens)) for tokens in x])
    assert torch.allclose(built(x), expected, rtol=1e-10, atol=1e-12)
    assert torch.autograd.gradcheck(built, x[:1, :2].clone().requires_grad_())


def test_features_are_the_blocks_of_embedded_tokens():
    built, x = network(blocks=1).eval(), drawn(2, 2, 3, 8, 25)
    cut = patches(x.flatten(0, 1), 4)
    tokens = torch.stack([linear(built.embedding, cut[3, s, v]) for s in range(2) for v in range(25)])
    tokens = tokens + torch.stack([built.of_time[s, 0] + built.of_joint[v] for s in range(2) for v in range(25)])
    for each in built.blocks:
        tokens = slow_block(each, list(tokens))
    expected = torch.stack([layer_norm(token) for token in tokens])
    features = built.features(x)
    assert features.shape == (4, 16, 2, 25)
    assert torch.allclose(features[3].flatten(1).t(), expected, rtol=1e-9, atol=1e-11)
    assert torch.allclose(built(x)[1], features[2:].mean(dim=(0, 2, 3)))


def test_tokens_differ_by_time_and_joint():
    built = network().eval()
    features = built.features(torch.ones(1, 1, 3, 12, 25, dtype=torch.float64))[0].flatten(1)
    assert len(torch.unique(features.round(decimals=8), dim=1).t()) == 75


@pytest.mark.parametrize("kind", ["published", "pytorch"])
def test_initial_parameters(kind):
    """Those of Glorot and Bengio, and embeddings of deviation 0.02, whatever a recipe says of other layers."""
    built = build_encoder(options(hidden_dim=64), SKELETON)
    initialize(built, 0, kind)
    weight = built.blocks[0].expand.weight
    limit = math.sqrt(6 / (64 + 256))
    assert 0.99 * limit < weight.abs().max() <= limit and abs(weight.std() - limit / math.sqrt(3)) < 0.02 * limit
    assert not built.blocks[0].expand.bias.any()
    assert abs(built.of_joint.std() - 0.02) < 0.002
    assert isinstance(built.embedding, GlorotLinear)


def test_more_frames_than_embeddings_of_time():
    with pytest.raises(InputError, match=r"13 frames, the encoder embeddings for 12.*Raise encoder\.frames"):
        network()(drawn(1, 1, 3, 13, 25))
    assert network().eval()(drawn(1, 1, 3, 3, 25)).shape == (1, 16)


def test_heads_divide_the_width():
    with pytest.raises(ValidationError, match=r"heads: 3 do not divide hidden_dim \(16\) evenly"):
        options(heads=3)


def test_stochastic_depth():
    """A sequence takes all of what a block adds, divided by the probability of it, or nothing."""
    built, x, probability = block(drop_path=0.25), drawn(4000, 2, 8), 0.25
    added = built.attention(built.attention_norm(x))
    dropped = built.drop(added, 5, 0)
    kept = dropped.flatten(1).any(dim=1)
    assert abs(kept.double().mean() - (1 - probability)) < 0.03
    assert torch.allclose(dropped[kept], added[kept] / (1 - probability))
    other = built.drop(added, 5, 2).flatten(1).any(dim=1)
    assert abs((kept & other).double().mean() - (1 - probability) ** 2) < 0.03  # both parts are dropped apart


def test_depth_grows_to_the_last_block_and_needs_a_seed():
    built, x = network(blocks=3, drop_path=0.4).train(), drawn(2, 1, 3, 8, 25)
    assert [each.drop_path for each in built.blocks] == [0.0, 0.2, 0.4]
    assert torch.equal(built(x, 7), built(x, 7)) and not torch.equal(built(x, 7), built(x, 8))
    with pytest.raises(ValueError, match="dropout_seed"):
        built(x)
    assert torch.equal(built.eval()(x), built(x, 7))


def test_dropout_changes_single_values():
    built, x = block(dropout=0.5), drawn(50, 20, 8)
    added = built.attention(built.attention_norm(x))
    dropped = built.drop(added, 5, 0)
    share = (dropped == 0).double()
    assert abs(share.mean() - 0.5) < 0.03 and 0 < share[0].mean() < 1
    assert torch.allclose(dropped[dropped != 0], 2 * added[dropped != 0])
