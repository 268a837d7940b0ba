"""The arithmetic that a job sets. Its settings of CUDA can be made, and read back, where there is no GPU."""

from __future__ import annotations

import pytest
import torch
from torch.backends import cuda, cudnn

from ikem.errors import InputError
from ikem.training.precision import arithmetic, autocast, description

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
AMPERE, TURING = (8, 0), (7, 5)


@pytest.fixture(autouse=True)
def capability(monkeypatch):
    """The GPU that is pretended."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: AMPERE)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)


def settings():
    """All that arithmetic sets."""
    return (
        cudnn.conv.fp32_precision,
        cudnn.rnn.fp32_precision,
        cuda.matmul.fp32_precision,
        cudnn.benchmark,
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


@pytest.mark.parametrize(("precision", "float32"), [("float32", "ieee"), ("tf32", "tf32"), ("bfloat16", "ieee")])
@pytest.mark.parametrize("before", ["ieee", "tf32"])
def test_a_gpu_computes_with_the_precision_of_the_recipe(precision, float32, before, monkeypatch):
    """Whatever was set before, for convolutions and for products; and all is as before afterwards."""
    with arithmetic(GPU, "tf32" if before == "tf32" else "float32"):
        monkeypatch.setattr(cudnn, "benchmark", True)
        outside = settings()
        assert outside[:3] == (before,) * 3
        with arithmetic(GPU, precision):
            assert settings() == (float32, float32, float32, False, False, True, True)
            expected = {"precision": precision, "convolutions": float32, "products": float32}
            assert description(GPU, precision) == expected
        assert settings() == outside


def test_settings_end_with_the_block():
    before = settings()
    with pytest.raises(KeyError), arithmetic(GPU, "tf32"):
        raise KeyError
    assert settings()[3:] == before[3:] and settings()[:2] == before[:2]
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_pytorch_s_old_settings_say_the_same(precision):
    """`torch.compile` reads them; where old and new ones contradict each other, reading fails."""
    with arithmetic(GPU, precision):
        rounded = precision == "tf32"
        assert torch.get_float32_matmul_precision() == ("high" if rounded else "highest")
        assert cudnn.allow_tf32 is rounded and cuda.matmul.allow_tf32 is rounded


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_nothing_is_set_for_a_cpu(precision):
    before = settings()
    with arithmetic(CPU, precision):
        assert settings() == before
        assert description(CPU, precision) == {"precision": precision}


def test_tf32_needs_a_device_that_has_it(monkeypatch):
    with pytest.raises(InputError, match=r"tf32 is arithmetic of GPUs"), arithmetic(CPU, "tf32"):
        pass
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: TURING)
    with pytest.raises(InputError, match="precision: tf32"), arithmetic(GPU, "tf32"):
        pass
    with arithmetic(GPU, "float32"):
        pass


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_autocast(precision, dtype):
    with autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
