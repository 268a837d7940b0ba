import functools
import sys

import pytest
import torch

from helpers import ROOT, in_memory, near, vectors
from ikem.encoders.dropout import Dropout
from ikem.encoders.fused import normalise, normalise_pool
from ikem.encoders.graph import adjacency
from ikem.encoders.graph_temporal import graph_temporal
from ikem.encoders.heads import exchange_head, projection_head
from ikem.encoders.initialization import initialize
from ikem.encoders.mixing import Entries, graph_convolution
from ikem.encoders.stgcn import STGCN, block_widths
from ikem.encoders.temporal import convolve, convolve_slopes
from ikem.kernels.dispatch import plain
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


def test_dropout_is_a_function_of_its_seed():
    with torch.random.fork_rng():
        model = STGCN(NTU, 4, 16, dropout=0.5)
    x = torch.randn(2, 2, 3, 10, 25)
    before = torch.get_rng_state()
    first = model(x, 7)
    model(x, 8)
    torch.rand(3)
    again, other = model(x, 7), model(x, 8)
    torch.set_rng_state(before)
    assert torch.equal(first, again) and not torch.equal(first, other)
    with pytest.raises(ValueError, match="dropout_seed"):
        model(x)
    model.eval()
    assert torch.equal(model(x), model(x, 7))


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 0.9])
def test_dropout_mask(probability):
    mask = Dropout(0, probability).mask((8, 16, 30, 25), torch.device("cpu"))
    assert mask.shape == (8, 16, 30, 25)
    dropped = (mask == 0).double()
    assert abs(dropped.mean() - probability) < 0.01
    assert (dropped.mean(dim=(0, 2, 3)) - probability).abs().max() < 0.03
    kept = mask[mask != 0].double()
    assert torch.allclose(kept, torch.full_like(kept, 1 / (1 - probability)), rtol=1e-4)
    flat = dropped.flatten() - dropped.mean()
    for lag in (1, 2, 3, 4, 8, 25):
        assert abs((flat[lag:] * flat[:-lag]).mean()) < 0.01
    for seed in (1, 2, 2**62):
        other = Dropout(seed, probability).mask((8, 16, 30, 25), torch.device("cpu"))
        elsewhere = (other == 0).double().flatten() - probability
        for lag in (0, 1, 400, 12000):
            assert abs((flat[lag:] * elsewhere[: len(flat) - lag]).mean()) < 0.01


def scrambled(value):
    """The hash in Python's own numbers."""
    for shift, factor in ((16, 0x21F0AAAD), (15, 0xD35A2D97)):
        value = (value ^ value >> shift) * factor % 2**32
    return value ^ value >> 15


def test_dropout_mask_by_hand():
    dropout = Dropout(12345, 0.3)
    one, two, least, _ = (int(number) for number in dropout.numbers)
    assert least == round(0.3 * 2**32)
    mask = dropout.mask((2, 3, 4, 5), torch.device("cpu")).permute(0, 2, 3, 1).flatten().tolist()
    for place, value in enumerate(mask):
        kept = scrambled((scrambled(place ^ one) + two) % 2**32) >= least
        assert value == pytest.approx(kept / 0.7)


def test_dropout_leaves_the_first_block_and_the_mean_alone():
    """Over many seeds the dropped last block averages to what no dropout gives."""
    torch.manual_seed(0)
    model = STGCN(NTU, 4, 16, dropout=0.5)
    blocks = []
    for block in model.blocks:
        block.register_forward_hook(lambda module, inputs, output: blocks.append(output.detach()))
    x = torch.randn(2, 1, 3, 10, 25)
    model(x, 1), model(x, 2)
    assert torch.equal(blocks[0], blocks[9]) and not torch.equal(blocks[1], blocks[10])


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


def test_widths():
    narrow, middle, wide = [(16, 16, 1)] * 3, [(32, 32, 1)] * 2, [(64, 64, 1)]
    assert block_widths(16, 256) == [*narrow, (16, 32, 2), *middle, (32, 64, 2), *wide, (64, 256, 1)]


def test_heads():
    assert [tuple(p.shape) for p in projection_head(256, 128).parameters()] == [(256, 256), (256,), (128, 256), (128,)]
    assert [tuple(p.shape) for p in exchange_head(256, 128, 6).parameters()] == [(768, 256), (768,), (768, 768), (768,)]


