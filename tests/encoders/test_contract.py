"""What every registered encoder keeps to; see `ikem.encoders.declaration.Network`."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ikem.encoders.initialization import initialize
from ikem.encoders.pooling import pool
from ikem.encoders.registry import ENCODERS, build_encoder
from ikem.kernels.dispatch import backend
from ikem.skeleton import load_skeleton

SKELETONS = [load_skeleton("ntu25"), load_skeleton("kinect20")]

pytestmark = pytest.mark.parametrize("kind", ENCODERS)


def network(kind, skeleton=SKELETONS[0], seed=0, **options):
    """An encoder with the narrowest embedding that tests need; its own options are the defaults."""
    chosen = ENCODERS[kind].options(kind=kind, hidden_dim=16, **options)
    built = build_encoder(chosen, skeleton)
    initialize(built, seed, "pytorch")
    return built


def clips(count=3, bodies=2, frames=12, skeleton=SKELETONS[0], device="cpu"):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, bodies, 3, frames, skeleton.joint_count, generator=generator).to(device)


def require(kind, option):
    """Skip the test for an encoder that has no such option."""
    if option not in ENCODERS[kind].options.model_fields:
        pytest.skip(f"{kind} has no {option}")


def moved(built):
    """After a training step, so that running statistics are no longer the initial ones."""
    built.train()
    built(clips(), 3)
    return built.eval()


def test_declaration(kind):
    encoder = ENCODERS[kind]
    assert encoder.options(kind=kind).kind == kind
    assert encoder.options.__doc__ and encoder.title and (encoder.source.arxiv or encoder.source.doi)


@pytest.mark.parametrize("initialization", ["published", "pytorch"])
def test_every_parameter_follows_the_seed(kind, initialization):
    first, again, other = (network(kind) for _ in range(3))
    for built, seed in ((first, 1), (again, 1), (other, 2)):
        with torch.no_grad():
            for parameter in built.parameters():
                parameter.fill_(torch.nan)
        before = torch.get_rng_state()
        initialize(built, seed, initialization)
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
    for (name, value), twin in zip(first.named_parameters(), other.parameters(), strict=True):
        constant = bool((value == value.flatten()[0]).all())  # ones and zeros do not depend on a seed
        assert torch.equal(value, twin) == constant, name


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize(("count", "bodies", "frames"), [(1, 1, 8), (2, 2, 9), (3, 1, 30)])
def test_shapes_and_precision(kind, skeleton, count, bodies, frames):
    built = network(kind, skeleton)
    x = clips(count, bodies, frames, skeleton)
    for mode in (True, False):
        built.train(mode)
        embedding, features = built(x, 5), built.features(x, 5)
        assert embedding.shape == (count, 16)
        assert features.shape[:2] == (count * bodies, 16) and features.shape[3] == skeleton.joint_count
        assert embedding.dtype == features.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert built(x).isfinite().all()
    double = built.double()(x.double())
    assert double.dtype == torch.float64
    assert torch.allclose(double.float(), embedding, atol=1e-4)


def test_evaluation_does_not_depend_on_the_batch(kind):
    built, x = moved(network(kind)), clips(4)
    together = built(x)
    for number in range(len(x)):
        assert torch.allclose(built(x[number : number + 1])[0], together[number], rtol=1e-4, atol=1e-5)
    assert torch.equal(built(x, 1), together) and torch.equal(built(x, 2), together)


def test_bodies_are_averaged_and_absent_ones_counted(kind):
    built, x = moved(network(kind)), clips()
    x[1, 1] = 0
    alone = [built(x[:, body : body + 1]) for body in range(2)]
    assert torch.allclose(built(x), (alone[0] + alone[1]) / 2, rtol=1e-4, atol=1e-5)
    assert torch.allclose(alone[1][1], built(torch.zeros_like(x[:1, :1]))[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(alone[1][1], alone[0][1], atol=1e-3)


def test_embedding_is_pooled_features(kind):
    """Also in training: a method may change the features before they are pooled."""
    built = network(kind).train()
    assert torch.allclose(pool(built.features(clips(), 3), bodies=2), built(clips(), 3), rtol=1e-4, atol=1e-5)


def test_dropout_follows_its_seed_alone(kind):
    require(kind, "dropout")
    built, x = network(kind, dropout=0.5).train(), clips()
    before = torch.get_rng_state()
    first = built(x, 7)
    torch.rand(3)
    assert torch.equal(built(x, 7), first) and not torch.equal(built(x, 8), first)
    torch.set_rng_state(before)
    with pytest.raises(ValueError, match="dropout_seed"):
        built(x)


def gradients(built, x, seed):
    built.zero_grad()
    embedding = built(x, seed)
    (embedding * torch.linspace(-1, 1, embedding.numel()).view_as(embedding)).sum().backward()
    return [embedding.detach(), *(parameter.grad for parameter in built.parameters())]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_activation_checkpointing_changes_no_bit(kind, precision):
    """Neither embeddings, gradients and statistics, also where a gradient is accumulated."""
    require(kind, "activation_checkpointing")
    kept = network(kind).train()
    again = network(kind, activation_checkpointing=True).train()
    x = clips()
    for seed in (3, 4):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            pair = gradients(kept, x, seed), gradients(again, x, seed)
        assert all(torch.equal(*values) for values in zip(*pair, strict=True))
    assert kept.state_dict().keys() == again.state_dict().keys()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in kept.state_dict().items())


def saved_bytes(built, x):
    """What a forward pass keeps for the backward pass."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        built(x, 1)
    return sum(kept.values())


