"""Forward kinematics of a 25-joint body (Kinect v2).

A pose is a row of angles named as an anatomist would; bones keep their length whatever the angles.
World coordinates are in meters: y up, the floor at y = 0. A body with heading 0 looks along -z and has its
right hand at larger x, as a Kinect sees somebody who faces it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ikem.skeleton import load_skeleton

Array = NDArray[np.float64]

SKELETON = load_skeleton("ntu25")
JOINTS = {name: number for number, name in enumerate(SKELETON.joints)}
JOINT_COUNT = SKELETON.joint_count

BODY_ANGLES = (
    "heading",  # turn of the whole body about the vertical; radians, as are all angles
    "place_x",  # meters on the floor, in the body's own heading-0 axes
    "place_z",
    "lift",  # meters of the lower foot above the floor
    "trunk_flexion",  # forward
    "trunk_side",  # to the right
    "trunk_twist",  # to the left
    "nod",  # down
    "head_turn",  # to the left
)
# Angles of a side mean the same on both sides: outward is away from the midline.
ARM_ANGLES = (
    "reach",  # shoulder joint itself, forward
    "shrug",  # shoulder joint itself, up
    "elevation",  # upper arm: 0 hangs down, pi / 2 is level, pi points up
    "plane",  # direction in which it is raised: 0 forward, pi / 2 outward
    "axial",  # turn about its own length: inward
    "elbow",  # flexion
    "wrist",  # flexion
)
LEG_ANGLES = ("hip", "abduction", "knee", "ankle")
SIDES = ("left", "right")
ANGLES = BODY_ANGLES + tuple(f"{side}_{angle}" for side in SIDES for angle in ARM_ANGLES + LEG_ANGLES)
COLUMN = {angle: column for column, angle in enumerate(ANGLES)}

_SIDED = {angle: [COLUMN[f"{side}_{angle}"] for side in SIDES] for angle in ARM_ANGLES + LEG_ANGLES}
_ARMS = np.array(
    [
        [
            JOINTS[name.format(side)]
            for name in ("{}_shoulder", "{}_elbow", "{}_wrist", "{}_hand", "tip_of_{}_hand", "{}_thumb")
        ]
        for side in SIDES
    ]
)
_LEGS = np.array([[JOINTS[f"{side}_{part}"] for part in ("hip", "knee", "ankle", "foot")] for side in SIDES])
_MIRROR = np.array([-1.0, 1.0])[:, None]  # turns about y and z change sign on the left


@dataclass(frozen=True)
class Proportions:
    """Lengths of a body's bones in meters."""

    spine_lower: float = 0.29
    spine_upper: float = 0.24
    neck: float = 0.08
    head: float = 0.15
    shoulder_width: float = 0.17  # from the midline
    shoulder_drop: float = 0.05
    upper_arm: float = 0.28
    forearm: float = 0.25
    hand: float = 0.07
    fingers: float = 0.08
    thumb: float = 0.06
    hip_width: float = 0.085
    thigh: float = 0.41
    shin: float = 0.40
    foot: float = 0.15

    @property
    def arm(self) -> float:
        """Length from shoulder to hand."""
        return self.upper_arm + self.forearm + self.hand


def draw_proportions(random: np.random.Generator, spread: float) -> Proportions:
    """A body of its own: size, length of limbs and of trunk, and width vary with deviation `spread`."""
    size, limbs, width = 1.0 + spread * np.clip(random.normal(size=3), -2.0, 2.0) * (0.6, 0.7, 0.8)
    plain = Proportions()
    scale = dict.fromkeys(plain.__dataclass_fields__, size)
    for name in ("upper_arm", "forearm", "thigh", "shin"):
        scale[name] = size * limbs
    for name in ("shoulder_width", "hip_width"):
        scale[name] = size * width
    return Proportions(**{name: getattr(plain, name) * factor for name, factor in scale.items()})


