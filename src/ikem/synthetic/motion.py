"""What an action is written in: the time of a performance, the poses it fills, and the style of its performer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ikem.synthetic.kinematics import ANGLES, COLUMN, Array, Proportions

FRAME_RATE = 30.0
REST_STANDING = {
    "abduction": 0.06,
    "elbow": 0.25,
    "elevation": 0.15,
    "plane": 1.2,
    "wrist": 0.1,
    "ankle": 0.0,
}


def ease(progress: Array) -> Array:
    """Minimum-jerk course from 0 to 1, as reaching hands take it; clamped outside."""
    clamped = np.clip(progress, 0.0, 1.0)
    return clamped**3 * (10.0 - 15.0 * clamped + 6.0 * clamped**2)


def keyed(progress: Array, knots: Sequence[float], values: Sequence[float]) -> Array:
    """A course through `values` at the increasing `knots`, at rest in each of them."""
    course = np.full(progress.shape, float(values[0]))
    for start, end, before, after in zip(knots[:-1], knots[1:], values[:-1], values[1:], strict=True):
        course += (after - before) * ease((progress - start) / (end - start))
    return course


@dataclass
class Pose:
    """Angles of one person over time.

    Attributes:
        angles: (T, len(ANGLES)) radians and meters, see `kinematics`.
        body: the person's own proportions.
    """

    angles: Array
    body: Proportions

    def set(self, side: str | None, name: str, target: Array | float, weight: Array | float = 1.0) -> None:
        """Bring an angle to `target` where `weight` (T,) is 1, and leave it where it is 0."""
        column = self.angles[:, COLUMN[name if side is None else f"{side}_{name}"]]
        column += weight * (target - column)

    def add(self, side: str | None, name: str, amount: Array | float) -> None:
        """Add to an angle."""
        self.angles[:, COLUMN[name if side is None else f"{side}_{name}"]] += amount


@dataclass
class Performance:
    """One take of an action: when it happens, who does it, and how.

    Attributes:
        random: draws of this take alone.
        frames: length T.
        begin, end: the action's window within the clip, seconds.
        tempo: factor on frequencies; above 1 is quicker.
        amplitude: factor on how far joints go.
        side: the side that leads; `other` is the opposite one.
        seated: whether the main person sits.
        people: one or two persons; the second faces the first.
    """

    random: np.random.Generator
    frames: int
    begin: float
    end: float
    tempo: float
    amplitude: float
    side: str
    seated: bool
    people: list[Pose]

    @property
    def other(self) -> str:
        """The side that does not lead."""
        return "left" if self.side == "right" else "right"

    @property
    def seconds(self) -> Array:
        """(T,) time of each frame."""
        return np.arange(self.frames) / FRAME_RATE

    @property
    def window(self) -> Array:
        """(T,) progress through the action, 0 before and 1 after."""
        return np.clip((self.seconds - self.begin) / (self.end - self.begin), 0.0, 1.0)

    def during(self, rise: float = 0.35, delay: float = 0.0) -> Array:
        """(T,) 1 within the action and 0 outside; it takes `rise` seconds to get there and back."""
        rise = min(rise / self.tempo, 0.4 * (self.end - self.begin))
        start = self.begin + delay
        return ease((self.seconds - start) / rise) * ease((self.end - self.seconds) / rise)

    def phase(self, hertz: float) -> Array:
        """(T,) radians of an oscillation of about `hertz`, with a random start and a slightly unsteady beat."""
        start, wobble = self.random.uniform(0.0, 2.0 * np.pi, size=2)
        drift = 0.35 * np.sin(2.0 * np.pi * 0.4 * self.seconds + wobble)
        return np.asarray(2.0 * np.pi * hertz * self.tempo * (self.seconds - self.begin) + drift + start)

    def strokes(self, period: float, most: int = 4) -> Array:
        """(T,) progress 0..1 of each of some whole strokes of about `period` seconds that fill the window."""
        wanted = (self.end - self.begin) * self.tempo / period * self.random.uniform(0.8, 1.2)
        count = int(np.clip(round(wanted), 1, most))
        progress = self.window * count
        return np.where(self.window >= 1.0, 1.0, progress - np.floor(progress))


def resting_pose(
    random: np.random.Generator, frames: int, body: Proportions, *, seated: bool, posture: float, sway: float
) -> Pose:
    """A person who does nothing: a context drawn at random, and swaying.

    Args:
        frames: length T.
        seated: sits instead of standing.
        posture: deviation of slouch and leaning, radians.
        sway: amplitude of slow wandering of all angles, radians.
    """
    row = np.zeros(len(ANGLES))
    for side in ("left", "right"):
        for name, value in REST_STANDING.items():
            row[COLUMN[f"{side}_{name}"]] = value
        _rest_arm(random, row, side, seated)
    slouch, side_lean, twist, nod, look = random.normal(size=5)
    row[COLUMN["trunk_flexion"]] = 0.05 + posture * slouch + (0.1 if seated else 0.0)
    row[COLUMN["trunk_side"]] = 0.6 * posture * side_lean
    row[COLUMN["trunk_twist"]] = 0.6 * posture * twist
    row[COLUMN["nod"]] = 0.1 + posture * nod
    row[COLUMN["head_turn"]] = 1.2 * posture * look
    bend = random.uniform(0.0, 0.25)
    for side in ("left", "right"):
        hip, spread = random.normal(size=2)
        if seated:
            hips = 1.35 + 0.12 * hip
            legs = (hips, 0.12 + 0.08 * spread, 1.45 + 0.2 * random.normal(), 0.0)
        else:
            legs = (bend + 0.06 * hip, 0.07 + 0.05 * spread, 2.0 * bend, bend)
        for name, value in zip(("hip", "abduction", "knee", "ankle"), legs, strict=True):
            row[COLUMN[f"{side}_{name}"]] = value
    return Pose(np.tile(row, (frames, 1)) + _wandering(random, frames, sway), body)


def _rest_arm(random: np.random.Generator, row: Array, side: str, seated: bool) -> None:
    """Where an idle arm is held: hanging, on hip or thigh, in front, behind, stretched out, raised."""
    kinds = {
        "hanging": (0.2, 1.2, 0.0, 0.3),
        "hip": (0.65, 1.5, 0.9, 1.6),
        "front": (0.4, 0.3, 0.8, 1.5),
        "behind": (-0.45, 0.2, 0.9, 0.8),
        "thigh": (0.5, 0.4, 0.2, 0.8),
        "ahead": (1.1, 0.3, 0.2, 0.5),
        "aside": (1.1, 1.3, -0.2, 0.4),
        "raised": (1.5, 0.9, -0.6, 1.4),
    }
    names = ("thigh", "front", "thigh") if seated else ("hanging", "hanging", "front")
    kind = kinds[names[random.integers(len(names))]]
    for name, value in zip(("elevation", "plane", "axial", "elbow"), kind, strict=True):
        row[COLUMN[f"{side}_{name}"]] = value + 0.2 * random.normal()


def _wandering(random: np.random.Generator, frames: int, amplitude: float) -> Array:
    """(T, len(ANGLES)) slow and smooth movement around zero; the place on the floor stays."""
    seconds = np.arange(frames)[:, None] / FRAME_RATE
    course = np.zeros((frames, len(ANGLES)))
    for lowest, highest in ((0.1, 0.4), (0.4, 1.0)):
        hertz = random.uniform(lowest, highest, size=len(ANGLES))
        start = random.uniform(0.0, 2.0 * np.pi, size=len(ANGLES))
        strength = amplitude * random.uniform(0.2, 1.0, size=len(ANGLES))
        course += strength * np.sin(2.0 * np.pi * hertz * seconds + start)
    course[:, [COLUMN["place_x"], COLUMN["place_z"], COLUMN["lift"]]] = 0.0
    return course
