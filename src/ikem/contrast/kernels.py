"""What the losses share: the softmax with a fixed shift, and how a queue is cut into chunks.

Queries, keys and queue columns are unit vectors, so no logit exceeds 1 / temperature: that is the shift that keeps
exponentials finite, and no row has to be searched for its largest entry. The smallest exponential is
exp(-2 / temperature), a normal float32 number down to a temperature of 0.025.

All arithmetic on logits is done in at least float32, also under autocast.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

LOWEST_TEMPERATURE = 0.025

# Values of a (rows x columns) array that is worked on at a time: what stays in a CPU core's cache, and on a GPU what
# fills it at little memory.
_CPU_VALUES = 1 << 17
_GPU_VALUES = 1 << 26
_LEAST_COLUMNS = 256


def check_temperature(temperature: float) -> None:
    """Raise ValueError for a temperature at which the fixed shift could underflow."""
    if not temperature >= LOWEST_TEMPERATURE:
        raise ValueError(f"temperature {temperature} is below {LOWEST_TEMPERATURE}, where float32 exponentials vanish")


def chunks(columns: int, rows: int, device: torch.device) -> Iterator[slice]:
    """Cut `columns` so that `rows` of a piece are a good size for the device."""
    step = max((_CPU_VALUES if device.type == "cpu" else _GPU_VALUES) // max(rows, 1), _LEAST_COLUMNS)
    for start in range(0, columns, step):
        yield slice(start, min(start + step, columns))


def full_precision(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, those of half precision as float32."""
    return tuple(tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor for tensor in tensors)


def exponential(value: Tensor, temperature: float, out: Tensor | None = None) -> Tensor:
    """exp((value - 1) / temperature); into `out` if given, which may be `value`."""
    scaled = torch.sub(value, 1.0, out=out)
    return scaled.mul_(1.0 / temperature).exp_()


def no_autocast(device: torch.device) -> torch.autocast:
    """Within it, matrix products keep the precision of their factors."""
    return torch.autocast(device.type, enabled=False)


def mined(similarity: Tensor, top_k: int) -> Tensor:
    """The positions of the `top_k` largest entries of each row: (..., K) to (..., top_k)."""
    if top_k == 1:
        return similarity.argmax(dim=-1, keepdim=True)
    return similarity.topk(top_k, dim=-1, sorted=False).indices
