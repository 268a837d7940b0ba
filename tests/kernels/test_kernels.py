"""Every registered kernel against its reference, and what chooses between them."""

import pytest
import torch

from helpers import units
from ikem.encoders.dropout import dropout
from ikem.encoders.normalization import batch_norm
from ikem.encoders.strided import temporal_convolution
from ikem.errors import InputError
from ikem.kernels import dispatch, softmax
from ikem.kernels.dispatch import KERNELS, backend, replaceable, use_backend
from ikem.kernels.temporal_convolution import WIDE, transforms
from ikem.losses.cross_modal import implicit_losses, mined_losses
from ikem.losses.relational_distillation import relational_losses
from ikem.modalities import MODALITIES, generate_all
from ikem.skeleton import load_skeleton

COUNT, T = 3, 0.07
SIZES = [(1, 8, 1), (5, 16, 700), (80, 24, 3000)]  # rows more and fewer than threads, no multiple of anything


def keys_and_queues(batch, dim, size):
    return units(COUNT, batch, dim, seed=1), units(COUNT, dim, size, seed=2, dim=1)


def mined_case(batch, dim, size):
    top_k = min(size, 3)
    constants = keys_and_queues(batch, dim, size)
    return lambda *tensors: mined_losses(*tensors, T, top_k), units(COUNT, batch, dim, seed=3), *constants


def implicit_case(batch, dim, size):
    keys, queues = keys_and_queues(batch, dim, size)
    queues = queues * torch.linspace(0.5, 2, COUNT * size, dtype=torch.float64).view(COUNT, 1, size)
    return lambda *tensors: implicit_losses(*tensors, T), units(COUNT, batch, COUNT * dim, seed=4), keys, queues


def relational_case(batch, dim, size):
    embeddings, queues = keys_and_queues(batch, dim, size)
    students, teacher = units(2, batch, COUNT * dim, seed=5), units(batch, COUNT * dim, seed=6)
    teacher_queue = units(COUNT * dim, size, seed=7, dim=0)
    return (
        lambda *tensors: relational_losses(*tensors, T, 1, [0, 1, 1]),
        students,
        teacher,
        embeddings,
        queues,
        teacher_queue,
    )


def modalities_case(batch, dim, size):
    skeleton, generator = load_skeleton("ntu25" if dim > 8 else "kinect20"), torch.Generator().manual_seed(1)
    position = torch.randn(batch, 2, 3, dim, skeleton.joint_count, generator=generator, dtype=torch.float64)
    frames = torch.randint(1, 300, (batch,), generator=generator)

    def all_of(position):
        return torch.stack(list(generate_all(list(MODALITIES), position, frames, skeleton).values()))

    return all_of, position


def temporal_case(batch, dim, size):
    """Wide enough for the kernel to do something else than its reference."""
    generator = torch.Generator().manual_seed(2)
    frames, taps = dim - 3, 9
    x = torch.randn(batch, WIDE, frames, 3, generator=generator, dtype=torch.float64)
    weight = torch.randn(WIDE, WIDE, taps, 1, generator=generator, dtype=torch.float64) / 34
    return temporal_convolution, x, weight, torch.randn(WIDE, generator=generator, dtype=torch.float64)


