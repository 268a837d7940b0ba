"""Modules computed at once give what they give one after another."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from ikem.side_by_side import call_each, each

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


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
        call_each(pairs, inputs) if side_by_side else [pair(*given) for pair, given in zip(pairs, inputs, strict=True)]
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
        seen = each(look, range(4), CPU)
    assert {row[:3] for row in seen} == {(1, False, torch.bfloat16)}
    assert threading.get_ident() not in {row[3] for row in seen}
    assert each(look, range(2), CPU)[0][1:3] == (True, torch.float32)


@pytest.mark.usefixtures("two_threads")
def test_a_failure_is_told_and_the_threads_are_given_back():
    def fail(number):
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"):
        each(fail, range(6), CPU)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_another_device_is_called_from_here():
    assert each(lambda _: threading.get_ident(), range(3), torch.device("meta")) == [threading.get_ident()] * 3


@pytest.mark.usefixtures("two_threads")
def test_nothing_is_recorded_where_no_gradient_is_asked_for():
    pairs = [Pair(seed) for seed in range(2)]
    with torch.no_grad():
        made = call_each(pairs, [(torch.ones(1, 4), 1.0)] * 2)
    assert not any(value.requires_grad for values in made for value in values)
