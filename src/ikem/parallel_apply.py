"""Independent work in parallel on a CPU: encoders, and parts of a queue, one thread each.

Several threads that share each of some thousand short operations wait for one another after every one: two cores were
busy for three quarters of a step. A thread that has an encoder to itself does not wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Item = TypeVar("Item")
Made = TypeVar("Made")

_CPU = torch.device("cpu")


def parallel_map(function: Callable[[Item], Made], items: Sequence[Item], device: torch.device) -> list[Made]:
    """[function(item) for item in items]; on a CPU in parallel, PyTorch's numeric threads shared evenly.

    Gradients are recorded, and numbers are cast, as where it is called. No random numbers may be drawn.

    Raises:
        Exception: that of the first item that failed, after all have ended.
    """
    threads = torch.get_num_threads()
    workers = min(threads, len(items))
    if device.type != "cpu" or workers < 2:
        return [function(item) for item in items]
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    cast, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def run(item: Item) -> Made:  # all of these belong to a thread
        torch.get_num_threads()  # sets a new thread up, which would undo the next line if it came later
        torch.set_num_threads(threads // workers)
        with (
            torch.inference_mode(inference),
            torch.set_grad_enabled(gradients),
            torch.autocast("cpu", dtype, enabled=cast),
        ):
            return function(item)

    pool = _pool(workers)
    try:
        computed = [pool.submit(run, item) for item in items]
        wait(computed)
    finally:
        torch.set_num_threads(threads)  # with what was set last, other new threads of this process begin
    return [each.result() for each in computed]


@lru_cache(maxsize=os.cpu_count())
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="ikem-parallel")


def parallel_apply(modules: Sequence[nn.Module], inputs: Sequence[tuple[Any, ...]]) -> list[tuple[Tensor, ...]]:
    """[module(*input) ...], on a CPU in parallel, in the backward pass too.

    Args:
        modules: on one device; they may not share parameters or buffers. Each gives a tuple of tensors, all as many.
        inputs: of each; none may ask for a gradient.

    Returns:
        what each gives. The backward pass may come once, through all of it together.

    Raises:
        ValueError: they do not give equally many tensors.
    """
    calls = list(zip(modules, inputs, strict=True))
    parameters = [[value for value in module.parameters() if value.requires_grad] for module in modules]
    flat = [value for some in parameters for value in some]
    device = next(modules[0].parameters()).device
    alone = device.type != "cpu" or torch.get_num_threads() == 1 or len(calls) == 1
    if alone or not (torch.is_grad_enabled() and flat):
        return parallel_map(_called, calls, device)
    computed: tuple[Tensor, ...] = _ParallelApply.apply(calls, parameters, *flat)  # type: ignore[no-untyped-call]
    width = len(computed) // len(calls)
    return [computed[start : start + width] for start in range(0, len(computed), width)]


def _called(call: tuple[nn.Module, tuple[Any, ...]]) -> Any:
    module, given = call
    return module(*given)


class _ParallelApply(torch.autograd.Function):
    """Each module's graph is its own, and is walked back by its own thread."""

    @staticmethod
    def forward(ctx: Any, calls: Any, parameters: list[list[nn.Parameter]], *_: nn.Parameter) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        with torch.enable_grad():
            computed = parallel_map(_called, calls, _CPU)
        if len({len(values) for values in computed}) > 1:
            raise ValueError("modules that are called in parallel must give equally many tensors")
        ctx.computed, ctx.parameters = computed, parameters
        results = [value.detach() for values in computed for value in values]
        moving = [value.requires_grad for values in computed for value in values]
        ctx.mark_non_differentiable(*(result for result, moves in zip(results, moving, strict=True) if not moves))
        return tuple(results)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if ctx.computed is None:
            raise RuntimeError("the backward pass through modules that are called in parallel can come only once")
        computed, ctx.computed = ctx.computed, None  # graphs are freed as they are walked
        width = len(gradients) // len(computed)

        def gradients_of(number: int) -> tuple[Tensor | None, ...]:
            parameters, given = ctx.parameters[number], gradients[number * width : (number + 1) * width]
            asked = [
                (value, gradient)
                for value, gradient in zip(computed[number], given, strict=True)
                if gradient is not None and value.requires_grad
            ]
            if not asked:
                return (None,) * len(parameters)
            values, slopes_of_values = zip(*asked, strict=True)
            found: tuple[Tensor | None, ...]
            found = torch.autograd.grad(values, parameters, slopes_of_values, allow_unused=True)
            return found

        found = parallel_map(gradients_of, range(len(computed)), _CPU)
        return None, None, *(gradient for some in found for gradient in some)
