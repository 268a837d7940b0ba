"""Counting what code asks of a device, on device "meta": it has shapes but no values, so nothing is computed.

Times are a model of one H200, not measurements: an operation takes what its bytes take at 4.3 TB/s or its FLOP at 50
(float32) or 200 TFLOP/s (TF32), 2 microseconds at least; launching it from Python takes 8.
"""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

BANDWIDTH, SHORTEST, LAUNCH = 4.3e12, 2e-6, 8e-6
RATES = {"float32": 50e12, "tf32": 200e12}
MEMORY_ONLY = (
    "empty",
    "new_empty",
    "empty_like",
    "empty_strided",
    "new_empty_strided",
    "_unsafe_view",
    "detach",
    "alias",
)


class Counts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what passes through it.

    Attributes:
        operations, moved, done: operations that are no views, bytes that they read and write, FLOP.
        seconds: modeled time of their kernels, by precision.
        peak: most bytes, at one time, of memory that operations have allocated since the mode was entered.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations, self.moved, self.done, self.seconds = 0, 0.0, 0.0, dict.fromkeys(RATES, 0.0)
        self.peak, self._live = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        self._allocated(result)
        packet = function.overloadpacket
        if function.is_view or packet.__name__ in MEMORY_ONLY:
            return result
        read, written = ([each for each in tree_leaves(part) if isinstance(each, Tensor)]
                         for part in ((args, kwargs), result))  # fmt: skip
        moved = sum(map(_bytes, read)) + sum(map(_bytes, written))
        done = float(flop_registry[packet](*args, **kwargs, out_val=result)) if packet in flop_registry else 0.0
        self.operations, self.moved, self.done = self.operations + 1, self.moved + moved, self.done + done
        for precision, rate in RATES.items():
            self.seconds[precision] += max(moved / BANDWIDTH, done / rate, SHORTEST)
        return result

    def _allocated(self, result: Any) -> None:
        for value in tree_leaves(result):
            if isinstance(value, Tensor) and value.device.type == "meta":
                storage = value.untyped_storage()
                if id(storage) not in self._known:
                    self._known.add(id(storage))
                    self._live += storage.nbytes()
                    self.peak = max(self.peak, self._live)
                    weakref.finalize(storage, self._freed, id(storage), storage.nbytes())

    def _freed(self, identity: int, size: int) -> None:
        self._known.discard(identity)
        self._live -= size


def _bytes(value: Tensor) -> int:
    """Of memory: a dimension that is expanded has one entry."""
    entries = 1
    for size, stride in zip(value.shape, value.stride(), strict=True):
        entries *= size if stride or not size else 1
    return entries * value.element_size()
