import sys

import pytest
import torch

from helpers import ROOT, in_memory, near, vectors
from ikem.encoders.heads import exchange_head, projection_head
from ikem.encoders.initialization import initialize
from ikem.encoders.stgcn.network import STGCN, block_widths
from ikem.encoders.strided import TimeConv2d
from ikem.skeleton import load_skeleton
from ikem.verify.state_dict_names import of_encoder

sys.path.insert(0, str(ROOT / "benchmarks"))
from plain.stgcn import PlainSTGCN

NTU, KINECT = load_skeleton("ntu25"), load_skeleton("kinect20")

pytestmark = pytest.mark.usefixtures("threads")


@pytest.mark.parametrize(("name", "widths"), [("stgcn_small", (4, 16)), ("stgcn_paper", (16, 256))])
def test_reference_vectors(name, widths):
    held = vectors(name)
    model = STGCN(NTU, *widths, dropout=0.0)
    model.load_state_dict({key: torch.from_numpy(held[f"p.{of_encoder(key)}"]) for key in model.state_dict()})
    for mode in ("eval", "train"):
        with torch.no_grad():
            features = model.train(mode == "train")(in_memory(held["input"]))
        near(features, held[f"{mode}_features"])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters + held["p.fc.weight"].size + held["p.fc.bias"].size == held["n_params"]
    assert all(int(norm.num_batches_tracked) == 1 for norm in model.modules() if hasattr(norm, "num_batches_tracked"))


def pair(skeleton=NTU, dtype=torch.float64, widths=(4, 16), **options):
    """The plain transcription and ours, with the same random state."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        plain = PlainSTGCN(skeleton, *widths, dropout=0.0)
        for parameter in plain.parameters():
            torch.nn.init.uniform_(parameter, -0.5, 1.0)
        ours = STGCN(skeleton, *widths, dropout=0.0, **options)
    ours.load_state_dict(plain.state_dict())
    return plain.to(dtype), ours.to(dtype)


@pytest.mark.parametrize("skeleton", [NTU, KINECT], ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize(("bodies", "frames"), [(1, 20), (2, 9), (3, 7)])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_outputs_gradients_and_statistics_equal_the_plain_ones(skeleton, bodies, frames, mode):
    theirs_model, ours = pair(skeleton)
    theirs_model.train(mode == "train"), ours.train(mode == "train")
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(3, bodies, 3, frames, skeleton.joint_count, generator=generator, dtype=torch.float64)
    x.requires_grad_()
    disk = x.detach().permute(0, 2, 3, 4, 1).contiguous().requires_grad_()
    weight = torch.randn(3, 16, generator=generator, dtype=torch.float64)
    theirs, mine = theirs_model(disk), ours(x)
    assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-10)
    (theirs * weight).sum().backward()
    (mine * weight).sum().backward()
    assert torch.allclose(x.grad.permute(0, 2, 3, 4, 1), disk.grad, rtol=1e-6, atol=1e-9)
    expected, got = dict(theirs_model.named_parameters()), dict(ours.named_parameters())
    assert set(expected) == set(got)
    for name, parameter in got.items():
        assert torch.allclose(parameter.grad, expected[name].grad, rtol=1e-6, atol=1e-8), name
    for name, buffer in ours.named_buffers():
        assert torch.allclose(buffer, dict(theirs_model.named_buffers())[name], rtol=1e-9), name


def test_float32_stays_near_float64():
    _, exact = pair()
    _, single = pair(dtype=torch.float32)
    x = torch.randn(4, 2, 3, 50, 25, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        near(single(x.float()), exact(x).float())


def test_embedding_counts_absent_bodies():
    """A body that is absent takes part in the mean: two equal bodies give what one gives."""
    _, model = pair()
    model.eval()
    x = torch.randn(2, 1, 3, 8, 25, dtype=torch.float64)
    both = torch.cat([x, x], dim=1)
    half = torch.cat([x, torch.zeros_like(x)], dim=1)
    assert torch.allclose(model(both), model(x))
    assert torch.allclose(model(half), (model(x) + model(torch.zeros_like(x))) / 2)


def test_the_first_block_has_no_dropout():
    torch.manual_seed(0)
    model = STGCN(NTU, 4, 16, dropout=0.5)
    blocks = []
    for block in model.blocks:
        block.register_forward_hook(lambda module, inputs, output: blocks.append(output.detach()))
    x = torch.randn(2, 1, 3, 10, 25)
    model(x, 1), model(x, 2)
    assert torch.equal(blocks[0], blocks[10]) and not torch.equal(blocks[1], blocks[11])


def test_bfloat16_autocast():
    _, model = pair(dtype=torch.float32)
    model.eval()
    x = torch.randn(2, 2, 3, 10, 25)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(x).float()
    full = model(x)
    assert (half - full).abs().max() < 0.05 * full.abs().max()
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        model(x, 0).float().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize(("taps", "stride"), [(1, 1), (1, 2), (1, 3), (3, 1), (9, 1), (9, 2), (9, 4)])
@pytest.mark.parametrize("frames", [1, 7, 12])
def test_time_convolution_equals_a_strided_one(taps, stride, frames):
    with torch.random.fork_rng():
        layer = TimeConv2d(5, 6, taps, stride).double()
        x = torch.randn(2, 5, frames, 4, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.Conv2d.forward(layer, x)
    assert torch.allclose(layer(x), expected)
    inputs = x, layer.weight, layer.bias
    pair = [torch.autograd.grad(y.square().sum(), inputs) for y in (layer(x), expected)]
    assert all(torch.allclose(*values) for values in zip(*pair, strict=True))


def test_a_stride_that_moves_the_middle_tap_is_refused():
    with pytest.raises(ValueError, match="stride of 2 does not divide half of 3 taps"):
        TimeConv2d(1, 1, 3, 2)


def test_widths():
    narrow, middle, wide = [(16, 16, 1)] * 3, [(32, 32, 1)] * 2, [(64, 64, 1)]
    assert block_widths(16, 256) == [*narrow, (16, 32, 2), *middle, (32, 64, 2), *wide, (64, 256, 1)]


def test_heads():
    assert [tuple(p.shape) for p in projection_head(256, 128).parameters()] == [(256, 256), (256,), (128, 256), (128,)]
    assert [tuple(p.shape) for p in exchange_head(256, 128, 6).parameters()] == [(768, 256), (768,), (768, 768), (768,)]


def test_published_initialization():
    with torch.random.fork_rng():
        model = STGCN(NTU)
    initialize(model, 0, "published")
    weight, norm = model.blocks[9].temporal.weight, model.blocks[9].temporal_norm
    assert abs(weight.std() - 0.02) < 1e-4 and abs(weight.mean()) < 1e-4
    assert abs(norm.weight.mean() - 1) < 0.01 and 0.015 < norm.weight.std() < 0.025
    assert all((layer.bias == 0).all() for layer in model.modules() if getattr(layer, "bias", None) is not None)
    initialize(model, 0, "pytorch")
    assert abs(model.blocks[9].temporal.weight.std() - 0.0120) < 1e-3  # uniform within 1 / sqrt(9 * 256)
    assert (norm.weight == 1).all()


def test_nan_is_not_hidden():
    with torch.random.fork_rng():
        model = STGCN(NTU, 4, 16, dropout=0.5)
    x = torch.randn(2, 1, 3, 10, 25)
    x[1, 0, 2, 3, 4] = torch.nan
    assert model(x, 0).isnan().all()
