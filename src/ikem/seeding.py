"""Random draws as functions of what they are for, never of what was drawn before."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@overload
def seed_for(first: StepSeeds, /, *what: int | str) -> Tensor: ...


@overload
def seed_for(*what: int | str) -> int: ...


def seed_for(*what: Any) -> Any:
    """A seed below 2^63 for a purpose, such as (seed, "dropout", "joint", epoch, step).

    Of `StepSeeds` and further words it is the same number, as a tensor of the device.

    Raises:
        TypeError: a tensor is given; its value would have to be read from the device.
    """
    if isinstance(what[0], StepSeeds):
        return what[0].derived(*what[1:])
    if any(type(each).__module__.startswith("torch") for each in what):
        raise TypeError("a seed on the device gives no further seeds: derive them from the number of the step")
    text = "\0".join(map(str, what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class StepSeeds:
    """The number that fixes the draws of a step, for code that is compiled or captured once and runs in every step.

    Seeds that are derived from it (`seed_for(step_seeds, "joint", "query")`) are at the same address in every step;
    `begin` sends them all at once.

    Attributes:
        complete: whether no seed may be asked for that was not asked for before.
    """

    def __init__(self, device: torch.device, most: int = 1024) -> None:
        import torch

        self._values = torch.zeros(most, dtype=torch.int64, device=device)
        self._indices: dict[tuple[int | str, ...], int] = {}
        self._number = 0
        self.complete = False

    def begin(self, number: int) -> None:
        """Set the number of a step."""
        import torch

        self._number = number
        if self._indices:
            values = torch.tensor([self._seed(what) for what in self._indices])
            if self._values.device.type == "cuda":
                values = values.pin_memory()
            self._values[: len(values)].copy_(values, non_blocking=True)

    def derived(self, *what: int | str) -> Tensor:
        """() int64: `seed_for(number, *what)`, or the number itself.

        Raises:
            RuntimeError: they are complete, and this one is new.
        """
        if what not in self._indices:
            if self.complete:
                raise RuntimeError(f"a seed for {what} was asked for in no step before")
            self._indices[what] = len(self._indices)
            self._values[self._indices[what]].fill_(self._seed(what))
        return self._values[self._indices[what]]

    def _seed(self, what: tuple[int | str, ...]) -> int:
        return seed_for(self._number, *what) if what else self._number


def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which the samples of an epoch are seen: a permutation of `count` of (seed, epoch) alone.

    The jobs of all modalities see the same order, so their queues hold the same samples at the same indices.
    """
    return np.random.default_rng(seed_for(seed, "order", epoch)).permutation(count)


def batches(order: NDArray[np.int64], batch_size: int, drop_last: bool) -> list[NDArray[np.int64]]:
    """Cut an order into batches; the last, smaller one is left out if `drop_last`, unless it is the only one."""
    cut = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if drop_last and len(cut) > 1 and len(cut[-1]) < batch_size:
        cut.pop()
    return cut
