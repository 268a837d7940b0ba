"""What does not depend on one another, computed at once on a CPU: each by one thread.

Several threads that share each of some thousand short operations wait for one another after every one: two cores were
busy for three quarters of a step. A core that has an encoder to itself waits for nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Item = TypeVar("Item")
Made = TypeVar("Made")

_CPU = torch.device("cpu")


def each(function: Callable[[Item], Made], items: Sequence[Item], device: torch.device) -> list[Made]:
    """[function(item) for item in items]; on a CPU on as many threads as PyTorch has, each with one numeric thread.

    Gradients are recorded, and numbers are cast, as where it is called. No random numbers may be drawn.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or len(items) < 2:
        return [function(item) for item in items]
    gradients, cast, kind = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def run(item: Item) -> Made:
        with ExitStack() as stack:  # both belong to a thread
            stack.enter_context(torch.set_grad_enabled(gradients))
            stack.enter_context(torch.autocast("cpu", kind, enabled=cast))
            return function(item)

    pool = _pool(threads)
    torch.set_num_threads(1)  # that of the matrix library belongs to the process
    try:
        return list(pool.map(run, items))
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="ikem-each", initializer=torch.set_num_threads, initargs=(1,))


def call_each(modules: Sequence[nn.Module], inputs: Sequence[tuple[Any, ...]]) -> list[tuple[Tensor, ...]]:
    """[module(*input) ...], each a tuple of tensors, on a CPU side by side, in the backward pass too.

    Args:
        modules: on one device; may not share parameters or buffers.
        inputs: of each; none may ask for a gradient.
    """
    calls = list(zip(modules, inputs, strict=True))
    parameters = [[value for value in module.parameters() if value.requires_grad] for module in modules]
    flat = [value for some in parameters for value in some]
    device = next(modules[0].parameters()).device
    if not (torch.is_grad_enabled() and flat) or device.type != "cpu" or torch.get_num_threads() == 1:
        return each(_called, calls, device)
    made: tuple[Tensor, ...] = _CallEach.apply(calls, parameters, *flat)  # type: ignore[no-untyped-call]
    width = len(made) // len(calls)
    return [made[start : start + width] for start in range(0, len(made), width)]


def _called(call: tuple[nn.Module, tuple[Any, ...]]) -> Any:
    module, given = call
    return module(*given)


class _CallEach(torch.autograd.Function):
    """Each module's graph is its own, and is walked back by its own thread."""

    @staticmethod
    def forward(ctx: Any, calls: Any, parameters: list[list[nn.Parameter]], *_: nn.Parameter) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        with torch.enable_grad():
            ctx.made = each(_called, calls, _CPU)
        ctx.parameters = parameters
        return tuple(value.detach() for values in ctx.made for value in values)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        width = len(gradients) // len(ctx.made)

        def slopes(number: int) -> tuple[Tensor | None, ...]:
            given = gradients[number * width : (number + 1) * width]
            asked = [(value, slope) for value, slope in zip(ctx.made[number], given, strict=True) if slope is not None]
            if not asked:
                return (None,) * len(ctx.parameters[number])
            values, given = zip(*asked, strict=True)
            found: tuple[Tensor | None, ...] = torch.autograd.grad(
                values, ctx.parameters[number], given, allow_unused=True
            )
            return found

        found = each(slopes, range(len(ctx.made)), _CPU)
        del ctx.made
        return None, None, *(slope for some in found for slope in some)