def dropout_case(batch, dim, size):
    x = torch.randn(batch, dim, 7, 25, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return lambda x: dropout(x, size, 0.3), x


def batch_norm_case(batch, dim, size):
    """The running statistics, which are moved in place, are values, too; a mean far from 0 costs no accuracy."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(batch, dim, 7, 25, generator=generator, dtype=torch.float64) * 3 + 100
    others = [torch.rand(dim, generator=generator, dtype=torch.float64) + 0.5 for _ in range(4)]

    def normalized(x, mean, variance, *affine):
        moved = mean.clone(), variance.clone()
        y = batch_norm(x, *moved, *affine, 0.1, 1e-5)
        return torch.cat([y.flatten(), *(running.flatten() for running in moved)])

    return normalized, x, *others


CASES = {
    "batch_norm": batch_norm_case,
    "mined_losses": mined_case,
    "implicit_losses": implicit_case,
    "relational_losses": relational_case,
    "modalities": modalities_case,
    "temporal_convolution": temporal_case,
    "dropout": dropout_case,
}


def computed(operation, size, dtype, name):
    """Values of an operation, and the gradient of a weighted sum of them with respect to its first argument."""
    function, *tensors = CASES[operation](*size)
    first, *others = (tensor.to(dtype) for tensor in tensors)
    first.requires_grad_(KERNELS[operation].differentiable)
    with backend(name):
        values = function(first, *others)
        if first.requires_grad:
            weights = torch.rand(values.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            (values * weights.to(dtype)).sum().backward()
    return [values.detach(), *([] if first.grad is None else [first.grad])]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("operation", KERNELS)
def test_kernel_equals_reference(operation, size, threads, monkeypatch):
    monkeypatch.setattr(softmax, "_LEAST_COLUMNS", 997)  # several chunks of the queue
    exact = computed(operation, size, torch.float64, "reference")
    single = computed(operation, size, torch.float32, "kernels")
    assert len(exact) == len(single) == 1 + KERNELS[operation].differentiable
    for expected, value in zip(exact, single, strict=True):
        assert value.dtype == torch.float32
        limit = 1e-5 * max(1.0, expected.abs().max().item())
        assert torch.allclose(value.double(), expected, rtol=1e-4, atol=limit)


@pytest.mark.parametrize("operation", KERNELS)
def test_results_do_not_depend_on_threads(operation, numeric_threads):
    results = []
    for threads in (1, 2):
        numeric_threads(threads)
        results.append(computed(operation, SIZES[-1], torch.float32, "kernels"))
    assert all(torch.equal(*parts) for parts in zip(*results, strict=True))


def test_the_lowest_temperature_is_exact():
    keys, queues = keys_and_queues(4, 5, 11)
    queries = units(COUNT, 4, 5, seed=3)
    exact = mined_losses(queries, keys, queues, 0.025)
    single = mined_losses(queries.float(), keys.float(), queues.float(), 0.025)
    assert torch.allclose(single.double(), exact, rtol=1e-4)
    far = -units(COUNT, 4, 15, seed=3).float()
    assert torch.isfinite(implicit_losses(far, keys.float(), queues.float(), 0.025)).all()


@pytest.mark.parametrize("value", [0.0249, 0.0, -1.0, float("nan")])
def test_low_temperatures_are_refused(value):
    keys, queues = (tensor.float() for tensor in keys_and_queues(4, 5, 11))
    exchanged, teacher_queue = units(COUNT, 4, 15).float(), units(15, 11, dim=0).float()
    with pytest.raises(ValueError, match="temperature"):
        mined_losses(keys, keys, queues, value)
    with pytest.raises(ValueError, match="temperature"):
        implicit_losses(exchanged, keys, queues, value)
    with pytest.raises(ValueError, match="temperature"):
        relational_losses(exchanged, exchanged[0], keys, queues, teacher_queue, value)


@pytest.mark.parametrize("frames", [1, 2, 5, 12, 13])
def test_temporal_convolution_of_any_length(frames):
    """Even and odd lengths of the transform; gradients of weights and bias, too."""
    generator = torch.Generator().manual_seed(frames)
    x = torch.randn(2, WIDE, frames, 3, generator=generator)
    weight, bias = torch.randn(WIDE, WIDE, 9, 1, generator=generator) / 34, torch.randn(WIDE, generator=generator)
    found = []
    for name, dtype in (("kernels", torch.float32), ("reference", torch.float64)):
        arguments = [tensor.to(dtype).requires_grad_() for tensor in (x, weight, bias)]
        with backend(name):
            y = temporal_convolution(*arguments)
        found.append([y, *torch.autograd.grad((y * y).sum(), arguments)])
    assert len(transforms(frames, 9)[0]) <= 1.5 * (frames + 4) + 1
    for value, expected in zip(*found, strict=True):
        assert torch.allclose(value.double(), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("count", [1, 3, 1023, 1024, 5000])
@pytest.mark.parametrize("probability", [0.0, 0.5, 0.999999])
def test_dropout_keeps_every_bit(count, probability):
    x = torch.randn(2 * count, generator=torch.Generator().manual_seed(count))[::2].requires_grad_()
    found = []
    for name in ("kernels", "reference"):
        with backend(name):
            y = dropout(x, 2**63 - count, probability)
        found.append((y, *torch.autograd.grad((y * torch.arange(count)).sum(), x)))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_batch_norm_of_any_layout():
    """Gradients of weight and bias, too; an input whose channels are last; one value for a channel is refused."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(3, 7, 5, 4, generator=generator).permute(0, 3, 1, 2)
    weight, bias = torch.randn(4, generator=generator), torch.randn(4, generator=generator)
    found = []
    for name, dtype in (("kernels", torch.float32), ("reference", torch.float64)):
        arguments = [tensor.to(dtype).requires_grad_() for tensor in (x, weight, bias)]
        running = torch.zeros(4, dtype=dtype), torch.ones(4, dtype=dtype)
        with backend(name):
            y = batch_norm(arguments[0], *running, *arguments[1:], 0.1, 1e-5)
            with pytest.raises(ValueError, match="more than"):
                batch_norm(torch.zeros(1, 4, 1, 1, dtype=dtype), *running, *arguments[1:], 0.1, 1e-5)
        found.append([y, *running, *torch.autograd.grad((y * y * y).sum(), arguments)])
    for value, expected in zip(*found, strict=True):
        assert torch.allclose(value.double(), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_narrow_convolutions_are_left_alone():
    x, weight = torch.randn(2, WIDE - 1, 5, 3), torch.randn(WIDE, WIDE - 1, 9, 1)
    with backend("reference"):
        expected = temporal_convolution(x, weight, torch.zeros(WIDE))
    with backend("kernels"):
        assert torch.equal(temporal_convolution(x, weight, torch.zeros(WIDE)), expected)


@pytest.fixture
def called(monkeypatch):
    """An operation that says what computed it, given a tensor."""
    monkeypatch.setitem(KERNELS, "test", dispatch.Kernel("test:kernel", differentiable=False))
    monkeypatch.setattr(dispatch, "_function", lambda name: lambda x: name)
    return replaceable("test")(lambda x: "reference")


SINGLE, DOUBLE = torch.zeros(2), torch.zeros(2, dtype=torch.float64)


def test_backends(called):
    assert called(SINGLE) == called(x=SINGLE) == called(x=SINGLE.long()) == "test:kernel"
    unusable = [DOUBLE, SINGLE.half(), SINGLE.to("meta"), SINGLE.clone().requires_grad_()]
    for tensor in unusable:
        assert called(tensor) == "reference"
    with torch.no_grad():
        assert called(unusable[-1]) == "test:kernel"
    with torch.autocast("cpu", torch.bfloat16):
        assert called(SINGLE) == "reference"
    with backend("reference"):
        assert called(SINGLE) == "reference"
    with backend("kernels"):
        assert called(SINGLE) == "test:kernel"
        for tensor in unusable:
            with pytest.raises(InputError, match=r"compute\.backend: the kernel of test cannot be used"):
                called(tensor)
    assert called(SINGLE) == "test:kernel"


def test_a_backend_holds_for_the_process():
    try:
        use_backend("kernels")
        assert dispatch._backend == "kernels"
        with pytest.raises(InputError, match="unknown backend 'gpu'"):
            use_backend("gpu")
        assert dispatch._backend == "kernels"
    finally:
        use_backend("auto")


def test_modalities_have_gradients():
    """The kernel has none: the reference is taken."""
    function, position = modalities_case(2, 9, 0)
    position = position.float().requires_grad_()
    function(position)[1:].square().sum().backward()
    assert position.grad is not None and position.grad.abs().sum() > 0


def test_every_operation_has_a_case():
    assert CASES.keys() == KERNELS.keys()
