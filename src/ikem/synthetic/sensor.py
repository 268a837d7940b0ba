"""The sensor: what a camera sees of the bodies before it, and how badly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ikem.synthetic.kinematics import JOINT_COUNT, JOINTS, Array, Proportions, place_joints, turn
from ikem.synthetic.motion import resting_pose
from ikem.synthetic.settings import SyntheticSettings

MICRO = 1_000_000
TRACKED, INFERRED = 2, 1
FIRST_BODY_ID = 72057594037927936  # as a Kinect v2 counts
_FOCUS_HEIGHT = 0.95  # meters: what a camera points at


@dataclass(frozen=True)
class Camera:
    """A viewpoint: world meters to camera meters (x to the image's right, y up, z away from the camera).

    Attributes:
        rotation: (3, 3).
        center: (3,) where the middle of the scene, 0.95 m above the floor, lies.
    """

    rotation: Array
    center: Array

    def see(self, joints: Array) -> Array:
        """(..., 3) world -> (..., 3) camera coordinates."""
        return (joints - (0.0, _FOCUS_HEIGHT, 0.0)) @ self.rotation.T + self.center


def draw_camera(settings: SyntheticSettings, camera: int, random: np.random.Generator) -> Camera:
    """Camera 1 stands 45 degrees to one side, 2 in front, 3 to the other side, and so on around."""
    azimuth = np.radians(45.0 * ((camera - 1) % 8 - 1) + random.uniform(-8.0, 8.0))
    pitch, roll = np.radians(settings.tilt_degrees) * random.uniform(-1.0, 1.0, size=2)
    rotation = turn(2, np.array(0.6 * roll)) @ turn(0, np.array(pitch)) @ turn(1, np.array(-azimuth))
    return Camera(rotation, np.array([random.uniform(-0.3, 0.3), random.uniform(-0.3, 0.2), random.uniform(2.6, 4.0)]))


@dataclass(frozen=True)
class Recording:
    """What the sensor found.

    Attributes:
        joints: (B, T, 25, 3) whole micrometres in camera coordinates; the text and the arrays come from these.
        tracking: (B, T, 25) 2 tracked, 1 inferred.
        present: (B, T) whether the body is found in that frame.
        order: (T, B) bodies in the order in which the frame lists them, absent ones included.
        body_ids: (B,).
    """

    joints: NDArray[np.int64]
    tracking: NDArray[np.int64]
    present: NDArray[np.bool_]
    order: NDArray[np.int64]
    body_ids: NDArray[np.int64]

    def listed(self) -> NDArray[np.int64]:
        """(T, B) the bodies present in each frame, in file order; -1 where there are no more."""
        present = np.take_along_axis(self.present.T, self.order, axis=1)
        gathered = np.argsort(~present, axis=1, kind="stable")
        bodies = np.take_along_axis(self.order, gathered, axis=1)
        return np.where(np.take_along_axis(present, gathered, axis=1), bodies, -1)

    def first_two(self) -> NDArray[np.float32]:
        """(T, 2, 25, 3) meters of the first two bodies of each frame in file order; absent ones are zero."""
        frames = self.joints.shape[1]
        found = np.zeros((frames, 2, JOINT_COUNT, 3))
        listed = self.listed()
        for place in range(min(2, listed.shape[1])):
            rows = np.flatnonzero(listed[:, place] >= 0)
            found[rows, place] = self.joints[listed[rows, place], rows] / MICRO
        return found.astype(np.float32)


def sense(settings: SyntheticSettings, camera: Camera, bodies: list[Array], random: np.random.Generator) -> Recording:
    """See (T, 25, 3) meters of each body through a camera, with noise, losses, swaps and spurious bodies."""
    frames = len(bodies[0])
    seen = camera.see(np.stack(bodies))
    behind = seen[..., 2] - seen[:, :, JOINTS["spine"], None, 2] > 0.13
    inferred = behind & (random.random(behind.shape) < 0.7)
    spread = settings.noise_millimetres / 1000 * np.where(inferred, settings.inferred_factor, 1.0)
    seen = seen + spread[..., None] * random.standard_normal(seen.shape)
    seen += settings.drift_millimetres / 1000 * _slow_noise(random, seen.shape)
    present = np.ones((len(bodies), frames), dtype=bool)
    if random.random() < settings.body_loss_rate:
        whole = len(bodies) > 1 and random.random() < 0.2
        present[-1, slice(None) if whole else _run(random, frames)] = False
    order = np.tile(np.arange(len(bodies)), (frames, 1))
    if len(bodies) > 1 and random.random() < settings.swap_rate:
        run = _run(random, frames)
        order[run] = order[run, ::-1]
    if random.random() < settings.spurious_rate:
        ghost = camera.see(_spurious_body(random, frames)) + 0.02 * random.standard_normal((frames, JOINT_COUNT, 3))
        seen = np.concatenate([seen, ghost[None]])
        inferred = np.concatenate([inferred, random.random((1, frames, JOINT_COUNT)) < 0.8])
        found = np.zeros(frames, dtype=bool)
        found[_run(random, frames, longest=1.0)] = True
        present = np.concatenate([present, found[None]])
        last = np.full((frames, 1), len(bodies))
        order = np.concatenate([last, order] if random.random() < 0.15 else [order, last], axis=1)
    present[:, random.random(frames) < settings.frame_drop_rate] = False
    if not present[0].any():
        present[0, 0] = True  # a clip without any body is on the missing list, and generated elsewhere
    return Recording(
        joints=np.rint(seen * MICRO).astype(np.int64),
        tracking=np.where(inferred, INFERRED, TRACKED).astype(np.int64),
        present=present,
        order=order,
        body_ids=FIRST_BODY_ID + random.integers(1000, 9000) + 7 * np.arange(len(seen)),
    )


def _run(random: np.random.Generator, frames: int, longest: float = 0.3) -> slice:
    """A run of frames, at most `longest` of all of them."""
    length = max(1, int(frames * random.uniform(0.05, longest)))
    start = int(random.integers(0, frames - length, endpoint=True))
    return slice(start, start + length)


def _slow_noise(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Wandering of deviation about 1 along axis 1, by straight lines between draws 12 frames apart."""
    bodies, frames, joints, axes = shape
    knots = random.standard_normal((bodies, frames // 12 + 2, joints, axes))
    place = np.arange(frames) / 12
    index = place.astype(np.int64)
    share = (place - index)[:, None, None]
    return np.asarray(knots[:, index] * (1.0 - share) + knots[:, index + 1] * share)


def _spurious_body(random: np.random.Generator, frames: int) -> Array:
    """A piece of furniture that the sensor takes for somebody: still, small, beside the scene; (T, 25, 3) meters."""
    size = random.uniform(0.3, 0.8)
    plain = Proportions()
    body = Proportions(**{name: size * getattr(plain, name) for name in plain.__dataclass_fields__})
    joints = place_joints(resting_pose(random, 1, body, seated=True, posture=0.5, sway=0.3).angles, body)
    side = random.choice([-1.0, 1.0]) * random.uniform(0.8, 1.5)
    place = np.array([side, random.uniform(0.0, 0.5), random.uniform(-0.3, 0.8)])
    return np.repeat(joints + place, frames, axis=0)