def turn(axis: int, angle: Array) -> Array:
    """Rotation matrices about an axis (0 x, 1 y, 2 z), right-handed: (...) radians -> (..., 3, 3)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    matrices = np.zeros((*angle.shape, 3, 3))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrices[..., axis, axis] = 1.0
    matrices[..., first, first] = cosine
    matrices[..., second, second] = cosine
    matrices[..., first, second] = -sine
    matrices[..., second, first] = sine
    return matrices


def place_joints(angles: Array, body: Proportions) -> Array:
    """Joints of a body over time: angles (T, len(ANGLES)) -> (T, 25, 3) meters, world coordinates."""

    def one(name: str) -> Array:
        return angles[:, COLUMN[name]]

    def both(name: str) -> Array:
        return angles[:, _SIDED[name]].T  # (2, T)

    joints = np.zeros((len(angles), JOINT_COUNT, 3))
    pelvis = turn(1, one("heading"))
    half = turn(1, one("trunk_twist") / 2) @ turn(2, -one("trunk_side") / 2) @ turn(0, -one("trunk_flexion") / 2)
    lower = pelvis @ half
    upper = lower @ half
    joints[:, JOINTS["middle_of_spine"]] = body.spine_lower * lower[..., 1]
    spine = joints[:, JOINTS["middle_of_spine"]] + body.spine_upper * upper[..., 1]
    joints[:, JOINTS["spine"]] = spine
    joints[:, JOINTS["neck"]] = spine + body.neck * upper[..., 1]
    head = upper @ turn(1, one("head_turn")) @ turn(0, -one("nod"))
    joints[:, JOINTS["head"]] = joints[:, JOINTS["neck"]] + body.head * head[..., 1]

    girdle = upper @ turn(1, _MIRROR * both("reach")) @ turn(2, _MIRROR * both("shrug"))
    outward = np.array([-body.shoulder_width, body.shoulder_width])[:, None, None]
    shoulder = spine + outward * girdle[..., 0] - body.shoulder_drop * girdle[..., 1]
    arm = (
        upper
        @ turn(1, -_MIRROR * both("plane"))
        @ turn(0, both("elevation"))
        @ turn(1, _MIRROR * (both("axial") + both("plane")))
    )
    forearm = arm @ turn(0, both("elbow"))
    hand = forearm @ turn(2, -_MIRROR * both("wrist"))
    elbow = shoulder - body.upper_arm * arm[..., 1]
    wrist = elbow - body.forearm * forearm[..., 1]
    palm = wrist - body.hand * hand[..., 1]
    tip = palm - body.fingers * hand[..., 1]
    thumb = palm - body.thumb * (0.6 * hand[..., 1] + 0.8 * hand[..., 2])
    for place, joint in enumerate((shoulder, elbow, wrist, palm, tip, thumb)):
        joints[:, _ARMS[:, place]] = joint.transpose(1, 0, 2)

    thigh = pelvis @ turn(2, _MIRROR * both("abduction")) @ turn(0, both("hip"))
    shin = thigh @ turn(0, -both("knee"))
    foot = shin @ turn(0, both("ankle"))
    hip = np.array([-body.hip_width, body.hip_width])[:, None, None] * pelvis[..., 0] - 0.03 * pelvis[..., 1]
    knee = hip - body.thigh * thigh[..., 1]
    ankle = knee - body.shin * shin[..., 1]
    toes = ankle - body.foot * (0.9 * foot[..., 2] + np.sqrt(0.19) * foot[..., 1])
    for place, joint in enumerate((hip, knee, ankle, toes)):
        joints[:, _LEGS[:, place]] = joint.transpose(1, 0, 2)

    lowest = joints[:, _LEGS[:, 2:].ravel(), 1].min(axis=1)
    joints[..., 1] += (one("lift") - lowest)[:, None]
    joints[..., 0] += one("place_x")[:, None]
    joints[..., 2] += one("place_z")[:, None]
    return joints
