"""Run as a program: the encoders of every shipped config, forward and backward, against float64.

`python tests/encoder_shapes.py THREADS ...` runs everything with each number of numeric threads. It ends with status 0
and a line "agrees" for each shape and number if everything does.
Compiled code that writes out of bounds does so on some processors only, so `test_processors.py` runs this on several.
"""

from __future__ import annotations

import functools
import itertools
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from ikem.process import use_threads  # noqa: E402

THREADS = [int(word) for word in sys.argv[1:]]
use_threads(max(THREADS))

import torch  # noqa: E402
from benchmarks.plain.stgcn import PlainSTGCN  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from config_support import files_of  # noqa: E402
from ikem.encoders.initialization import initialize  # noqa: E402
from ikem.encoders.stgcn.network import STGCN  # noqa: E402
from ikem.encoders.strided import TimeConv2d  # noqa: E402
from ikem.settings.loading import load_config  # noqa: E402
from ikem.skeleton import load_skeleton  # noqa: E402
from ikem.workflow.plan import Plan  # noqa: E402

REPEATS = 2
"""What is overwritten is often found by the next allocation only."""

Shape = tuple[str, int, int, int]
"""Skeleton, hidden channels, hidden dim, frames."""


def shapes() -> list[Shape]:
    """Of every training job of an ST-GCN of every shipped config, of the tests' own, and of the reference vectors."""
    found = {("ntu25", 4, 16, 50), ("ntu25", 16, 256, 50)}
    for path in [*(ROOT / "config").glob("*.yaml"), *(ROOT / "tests" / "configs").glob("*.yaml")]:
        config = load_config(*files_of(path))
        for job in Plan(config).all_jobs():
            encoder = job.settings.get("encoder")
            if encoder is not None and encoder["kind"] == "stgcn":
                dataset = config.datasets[dict(job.name.keys)["dataset"]]
                widths = encoder["hidden_channels"], encoder["hidden_dim"]
                found.add((job.settings["skeleton"], *widths, dataset.prepare.frames))
    return sorted(found)


def exact(model: nn.Module) -> nn.Module:
    """The model in float64, which oneDNN does not compute, with PyTorch's own strided convolution."""
    for layer in model.modules():
        if isinstance(layer, TimeConv2d):
            layer.forward = functools.partial(nn.Conv2d.forward, layer)  # type: ignore[method-assign]
    return model.double()


def check(shape: Shape) -> None:
    """Compare all gradients of the encoder and of its published operations with float64."""
    skeleton, widths, frames = load_skeleton(shape[0]), shape[1:3], shape[3]
    clips = 8 if widths[0] < 8 else 3
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(clips, 2, 3, frames, skeleton.joint_count, generator=generator)
    weight = torch.randn(clips, widths[1], generator=generator)
    disk = x.permute(0, 2, 3, 4, 1).contiguous()
    ours, published = STGCN(skeleton, *widths, dropout=0.0), PlainSTGCN(skeleton, *widths, dropout=0.0)
    initialize(ours, 0, "pytorch")
    published.load_state_dict(ours.state_dict())
    reference = PlainSTGCN(skeleton, *widths, dropout=0.0)
    reference.load_state_dict(ours.state_dict())
    expected = gradients(exact(reference), disk.double(), weight.double())
    for threads in THREADS:
        torch.set_num_threads(threads)
        for _ in range(REPEATS):
            compare(gradients(ours.train(), x, weight), expected, f"{shape}, encoder")
            compare(gradients(published, disk, weight), expected, f"{shape}, published operations")
        with torch.autocast("cpu", torch.bfloat16):  # too coarse to compare a whole encoder
            assert all(value.isfinite().all() for value in gradients(ours, x, weight).values())
        with torch.no_grad():
            assert ours.eval()(x).isfinite().all()
        print(f"agrees: {shape}, threads {threads}", flush=True)


def gradients(model: nn.Module, x: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Of a weighted sum of the embeddings, by the parameters' names."""
    model.zero_grad()
    (model(x) * weight).sum().backward()
    return {name: value.grad.double() for name, value in model.named_parameters()}


def compare(ours: dict[str, Tensor], expected: dict[str, Tensor], title: str) -> None:
    """Each gradient is within 5 % of its length: through ReLU and BatchNorm, float32 differs by up to 3 %."""
    longest = max(float(value.norm()) for value in expected.values())
    for name, value in expected.items():
        error = float((ours[name] - value).norm()) / (float(value.norm()) + 1e-3 * longest)
        assert error < 0.05, f"{title}: the gradient of {name} is off by {error:.1%}"


def check_convolutions(widths: set[int]) -> None:
    """Each convolution along time by itself, where float32 is good to five digits: values and all gradients."""
    generator = torch.Generator().manual_seed(1)
    for inputs, frames in itertools.product(sorted(widths), (16, 31)):
        for outputs, (taps, stride) in itertools.product((inputs, 2 * inputs), ((1, 1), (1, 2), (9, 1), (9, 2))):
            layer = TimeConv2d(inputs, outputs, taps, stride)
            nn.init.normal_(layer.weight, generator=generator), nn.init.normal_(layer.bias, generator=generator)
            x = torch.randn(5, inputs, frames, 25, generator=generator)
            double = nn.Conv2d(inputs, outputs, layer.kernel_size, layer.stride, layer.padding).double()
            double.load_state_dict(layer.state_dict())
            expected = value_and_gradients(double, x.double())
            for threads, layout in itertools.product(THREADS, (torch.channels_last, torch.contiguous_format)):
                torch.set_num_threads(threads)
                found = value_and_gradients(layer, x.contiguous(memory_format=layout))
                for single, exactly in zip(found, expected, strict=True):
                    assert single.shape == exactly.shape
                    error = float((single.double() - exactly).abs().max() / exactly.abs().max())
                    assert error < 1e-4, f"{layer} of {tuple(x.shape)} is off by {error:.1e}"


def value_and_gradients(layer: nn.Conv2d, x: Tensor) -> list[Tensor]:
    """What a convolution gives, and the gradients of a weighted sum of it: of its input, weight and bias."""
    given = x.detach().requires_grad_()
    y = layer(given)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(2)).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, [given, layer.weight, layer.bias], weight)]


if __name__ == "__main__":
    check_convolutions({1, 2, 3} | {factor * shape[1] for shape in shapes() for factor in (1, 2, 4)})
    for each in shapes():
        check(each)
