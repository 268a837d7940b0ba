"""Modules computed at once give what they give one after another."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from torch import nn

from ikem.parallel_apply import parallel_apply, parallel_map

CPU = torch.device("cpu")


@pytest.fixture
def two_threads(numeric_threads):
    numeric_threads(2)


class Pair(nn.Module):
    """Two results; the second does not need all parameters."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.second, self.unused = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(2, 2)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, x, factor):
        between = self.first(x) * factor
        return between, self.second(between) * self.frozen


def called(pairs, inputs, side_by_side, use):
    for pair in pairs:
        pair.zero_grad()
    made = (
        parallel_apply(pairs, inputs)
        if side_by_side
        else [pair(*given) for pair, given in zip(pairs, inputs, strict=True)]
    )
    sum((use(values) for values in made), torch.zeros(())).backward()
    return [value.detach() for values in made for value in values], [
        parameter.grad for pair in pairs for parameter in pair.parameters()
    ]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    "use", [lambda made: made[1].square().sum(), lambda made: (made[0].sum() + made[1].sum()).exp()]
)
def test_values_and_gradients_are_those_of_one_after_another(use):
    pairs = [Pair(seed) for seed in range(5)]
    inputs = [(torch.randn(6, 4, generator=torch.Generator().manual_seed(n)), 0.1 * n + 0.1) for n in range(5)]
    (values, slopes), (expected, expected_slopes) = (called(pairs, inputs, way, use) for way in (True, False))
    assert all(torch.equal(*both) for both in zip(values, expected, strict=True))
    for got, wanted in zip(slopes, expected_slopes, strict=True):
        assert (got is None) == (wanted is None)
        assert got is None or torch.equal(got, wanted)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_what_belongs_to_a_thread_goes_along():
    """Each item sees one numeric thread, and the caller's recording of gradients and casting of numbers."""
    meeting = threading.Barrier(2, timeout=60)

    def look(_):
        meeting.wait()  # two run at once, or this fails
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        return torch.get_num_threads(), torch.is_grad_enabled(), product.dtype, threading.get_ident()

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        seen = parallel_map(look, range(4), CPU)
    assert {row[:3] for row in seen} == {(1, False, torch.bfloat16)}
    assert threading.get_ident() not in {row[3] for row in seen}
    assert parallel_map(look, range(2), CPU)[0][1:3] == (True, torch.float32)


@pytest.mark.usefixtures("two_threads")
def test_a_failure_is_reported_when_all_have_ended():
    ended = []

    def fail(number):
        if number == 0:
            raise ValueError("nothing")
        time.sleep(0.2)
        ended.append(number)

    with pytest.raises(ValueError, match="nothing"):
        parallel_map(fail, range(4), CPU)
    assert sorted(ended) == [1, 2, 3]
    assert torch.get_num_threads() == 2
    assert parallel_map(lambda _: torch.get_num_threads(), range(4), CPU) == [1] * 4


@pytest.mark.parametrize(("given", "items", "of_each"), [(2, 3, 1), (6, 3, 2), (5, 2, 2), (3, 1, 3), (1, 3, 1)])
def test_threads_are_shared(given, items, of_each, numeric_threads):
    numeric_threads(given)
    assert parallel_map(lambda _: torch.get_num_threads(), range(items), CPU) == [of_each] * items
    assert torch.get_num_threads() == given


def test_another_device_is_called_from_here():
    assert parallel_map(lambda _: threading.get_ident(), range(3), torch.device("meta")) == [threading.get_ident()] * 3


@pytest.mark.usefixtures("two_threads")
def test_nothing_is_recorded_where_no_gradient_is_asked_for():
    pairs = [Pair(seed) for seed in range(2)]
    with torch.no_grad():
        made = parallel_apply(pairs, [(torch.ones(1, 4), 1.0)] * 2)
    assert not any(value.requires_grad for values in made for value in values)
    with torch.inference_mode():
        made = parallel_apply(pairs, [(torch.ones(1, 4), 1.0)] * 2)
    assert all(value.is_inference() for values in made for value in values)


@pytest.mark.usefixtures("two_threads")
def test_a_frozen_module_among_others():
    pairs = [Pair(seed) for seed in range(2)]
    pairs[0].requires_grad_(False)
    made = parallel_apply(pairs, [(torch.ones(1, 4), 1.0)] * 2)
    assert [value.requires_grad for values in made for value in values] == [False, False, True, True]
    sum(value.sum() for values in made for value in values).backward()
    assert pairs[0].first.weight.grad is None and pairs[1].first.weight.grad is not None


@pytest.mark.usefixtures("two_threads")
def test_what_cannot_be_is_refused():
    pairs = [Pair(seed) for seed in range(2)]
    total = sum(value.sum() for values in parallel_apply(pairs, [(torch.ones(1, 4), 1.0)] * 2) for value in values)
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="only once"):
        total.backward()

    class One(Pair):
        def forward(self, x, factor):
            return super().forward(x, factor)[:1]

    with pytest.raises(ValueError, match="equally many"):
        parallel_apply([pairs[0], One(3)], [(torch.ones(1, 4), 1.0)] * 2)


@pytest.mark.usefixtures("two_threads")
def test_bfloat16():
    pairs = [Pair(seed) for seed in range(2)]
    with torch.autocast("cpu", torch.bfloat16):
        made = parallel_apply(pairs, [(torch.ones(1, 4), 1.0)] * 2)
    assert {values[0].dtype for values in made} == {torch.bfloat16}
    sum(value.float().sum() for values in made for value in values).backward()
    assert all(pair.second.weight.grad.isfinite().all() for pair in pairs)
