"""What the kernels of the losses share: a softmax with a fixed shift, products with a queue, and sums over a queue.

Queries, keys and columns of queues are unit vectors, so no logit exceeds 1 / temperature: that is the shift that keeps
exponentials finite, and no row has to be searched for its largest entry. The smallest exponential is
exp(-2 / temperature), a normal float32 number down to a temperature of 0.025.

All tensors are float32 on a CPU; the loops over their entries are those of `ikem.kernels.softmax_loops`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ikem.kernels import softmax_loops
from ikem.kernels.dispatch import over_rows
from ikem.kernels.product import fast_product, times_transposed
from ikem.parallel_apply import parallel_map

LOWEST_TEMPERATURE = 0.025

_CHUNK_VALUES = 1 << 19  # of a (rows x columns) array: what stays in the cache of a core
_LEAST_COLUMNS = 512
_LEAST_ROWS = 64
_NONE = np.empty(0, np.float32)

Pairs = Sequence[tuple[int, int]]


def check_temperature(temperature: float) -> None:
    """Raise ValueError for a temperature at which the fixed shift could underflow."""
    if not temperature >= LOWEST_TEMPERATURE:
        raise ValueError(f"temperature {temperature} is below {LOWEST_TEMPERATURE}, where float32 exponentials vanish")


def chunks(columns: int, rows: int) -> Iterator[slice]:
    """Parts of `columns`, such that `rows` times a part stays in the cache."""
    step = max(_CHUNK_VALUES // max(rows, 1), _LEAST_COLUMNS)
    for start in range(0, columns, step):
        yield slice(start, min(start + step, columns))


def similarities(queries: Tensor, queues: Tensor) -> Tensor:
    """queries (A, B, D) times queues (A, D, K): (A, B, K)."""
    result = queries.new_empty(*queries.shape[:2], queues.shape[2])

    def multiply(index: int) -> None:
        for chunk in chunks(queues.shape[2], queries.shape[1]):
            result[index, :, chunk] = times(queries[index], queues[index], chunk)

    parallel_map(multiply, range(len(queries)), queries.device)
    return result


def times(left: Tensor, queue: Tensor, chunk: slice, squares: Tensor | None = None) -> Tensor:
    """left (R, D) times the columns `chunk` of queue (D, K): (R, columns).

    The sum of squares of each of these columns is written to `squares` (columns,), if given. With many rows, columns
    are transposed for oneDNN's product; with few rows that would cost more than it gains.
    """
    if not (fast_product() and left.shape[-2] >= _LEAST_ROWS and queue.is_contiguous()):
        if squares is not None:
            torch.sum(queue[:, chunk].square(), dim=0, out=squares)
        return left @ queue[:, chunk]
    transposed = torch.empty(chunk.stop - chunk.start, len(queue))
    source, target, first = queue.numpy(), transposed.numpy(), chunk.start
    sums = _NONE if squares is None else squares.numpy()
    over_rows(lambda start, stop: softmax_loops.transpose(source, first, target, sums, start, stop), len(transposed))
    return times_transposed(left, transposed)


def exponential(value: Tensor, temperature: float) -> Tensor:
    """exp((value - 1) / temperature)."""
    return torch.sub(value, 1.0).mul_(1.0 / temperature).exp_()


def softmax_weights(similar: Tensor, length: Tensor, temperature: float, total: Tensor) -> Tensor:
    """Exponentials of the cosines of rows of `similar`, whose columns still have their `length`.

    Args:
        similar: (R, K); overwritten.
        length: (K,).
        temperature: of the softmax.
        total: (R,); the sum of each row's exponentials is added to it.

    Returns:
        (R, K): the exponentials, divided by `length` again.
    """
    inverse, rows, sums = length.reciprocal().numpy(), similar.numpy(), total.numpy()
    scale = np.float32(1 / temperature)
    over_rows(
        lambda start, stop: softmax_loops.softmax_weights(rows, inverse, scale, rows, sums, start, stop), len(rows)
    )
    return similar


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
    sums = similar.new_empty(count, similar.shape[1])
    sums_of_pairs = similar.new_empty(len(pairs), similar.shape[1])
    scale, indices = np.float32(1 / temperature), np.array(pairs, dtype=np.int64).reshape(-1, 2)
    arrays = (similar.numpy(), indices, scale, sums.numpy(), sums_of_pairs.numpy())
    over_rows(lambda start, stop: softmax_loops.pair_sums(*arrays, start, stop), similar.shape[1])
    return sums, sums_of_pairs


def pair_gradients(
    similar: Tensor, pairs: Pairs, temperature: float, weights: Tensor, weights_of_pairs: Tensor
) -> Tensor:
    """The gradient of sum(weights * sums) + sum(weights_of_pairs * sums_of_pairs), times the temperature.

    Args:
        similar, pairs, temperature: as for `pair_sums`.
        weights: (count, B); the gradient is taken with respect to the first `count` of `similar`.
        weights_of_pairs: (pairs, B); the first of each pair is below `count`.

    Returns:
        (count, B, K).
    """
    gradients = torch.empty_like(similar[: len(weights)])
    scale, indices = np.float32(1 / temperature), np.array(pairs, dtype=np.int64).reshape(-1, 2)
    arrays = (similar.numpy(), indices, scale, weights.numpy(), weights_of_pairs.numpy(), gradients.numpy())
    over_rows(lambda start, stop: softmax_loops.pair_gradients(*arrays, start, stop), similar.shape[1])
    return gradients


def mine(similarity: Tensor, top_k: int) -> Tensor:
    """The indices of the `top_k` largest entries of each row: (..., K) to (..., top_k)."""
    if top_k == 1:
        return similarity.argmax(dim=-1, keepdim=True)
    return similarity.topk(top_k, dim=-1, sorted=False).indices
