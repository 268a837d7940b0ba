"""What the losses share: the softmax with a fixed shift, products with a queue, and sums over pairs of similarities.

Queries, keys and queue columns are unit vectors, so no logit exceeds 1 / temperature: that is the shift that keeps
exponentials finite, and no row has to be searched for its largest entry. The smallest exponential is
exp(-2 / temperature), a normal float32 number down to a temperature of 0.025.

All arithmetic on logits is done in at least float32, also under autocast. In float32 on a CPU compiled kernels are used
(`ikem.kernels.softmax`), elsewhere PyTorch's own operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ikem.kernels import softmax as kernels_cpu
from ikem.kernels.dispatch import compiled, fast_product, over_rows, times_transposed
from ikem.training.parallel_apply import at_once

LOWEST_TEMPERATURE = 0.025

# Values of a (rows x columns) array that is worked on at a time: what stays in a CPU core's cache, and on a GPU what
# fills it at little memory.
_CPU_VALUES = 1 << 19
_GPU_VALUES = 1 << 26
_LEAST_COLUMNS = 512
_LEAST_ROWS = 64
_NONE = np.empty(0, np.float32)

Pairs = Sequence[tuple[int, int]]


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


def no_autocast(device: torch.device) -> torch.autocast:
    """Within it, matrix products keep the precision of their factors."""
    return torch.autocast(device.type, enabled=False)


def similarities(queries: Tensor, queues: Tensor) -> Tensor:
    """queries (A, B, D) times queues (A, D, K): (A, B, K)."""
    result = queries.new_empty(*queries.shape[:2], queues.shape[2])
    if queries.device.type == "cpu":

        def one(number: int) -> None:
            for piece in chunks(queues.shape[2], queries.shape[1], queries.device):
                result[number, :, piece] = times(queries[number], queues[number], piece)

        at_once(one, range(len(queries)), queries.device)
        return result
    for piece in chunks(queues.shape[2], queries.shape[0] * queries.shape[1], queries.device):
        result[..., piece] = torch.bmm(queries, queues[..., piece])
    return result


def times(left: Tensor, queue: Tensor, piece: slice, squares: Tensor | None = None) -> Tensor:
    """left (R, D) times the columns `piece` of queue (D, K): (R, columns).

    The sum of squares of each of these columns is written to `squares` (columns,), if given.
    """
    if not _turning_pays(left, queue):
        if squares is not None:
            torch.sum(queue[:, piece].square(), dim=0, out=squares)
        return left @ queue[:, piece]
    turned = torch.empty(piece.stop - piece.start, len(queue))
    source, target, first = queue.numpy(), turned.numpy(), piece.start
    sums = _NONE if squares is None else squares.numpy()
    over_rows(lambda start, stop: kernels_cpu.transpose(source, first, target, sums, start, stop), len(turned))
    return times_transposed(left, turned)


def _turning_pays(left: Tensor, queue: Tensor) -> bool:
    """Whether columns of `queue` are turned for oneDNN's product; with few rows that would cost more than it gains."""
    return fast_product() and compiled(left, queue) and left.shape[-2] >= _LEAST_ROWS and queue.is_contiguous()


def exponential(value: Tensor, temperature: float, out: Tensor | None = None) -> Tensor:
    """exp((value - 1) / temperature); into `out` if given, which may be `value`."""
    scaled = torch.sub(value, 1.0, out=out)
    return scaled.mul_(1.0 / temperature).exp_()


def masses(similar: Tensor, length: Tensor | None, temperature: float, total: Tensor) -> Tensor:
    """Exponentials of the cosines of rows of `similar`, whose columns still carry their `length`.

    Args:
        similar: (R, K); overwritten.
        length: (K,), or None for 1.
        temperature: of the softmax.
        total: (R,); the sum of each row's exponentials is added to it.

    Returns:
        (R, K): the exponentials, divided by `length` again.
    """
    if compiled(similar):
        inverse = np.ones(similar.shape[1], np.float32) if length is None else length.reciprocal().numpy()
        rows, sums, scale = similar.numpy(), total.numpy(), np.float32(1 / temperature)
        over_rows(lambda start, stop: kernels_cpu.masses(rows, inverse, scale, rows, sums, start, stop), len(rows))
        return similar
    if length is not None:
        similar.div_(length)
    mass = exponential(similar, temperature, out=similar)
    total += mass.sum(dim=1)
    return mass if length is None else mass.div_(length)


def pair_sums(similar: Tensor, count: int, pairs: Pairs, temperature: float) -> tuple[Tensor, Tensor]:
    """Sums over the queue of exp((x - 1) / temperature).

    Args:
        similar: (P, B, K) of values in -1 .. 1, contiguous.
        count: how many of the P are summed by themselves.
        pairs: which products of two of the P are summed.
        temperature: of the softmax.

    Returns:
        (count, B) with x = similar[a], and (pairs, B) with x = similar[a] * similar[b].
    """
    alone = similar.new_empty(count, similar.shape[1])
    both = similar.new_empty(len(pairs), similar.shape[1])
    if compiled(similar):
        scale, indices = np.float32(1 / temperature), np.array(pairs, dtype=np.int64).reshape(-1, 2)
        arrays = (similar.numpy(), indices, scale, alone.numpy(), both.numpy())
        over_rows(lambda start, stop: kernels_cpu.pair_sums(*arrays, start, stop), similar.shape[1])
        return alone, both
    alone.zero_(), both.zero_()
    for piece in chunks(similar.shape[2], similar.shape[1], similar.device):
        part = similar[..., piece]
        for a in range(count):
            alone[a] += exponential(part[a], temperature).sum(dim=-1)
        for pair, (a, b) in enumerate(pairs):
            product = part[a] * part[b]
            both[pair] += exponential(product, temperature, out=product).sum(dim=-1)
    return alone, both


def pair_slopes(similar: Tensor, pairs: Pairs, temperature: float, alone: Tensor, both: Tensor) -> Tensor:
    """The gradient of sum(alone * sums) + sum(both * pair sums), times the temperature.

    Args:
        similar, pairs, temperature: as for `pair_sums`.
        alone: (count, B) weights; the gradient is taken with respect to the first `count` of `similar`.
        both: (pairs, B) weights; the first of each pair is below `count`.

    Returns:
        (count, B, K).
    """
    count = len(alone)
    slopes = torch.empty_like(similar[:count])
    if compiled(similar):
        scale, indices = np.float32(1 / temperature), np.array(pairs, dtype=np.int64).reshape(-1, 2)
        arrays = (similar.numpy(), indices, scale, alone.numpy(), both.numpy(), slopes.numpy())
        over_rows(lambda start, stop: kernels_cpu.pair_slopes(*arrays, start, stop), similar.shape[1])
        return slopes
    for piece in chunks(similar.shape[2], similar.shape[1], similar.device):
        part, slope = similar[..., piece], slopes[..., piece]
        for a in range(count):
            torch.mul(exponential(part[a], temperature), alone[a].unsqueeze(-1), out=slope[a])
        for pair, (a, b) in enumerate(pairs):
            product = part[a] * part[b]
            weight = exponential(product, temperature, out=product).mul_(both[pair].unsqueeze(-1))
            slope[a].addcmul_(weight, part[b])
            if b < count:
                slope[b].addcmul_(weight, part[a])
    return slopes


def mined(similarity: Tensor, top_k: int) -> Tensor:
    """The positions of the `top_k` largest entries of each row: (..., K) to (..., top_k)."""
    if top_k == 1:
        return similarity.argmax(dim=-1, keepdim=True)
    return similarity.topk(top_k, dim=-1, sorted=False).indices