@pytest.mark.parametrize("kind", ["published", "pytorch"])
def test_initialization_is_a_function_of_its_seed(kind):
    with torch.random.fork_rng():
        one, two, three = (STGCN(NTU, 8, 32) for _ in range(3))
    before = torch.get_rng_state()
    initialize(one, 5, kind)
    torch.rand(1)
    initialize(two, 5, kind)
    torch.set_rng_state(before)
    initialize(three, 6, kind)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.blocks[3].temporal.weight, three.blocks[3].temporal.weight)
    assert (one.blocks[2].edge_importance == 1).all()


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


@pytest.mark.parametrize("skeleton", [NTU, KINECT], ids=lambda skeleton: skeleton.name)
def test_compiled_gathering_against_float64(skeleton):
    generator = torch.Generator().manual_seed(0)
    graph = torch.from_numpy(adjacency(skeleton))
    joints = skeleton.joint_count
    entries = Entries.of(torch.nonzero(graph), joints)
    exact_weight = graph.double() * torch.rand(3, joints, joints, generator=generator, dtype=torch.float64)
    x = torch.randn(7, 5, 10, joints, generator=generator, dtype=torch.float64)
    exact_kernel = torch.randn(6, 15, generator=generator, dtype=torch.float64)
    slope = torch.randn(7, 6, 10, joints, generator=generator, dtype=torch.float64)
    results = []
    for dtype in (torch.float64, torch.float32):
        given = (value.clone().to(dtype).requires_grad_() for value in (x, exact_weight, exact_kernel))
        values, weight, kernel = given
        y = graph_convolution(values, weight, kernel, entries)
        (y * slope.to(dtype)).sum().backward()
        results.append([y.detach(), values.grad, weight.grad * (graph != 0), kernel.grad])
    expected = torch.einsum("okc,kvw,nctv->notw", exact_kernel.view(6, 3, 5), exact_weight, x)
    assert torch.allclose(results[0][0], expected)
    for exact, single in zip(*results, strict=True):
        assert torch.allclose(single.double(), exact, rtol=1e-4, atol=1e-5)


