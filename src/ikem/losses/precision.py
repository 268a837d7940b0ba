"""Losses are computed in float32 at least, also under autocast."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ParamSpec

import torch
from torch import Tensor

Parameters = ParamSpec("Parameters")


def full_precision(loss: Callable[Parameters, Tensor]) -> Callable[Parameters, Tensor]:
    """Decorator of a loss: its arguments of half precision become float32, and its products keep their precision."""

    @functools.wraps(loss)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Tensor:
        device = next(value.device for value in args if isinstance(value, Tensor))
        with _no_autocast(device):
            return loss(*map(_widened, args), **{name: _widened(value) for name, value in kwargs.items()})  # type: ignore[arg-type]

    return call


def _no_autocast(device: torch.device) -> AbstractContextManager[Any]:
    if not torch.amp.is_autocast_available(device.type):  # device "meta"
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def _widened(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value
