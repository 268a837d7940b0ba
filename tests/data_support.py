"""What the tests of reading share: small files in the raw formats, archives of them, a plain reader."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings

VECTORS = Path(__file__).parent / "vectors"

steady = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""Hypothesis with the same examples in every run."""

BODY = "72057594037931101 0 1 1 1 1 0 0.02764709 0.05745083 2"
JOINT = "0.2181153 0.1725972 3.785547 277.419 191.8206 1036.233 519.1677 -0.2059419 0.05349901 0.9692109 -0.1239193 2"


def skeleton_lines(bodies: Sequence[int] = (1, 1, 1), joints: int = 25, seed: int = 0) -> list[str]:
    """Lines of a `.skeleton` file with a given number of bodies in each frame."""
    random = np.random.default_rng(seed)
    lines = [str(len(bodies))]
    for count in bodies:
        lines.append(str(count))
        for body in range(count):
            lines += [BODY.replace("101", str(100 + body), 1), str(joints)]
            for x, y, z in np.round(random.normal(size=(joints, 3)), 7):
                lines.append(f"{x} {y} {z} " + JOINT.split(maxsplit=3)[3])
    return lines


def skeleton_bytes(bodies: Sequence[int] = (1, 1, 1), joints: int = 25, seed: int = 0) -> bytes:
    """A `.skeleton` file."""
    return ("\n".join(skeleton_lines(bodies, joints, seed)) + "\n").encode()


def plain_read(data: bytes) -> np.ndarray:
    """The slow, obvious reader: (T, 2, 25, 3) float32."""
    lines = iter(data.split(b"\n"))
    coordinates = np.zeros((int(next(lines)), 2, 25, 3), np.float32)
    for frame in coordinates:
        for body in range(int(next(lines))):
            next(lines)
            for joint in range(int(next(lines))):
                numbers = [float(field) for field in next(lines).split()[:3]]
                if body < 2:
                    frame[body, joint] = numbers[:3]
    return coordinates


def write_zip(path: Path, members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip of the given members."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def ntu_name(setup: int = 1, camera: int = 1, performer: int = 1, replication: int = 1, action: int = 1) -> str:
    """A name of NTU RGB+D."""
    return f"S{setup:03}C{camera:03}P{performer:03}R{replication:03}A{action:03}"


def ntu_members(count: int = 6, **more: bytes) -> dict[str, bytes]:
    """Some good clips by member name, and further members."""
    good = {f"{ntu_name(action=n + 1)}.skeleton": skeleton_bytes((1,) * (3 + n % 3), seed=n) for n in range(count)}
    return good | more


def nwucla_bytes(stem: str = "a01_s01_e00_v01", label: int = 1, frames: int = 4, seed: int = 0) -> bytes:
    """A file of NW-UCLA."""
    joints = np.round(np.random.default_rng(seed).normal(size=(frames, 20, 3)), 6)
    return json.dumps({"file_name": stem, "skeletons": joints.tolist(), "label": label}).encode()


def video_bytes(frames: int = 40, bodies: int = 1, seed: int = 0) -> bytes:
    """A skeleton file of PKU-MMD."""
    table = np.zeros((frames, 2, 75))
    table[:, :bodies] = np.round(np.random.default_rng(seed).normal(size=(frames, bodies, 75)), 6)
    return "".join(" ".join(map(str, row)) + " \n" for row in table.reshape(frames, 150)).encode()
