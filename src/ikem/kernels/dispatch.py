"""Which code computes an operation: its reference in plain PyTorch, or a kernel that replaces it on a CPU.

A reference names its operation with `@replaceable`; `KERNELS` says what replaces it. This module imports torch only
when an operation is called, so that the plan of a workflow can read registries whose functions are replaceable.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, ParamSpec, TypeVar, cast, get_args

from ikem.errors import InputError

Backend = Literal["auto", "reference", "kernels"]
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_backend: Backend = "auto"  # of the process: an operation may be called in any thread


@dataclass(frozen=True)
class Kernel:
    """A replacement for float32 tensors on a CPU, with the arguments and results of its reference.

    Attributes:
        function: "module:function".
        differentiable: whether gradients reach its arguments.
    """

    function: str
    differentiable: bool = True


KERNELS: dict[str, Kernel] = {
    "mined_losses": Kernel("ikem.kernels.cross_modal:mined_losses"),
    "implicit_losses": Kernel("ikem.kernels.cross_modal:implicit_losses"),
    "relational_losses": Kernel("ikem.kernels.relational_distillation:relational_losses"),
    "batch_norm": Kernel("ikem.kernels.batch_norm:batch_norm"),
    "dropout": Kernel("ikem.kernels.dropout:dropout"),
    "temporal_convolution": Kernel("ikem.kernels.temporal_convolution:temporal_convolution"),
    "modalities": Kernel("ikem.kernels.modalities:modalities", differentiable=False),
}
"""What replaces an operation, by the operation's name."""


def use_backend(name: str) -> None:
    """Choose for the whole process what computes the operations that have a kernel.

    Args:
        name: "auto": kernels where they can be used (float32 tensors on a CPU, outside autocast), else the reference;
            "reference": plain PyTorch everywhere; "kernels": an operation that has a kernel which cannot be used fails.

    Raises:
        InputError: there is no such backend.
    """
    global _backend
    if name not in get_args(Backend):
        allowed = ", ".join(get_args(Backend))
        raise InputError(f"unknown backend {name!r}", location="compute.backend", hint=f"Use one of {allowed}")
    _backend = cast(Backend, name)


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Within it, `use_backend(name)`."""
    before = _backend
    use_backend(name)
    try:
        yield
    finally:
        use_backend(before)


def replaceable(operation: str) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Mark a function as the reference of an operation, a key of `KERNELS`.

    A call goes to the kernel where the backend and the tensors among the arguments allow it. The reference itself is
    the attribute `__wrapped__`.
    """
    kernel = KERNELS[operation]

    def decorate(reference: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(reference)
        def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            if _backend == "reference":
                return reference(*args, **kwargs)
            obstacle = _obstacle(kernel, (*args, *kwargs.values()))
            if obstacle is None:
                return cast(Result, _function(kernel.function)(*args, **kwargs))
            if _backend == "kernels":
                raise InputError(
                    f"the kernel of {operation} cannot be used: {obstacle}",
                    location="compute.backend",
                    hint="Use auto or reference",
                )
            return reference(*args, **kwargs)

        return call

    return decorate


@functools.cache
def _function(name: str) -> Callable[..., Any]:
    module, attribute = name.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def _obstacle(kernel: Kernel, arguments: tuple[Any, ...]) -> str | None:
    """Why a kernel cannot work on these arguments; None if it can."""
    import torch

    if any(isinstance(value, torch.Tensor) and value.dtype == torch.bool for value in arguments):
        return "it leaves no column of a queue out (mask_own_keys)"
    tensors = [value for value in arguments if isinstance(value, torch.Tensor) and value.is_floating_point()]
    for tensor in tensors:
        if tensor.device.type != "cpu" or tensor.dtype != torch.float32:
            return f"it needs float32 tensors on a CPU, and got {tensor.dtype} on {tensor.device}"
    if torch.is_autocast_enabled("cpu"):
        return "it does not follow autocast"
    if not kernel.differentiable and torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return "it has no backward pass, and a gradient is asked for"
    return None


def over_rows(kernel: Callable[[int, int], None], rows: int) -> None:
    """Call `kernel(start, stop)` for parts of range(rows) in parallel; the kernel releases the interpreter's lock.

    Rows must not share results: then results do not depend on the number of threads.
    """
    import torch

    threads = min(torch.get_num_threads(), rows)
    if threads <= 1:
        kernel(0, rows)
        return
    bounds = [rows * part // threads for part in range(threads + 1)]
    first, *others = pairwise(bounds)
    waiting = [_pool().submit(kernel, *part) for part in others]
    kernel(*first)
    for part in waiting:
        part.result()


@functools.lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    """One for the whole process; it starts as many threads as are ever busy at the same time."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="ikem-rows")
