from collections import deque

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ikem.losses.queue import Queues, enqueue


@given(size=st.integers(1, 12), batches=st.lists(st.integers(0, 30), max_size=6))
@settings(max_examples=60, deadline=None)
def test_enqueue_against_a_ring(size, batches):
    queue = torch.full((2, 3, size), -1.0)
    expected, pointer, position, number = [-1.0] * size, torch.tensor(0), 0, 0
    for batch in batches:
        keys = torch.arange(number, number + batch, dtype=torch.float32).view(1, batch, 1).expand(2, batch, 3)
        pointer = enqueue(queue, pointer, keys)
        for key in range(number, number + batch):
            expected[position] = float(key)
            position = (position + 1) % size
        number += batch
    assert pointer == position
    assert (queue == torch.tensor(expected)).all()


def test_the_last_keys_stay():
    queue = torch.zeros(1, 4)
    assert enqueue(queue, torch.tensor(1), torch.arange(1.0, 12).view(11, 1)) == (1 + 11) % 4
    assert sorted(queue[0].tolist()) == [8, 9, 10, 11]
    assert deque(queue[0].tolist(), 4)[0] == 8  # the oldest is where the pointer stands


@given(size=st.integers(1, 12), batches=st.lists(st.integers(0, 30), max_size=6))
@settings(max_examples=40, deadline=None)
def test_the_clips_are_those_of_the_keys(size, batches):
    queues, number = Queues(["a"], 1, size, [1], with_clips=True), 0
    queues.stacked.fill_(-1)
    for batch in batches:
        clips = torch.arange(number, number + batch)
        queues.enqueue(clips.float().view(1, batch, 1), clips)
        number += batch
    state = queues.state_dict()
    assert torch.equal(state["clips"].float(), state["a"][0])
    assert state["clips"].dtype == torch.int64


def test_queues_write_when_flushed():
    queues = Queues(["a", "b"], 3, 5, [1, 2])
    assert torch.allclose(queues.stacked.norm(dim=1), torch.ones(2, 5))
    before = queues.stacked.clone()
    keys = torch.randn(2, 4, 3)
    queues.enqueue(keys)
    assert torch.equal(queues.stacked, before)
    queues.flush()
    assert torch.equal(queues.a[:, :4], keys[0].t()) and torch.equal(queues.b[:, 4], before[1, :, 4])
    queues.flush()
    assert int(queues.pointer) == 4
    queues.enqueue(keys)
    state = queues.state_dict()
    assert int(state["pointer"]) == 3 and torch.equal(state["a"][:, 4], keys[0, 0])
    assert sorted(state) == ["a", "b", "pointer"]


def test_queues_load_and_move():
    one, other = Queues(["a", "b"], 3, 5, [1, 2]), Queues(["b"], 3, 5, [9])
    one.enqueue(torch.randn(2, 7, 3))
    state = one.state_dict()
    other.enqueue(torch.randn(1, 2, 3))
    other.load_state_dict({"b": state["b"], "pointer": state["pointer"]})
    other.flush()  # what was pending belonged to the old state
    assert torch.equal(other.stacked[0], one.stacked[1]) and other.b.data_ptr() == other.stacked.data_ptr()
    other.double()
    assert other.stacked.dtype == torch.float64 and other.b.data_ptr() == other.stacked.data_ptr()
    other.enqueue(torch.ones(1, 1, 3, dtype=torch.float64))
    other.flush()
    assert (other.b[:, 2] == 1).all() and int(other.pointer) == 3


def test_a_queue_s_start_depends_on_its_seed_only():
    assert torch.equal(Queues(["a", "b"], 3, 5, [1, 2]).b, Queues(["b"], 3, 5, [2]).b)