def test_activation_checkpointing_keeps_less(kind):
    require(kind, "activation_checkpointing")
    kept, again = (network(kind, activation_checkpointing=value).train() for value in (False, True))
    assert saved_bytes(again, clips()) < 0.5 * saved_bytes(kept, clips())


def test_exports(kind):
    built, x = moved(network(kind)), clips(2)
    exported = torch.export.export(built, (x,)).module()
    assert torch.allclose(exported(x), built(x), rtol=0, atol=1e-5)
    other = x.flip(0) * 2
    other[0, 1] = 0  # which bodies are present is no part of the graph
    assert torch.allclose(exported(other), built(other), rtol=0, atol=1e-5)


def test_compiles_without_a_break_with_a_seed_on_the_device(kind):
    built, x = network(kind).train(), clips(2)
    if any(isinstance(module, nn.RNNBase) for module in built.modules()):
        pytest.skip("PyTorch compiles no recurrent layers")
    compiled = torch.compile(network(kind).train(), fullgraph=True, backend="eager")
    with backend("reference"):  # kernels are no operations of PyTorch
        for seed in (3, 4):
            assert torch.equal(compiled(x, torch.tensor(seed)), built(x, seed))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_no_value_is_read_on_the_host(kind, mode):
    """Device "meta" has no values: reading one fails."""
    built = network(kind).to("meta").train(mode == "train")
    embedding = built(clips(device="meta"), 3)
    embedding.sum().backward()
    assert embedding.shape == (3, 16)
    assert all(parameter.grad is not None for parameter in built.parameters())


def test_every_parameter_gets_a_gradient(kind):
    built = network(kind).train()
    built(clips(), 3).square().sum().backward()
    assert all(parameter.grad is not None for parameter in built.parameters())


class Forgetful(nn.Module):
    """Its parameter is random, and follows no seed."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.scale = encoder, nn.Parameter(torch.rand(3))


class Partial(Forgetful):
    """Its method sets a part of the parameter."""

    def reset_parameters(self):
        nn.init.zeros_(self.scale[1:])


@pytest.mark.parametrize("wrapper", [Forgetful, Partial])
def test_a_parameter_without_a_seed_is_refused(kind, wrapper):
    with pytest.raises(TypeError, match=f"{wrapper.__name__} encoder: its parameters scale do not follow the seed"):
        initialize(nn.ModuleDict({"encoder": wrapper(network(kind))}), 0, "pytorch")
