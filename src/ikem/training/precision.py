"""The arithmetic of a job: how precise convolutions and products are, and whether the same bits come twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch

from ikem.errors import InputError

Float32 = Literal["ieee", "tf32"]

# These modules have settings that their type stubs do not know.
cudnn: Any = torch.backends.cudnn
cuda_products: Any = torch.backends.cuda.matmul
deterministic: Any = torch.utils.deterministic

TF32_CAPABILITY = (8, 0)
"""Compute capability from which a GPU has TF32: that of Ampere."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """PyTorch's autocast to bfloat16 where `precision` is "bfloat16"; nothing for "float32" and "tf32".

    Device "meta", on which the operations of a step are counted, has no autocast.
    """
    if precision != "bfloat16" or device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


@contextmanager
def arithmetic(device: torch.device, precision: str) -> Iterator[None]:
    """Within it a process computes as its precision says and, on a GPU, with the same bits every time.

    | precision | convolutions and products of encoders | losses and all else |
    | float32 | float32 (IEEE 754) | float32 |
    | tf32 | factors rounded to the 10 bits of TF32's mantissa, sums in float32 | the same |
    | bfloat16 | bfloat16, by `autocast` around encoders and heads | float32 |

    PyTorch's own default on a GPU is neither: convolutions in TF32, products in float32.

    Args:
        device: where is computed.
        precision: of a recipe.

    Raises:
        InputError: "tf32" on a device that has none; its results would be those of another precision.
    """
    if precision == "tf32" and (device.type != "cuda" or torch.cuda.get_device_capability(device) < TF32_CAPABILITY):
        raise InputError(
            f"tf32 is arithmetic of GPUs from compute capability {TF32_CAPABILITY[0]}.{TF32_CAPABILITY[1]} on",
            location="precision: tf32",
            hint="Set the recipe's precision to float32 or bfloat16, or compute on such a GPU",
        )
    if device.type != "cuda":
        yield
        return
    with _deterministic(), _float32("tf32" if precision == "tf32" else "ieee"):
        yield


def description(device: torch.device, precision: str) -> dict[str, str]:
    """What `run.json` says of the arithmetic: the precision, and on a GPU what PyTorch now does with float32 values."""
    found = {"precision": precision}
    if device.type == "cuda":
        found |= {"convolutions": cudnn.conv.fp32_precision, "products": cuda_products.fp32_precision}
    return found


@contextmanager
def _float32(kind: Float32) -> Iterator[None]:
    """How cuDNN and cuBLAS compute with float32 values."""
    before = torch.get_float32_matmul_precision(), cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision
    allowed = cudnn.allow_tf32
    _set_float32("high" if kind == "tf32" else "highest", kind, kind, kind == "tf32")
    try:
        yield
    finally:
        _set_float32(*before, allowed)


def _set_float32(products: str, convolutions: str, recurrent: str, allowed: bool) -> None:
    """By PyTorch's old settings too: `torch.compile` reads them, which fails where they contradict the new ones."""
    cudnn.allow_tf32 = allowed
    torch.set_float32_matmul_precision(products)
    cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = convolutions, recurrent


@contextmanager
def _deterministic() -> Iterator[None]:
    """Deterministic algorithms, with a warning where an operation has none."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS promises nothing from run to run
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled, searching = deterministic.fill_uninitialized_memory, cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False  # with NaN: gigabytes a step, and nothing reads it
    cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        deterministic.fill_uninitialized_memory, cudnn.benchmark = filled, searching