def test_plain_operations_can_be_chosen():
    """PyTorch's own operations give what the kernels give, masks included."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = STGCN(NTU, 4, 16, dropout=0.5)
        x = torch.randn(3, 2, 3, 12, 25)
    fast = model(x, 4)
    with plain():
        slower = model(x, 4)
    assert torch.allclose(fast, slower, atol=1e-5) and not torch.equal(fast, slower)


def test_absent_bodies_are_embedded_once():
    _, model = pair()
    model.eval()
    x = torch.randn(4, 2, 3, 8, 25, dtype=torch.float64)
    x[0, 1], x[2, 1], x[3, 0] = 0, 0, 0
    sizes = []
    model.blocks[0].register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    together = model(x)
    assert sizes == [6]  # five that are there, and one for all that are not
    for clip in range(4):
        halves = [model(x[clip : clip + 1, body : body + 1]) for body in range(2)]
        assert torch.allclose(together[clip], (halves[0] + halves[1])[0] / 2)
    model(x[:, :1]), model(torch.zeros(2, 1, 3, 8, 25, dtype=torch.float64))
    assert sizes[-2:] == [4, 1]


def _slopes_of(function, inputs, norm, weight):
    """Value, gradients and statistics of one call."""
    y = function()
    (y * weight).sum().backward()
    return [y.detach(), *(value.grad for value in inputs), norm.weight.grad, norm.bias.grad, *norm.buffers()]


def _norm(channels, dtype):
    norm = torch.nn.BatchNorm2d(channels).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1, 2, channels)), norm.bias.copy_(torch.linspace(0, 1, channels))
    return norm


@pytest.mark.parametrize("probability", [None, 0.3, 0.5])
@pytest.mark.parametrize("function", [normalise, normalise_pool])
def test_compiled_normalisation_against_float64(function, probability):
    """The float32 kernel against PyTorch's own operations, with the same dropped values."""
    generator = torch.Generator().manual_seed(0)
    x = 3 + torch.randn(5, 6, 7, 9, generator=generator, dtype=torch.float64)
    x = x.to(memory_format=torch.channels_last)
    residual, weight = (torch.randn(5, 6, 7, 9, generator=generator, dtype=torch.float64) for _ in range(2))
    dropout = None if probability is None else Dropout(3, probability)
    for added in (residual, None):
        results = []
        for dtype in (torch.float64, torch.float32):
            norm = _norm(6, dtype)
            inputs = [value.detach().clone().to(dtype).requires_grad_() for value in (x, added) if value is not None]
            more = inputs[1] if added is not None else None
            call = functools.partial(function, inputs[0], norm, dropout, more)
            chosen = weight if function is normalise else weight[:, :, 0, 0]
            results.append(_slopes_of(call, inputs, norm, chosen.to(dtype)))
        for exact, single in zip(*results, strict=True):
            assert torch.allclose(single.double(), exact.double(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "outputs", "frames", "stride"),
    [(6, 6, 7, 1), (6, 6, 7, 2), (128, 128, 13, 1), (130, 128, 1, 1), (128, 140, 6, 1), (128, 128, 12, 2)],
)
def test_compiled_graph_and_temporal_convolution_against_float64(channels, outputs, frames, stride):
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    linked = torch.rand(3, 5, 5, generator=generator) < 0.4
    linked[:, :, 2], linked[:, 3] = False, False  # a joint that receives nothing, one that gives nothing
    entries = Entries.of(torch.nonzero(linked), 5)
    x, bias, taps, shift = drawn(3, 4, frames, 5), drawn(5, channels), drawn(outputs, channels, 9, 1), 0.1
    graph, kernel = drawn(3, 5, 5) * linked, drawn(channels, 12)
    weight = drawn(3, outputs, (frames - 1) // stride + 1, 5)
    results = []
    for dtype in (torch.float64, torch.float32):
        norm, convolution = _norm(channels, dtype), torch.nn.Conv2d(channels, outputs, (9, 1), (stride, 1), (4, 0))
        convolution = convolution.to(dtype)
        with torch.no_grad():
            convolution.weight.copy_(taps / channels), convolution.bias.fill_(shift)
        inputs = [value.detach().clone().to(dtype).requires_grad_() for value in (x, graph, kernel, bias)]
        call = functools.partial(graph_temporal, *inputs, entries, norm, convolution)
        results.append(_slopes_of(call, [*inputs, *convolution.parameters()], norm, weight.to(dtype)))
        results[-1][2] = results[-1][2] * linked  # only these get a gradient
    for exact, single in zip(*results, strict=True):
        assert single.shape == exact.shape
        scale = exact.abs().max().clamp_min(1.0).item()
        assert torch.allclose(single.double(), exact.double(), rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("samples", "frames", "taps"), [(2, 1, 9), (2, 13, 9), (70, 14, 9), (2, 50, 9), (2, 7, 3), (2, 64, 1)]
)
def test_convolution_by_transforms(samples, frames, taps):
    """The transforms against PyTorch's convolution in float64: as near as its convolution in float32 is."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, 150, frames, 5, generator=generator, dtype=torch.float64).requires_grad_()
    kernel = torch.randn(128, 150, taps, 1, generator=generator, dtype=torch.float64).requires_grad_()
    bias = torch.randn(128, generator=generator, dtype=torch.float64).requires_grad_()
    gradient = torch.randn(samples, 128, frames, 5, generator=generator, dtype=torch.float64)
    exact = torch.nn.functional.conv2d(x, kernel, bias, padding=(taps // 2, 0))
    exact.backward(gradient)
    single = [value.detach().float() for value in (x, kernel, bias)]
    result = convolve(*single, 1)
    slopes = convolve_slopes(gradient.float(), *single[:2], 1)
    for got, expected in zip((result, *slopes), (exact, x.grad, kernel.grad, bias.grad), strict=True):
        assert got.shape == expected.shape
        assert (got - expected).abs().max() < 3e-6 * expected.abs().max()


def test_nan_is_not_hidden():
    with torch.random.fork_rng():
        model = STGCN(NTU, 4, 16, dropout=0.5)
    x = torch.randn(2, 1, 3, 10, 25)
    x[1, 0, 2, 3, 4] = torch.nan
    assert model(x, 0).isnan().all()


def test_one_value_has_no_statistics():
    with pytest.raises(ValueError, match="more than one"):
        normalise(torch.randn(1, 3, 1, 1), torch.nn.BatchNorm2d(3), None, None)
