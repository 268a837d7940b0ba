"""The graph of a skeleton: which joints an encoder's graph convolution mixes, in three subsets."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ikem.skeleton import Skeleton

Distances = Literal["one-hop", "true"]


def adjacency(skeleton: Skeleton, distances: Distances = "one-hop") -> NDArray[np.float32]:
    """Build the normalized adjacency of the spatial partition.

    Entry [k, source, receiver] weighs what `receiver` takes from `source` within subset k: 0 holds each joint itself, 1
    its neighbors that are as far from the center as it is or farther, 2 those that are nearer. Over all subsets the
    weights of each receiver sum to 1.

    Args:
        skeleton: its edges and center.
        distances: "one-hop", as published: only the center (0) and its neighbors (1) have a distance, and all other
            joints are equally far; "true": the number of edges to the center.

    Returns:
        (3, V, V) float32.
    """
    joints = skeleton.joint_count
    linked = np.eye(joints, dtype=bool)
    for child, parent in skeleton.graph_edges:
        linked[child, parent] = linked[parent, child] = True
    distance = _distances(linked, skeleton.center)
    if distances == "one-hop":
        distance[distance > 1] = math.inf
    weight = linked / linked.sum(axis=0, keepdims=True)
    nearer = distance[:, None] < distance[None, :]
    itself = np.eye(joints, dtype=bool)
    return np.stack([weight * itself, weight * ~(itself | nearer), weight * nearer]).astype(np.float32)


def _distances(linked: NDArray[np.bool_], center: int) -> NDArray[np.float64]:
    """Number of edges from `center` to each joint."""
    distance = np.full(len(linked), math.inf)
    reached = np.arange(len(linked)) == center
    for steps in range(len(linked)):
        distance[reached & np.isinf(distance)] = steps
        reached = linked @ reached
    return distance
