"""A `.skeleton` file read line by line, each token by itself."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray


def read_skeleton(data: bytes) -> NDArray[np.float32]:
    """(C=3, T, V=25, M=2) of the first two bodies of each frame."""
    stream = io.StringIO(data.decode())
    frames = []
    for _ in range(int(stream.readline())):
        bodies = []
        for _ in range(int(stream.readline())):
            names = ("bodyID", "clippedEdges", "lcf", "lcs", "rcf", "rcs", "restricted", "leanX", "leanY", "tracking")
            body = {"info": dict(zip(names, map(float, stream.readline().split()), strict=True)), "joints": []}
            for _ in range(int(stream.readline())):
                names = ("x", "y", "z", "dX", "dY", "cX", "cY", "oW", "oX", "oY", "oZ", "tracking")
                body["joints"].append(dict(zip(names, map(float, stream.readline().split()), strict=True)))
            bodies.append(body)
        frames.append(bodies)
    result = np.zeros((3, len(frames), 25, 2), dtype=np.float32)
    for frame, bodies in enumerate(frames):
        for place, body in enumerate(bodies[:2]):
            for joint, values in enumerate(body["joints"]):
                result[:, frame, joint, place] = [values["x"], values["y"], values["z"]]
    return result
