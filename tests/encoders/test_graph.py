from collections import deque

import numpy as np
import pytest

from helpers import vectors
from ikem.encoders.graph import adjacency
from ikem.skeleton import load_skeleton

# 1-based, as the datasets' documents count.
NTU_EDGES = [
    (1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11), (13, 1),
    (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (22, 23), (23, 8), (24, 25), (25, 12),
]  # fmt: skip


def slow(edges, center, joints, furthest):
    """The partition by its words; distances beyond `furthest` are all the same."""
    neighbors = {v: {v} for v in range(joints)}
    for a, b in edges:
        neighbors[a].add(b)
        neighbors[b].add(a)
    distance, waiting = {center: 0}, deque([center])
    while waiting:
        v = waiting.popleft()
        for w in neighbors[v] - set(distance):
            distance[w] = distance[v] + 1
            waiting.append(w)
    distance = {v: d if d <= furthest else joints for v, d in distance.items()}
    result = np.zeros((3, joints, joints), np.float32)
    for receiver in range(joints):
        for source in neighbors[receiver]:
            subset = 0 if source == receiver else 1 if distance[source] >= distance[receiver] else 2
            result[subset, source, receiver] = 1 / len(neighbors[receiver])
    return result


@pytest.mark.parametrize("name", ["stgcn_small", "stgcn_paper"])
def test_reference_vectors(name):
    assert np.array_equal(adjacency(load_skeleton("ntu25")), vectors(name)["p.A"])


@pytest.mark.parametrize(("distances", "furthest"), [("one-hop", 1), ("true", 99)])
def test_against_transcription(distances, furthest):
    ntu, kinect = load_skeleton("ntu25"), load_skeleton("kinect20")
    edges = [(a - 1, b - 1) for a, b in NTU_EDGES]
    assert np.array_equal(adjacency(ntu, distances), slow(edges, 20, 25, furthest))
    assert np.array_equal(adjacency(kinect, distances), slow(kinect.graph_edges, 2, 20, furthest))


def test_each_receiver_gets_one_in_all():
    for distances in ("one-hop", "true"):
        assert np.allclose(adjacency(load_skeleton("kinect20"), distances).sum(axis=(0, 1)), 1)


def test_counts():
    published, true = (adjacency(load_skeleton("ntu25"), distances) for distances in ("one-hop", "true"))
    assert [(subset != 0).sum() for subset in published] == [25, 40, 8]
    assert [(subset != 0).sum() for subset in true] == [25, 24, 24]
