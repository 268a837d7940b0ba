"""Rotation about three axes: known answers, and how its draws are spread."""

import math

import torch

from ikem.augmentations.euler_rotation import EulerRotation, random_euler_rotation
from ikem.augmentations.rotation import rotation_matrices
from ikem.skeleton import load_skeleton

SKELETON = load_skeleton("ntu25")


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rotation_of_known_vectors():
    """A quarter turn about each axis, and that x comes first and z last."""
    quarter = math.pi / 2
    x, y, z = torch.eye(3, dtype=torch.float64)
    about_x, about_y, about_z = rotation_matrices(torch.eye(3, dtype=torch.float64) * quarter)
    assert torch.allclose(about_x @ y, z) and torch.allclose(about_y @ z, x) and torch.allclose(about_z @ x, y)
    angles = 2 * drawn(5, 3) - 1
    for each, matrix in zip(angles, rotation_matrices(angles), strict=True):
        parts = [rotation_matrices((each * axis)[None])[0] for axis in (x, y, z)]
        assert torch.allclose(matrix, parts[2] @ parts[1] @ parts[0])
        assert torch.allclose(matrix @ matrix.t(), torch.eye(3, dtype=torch.float64))
        assert math.isclose(torch.linalg.det(matrix), 1)


def test_angles_are_spread_as_published():
    """Each clip is turned as a whole, by angles up to 0.3 about each axis."""
    clips = torch.eye(3, dtype=torch.float64).view(1, 1, 3, 1, 3).expand(5000, 2, 3, 2, 3)
    found = random_euler_rotation(clips, drawn(5000, 3), EulerRotation(), SKELETON)
    assert torch.equal(found[:, 0, :, 0], found[:, 1, :, 1])
    matrix = found[:, 0, :, 0]
    angles = torch.stack(
        [
            torch.atan2(matrix[:, 2, 1], matrix[:, 2, 2]),
            -torch.asin(matrix[:, 2, 0]),
            torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]),
        ],
        dim=1,
    )
    assert 0.29 < angles.abs().max() <= 0.3 and (angles.mean(dim=0).abs() < 0.01).all()
    assert ((angles.std(dim=0) - 0.6 / 12**0.5).abs() < 0.005).all()
    still = random_euler_rotation(clips, drawn(5000, 3), EulerRotation(largest=0.0), SKELETON)
    assert torch.equal(still, clips)
