"""Counting what code asks of a device, on device "meta": it has shapes but no values, so reading one fails."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")


class Counting(TorchDispatchMode):
    """Counts operations on the device, and those that need something of the host; a view of a tensor is none.

    Attributes:
        calls: how often each operation is called.
        sent: how often each is called with a tensor, or a list of numbers, of the host, which is copied to the device.
    """

    def __init__(self):
        super().__init__()
        self.calls, self.sent = Counter(), Counter()
        self._lists = _Lists(self.sent)

    def __enter__(self):
        self._lists.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._lists.__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        computed = [value for value in tree_leaves(result) if isinstance(value, Tensor)]
        if not function.is_view and any(value.device == META for value in [*given, *computed]):
            self.calls[str(function)] += 1
            self.sent[str(function)] += any(value.device != META for value in given)
        return result

    @property
    def total(self):
        return sum(self.calls.values())

    @property
    def total_sent(self):
        return sum(self.sent.values())


class _Lists(TorchFunctionMode):
    """Notes tensors of the device that are made from numbers of the host: as such, or as an index."""

    def __init__(self, sent):
        super().__init__()
        self._sent = sent

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in (torch.tensor, torch.as_tensor, Tensor.new_tensor):
            self._sent["tensor"] += result.device == META
        elif function in (Tensor.__getitem__, Tensor.__setitem__):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            self._sent["index"] += any(isinstance(part, list | np.ndarray) for part in index)
        return result


@pytest.fixture
def reads(monkeypatch):
    """Shapes of what is copied from the device to the host by `cpu()`, which gives zeros here."""
    shapes = []

    def cpu(tensor):
        shapes.append(tuple(tensor.shape))
        return torch.zeros(tensor.shape, dtype=tensor.dtype)

    monkeypatch.setattr(Tensor, "cpu", cpu)
    return shapes
