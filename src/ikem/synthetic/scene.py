"""From settings and a clip's name to bodies in the world: who performs, when, in which style."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ikem.synthetic.actions import ACTIONS
from ikem.synthetic.kinematics import COLUMN, Array, Proportions, draw_proportions, place_joints
from ikem.synthetic.motion import FRAME_RATE, Performance, Pose, resting_pose
from ikem.synthetic.settings import SyntheticSettings

# What a stream of random numbers is for; the numbers of a clip follow it in the seed.
STYLE, PERFORMANCE, CAMERA, SENSOR, VIDEO = range(5)


def random_for(settings: SyntheticSettings, purpose: int, *numbers: int) -> np.random.Generator:
    """A generator that depends on the seed, the purpose and `numbers` alone."""
    return np.random.default_rng((settings.seed, purpose, *numbers))


class Clip(NamedTuple):
    """What the name of a clip says; all numbers from 1."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int

    @property
    def name(self) -> str:
        """SsssCcccPpppRrrrAaaa."""
        return "S{:03d}C{:03d}P{:03d}R{:03d}A{:03d}".format(*self)


def list_clips(settings: SyntheticSettings) -> Iterator[Clip]:
    """All clips in the order of the archive; a performer's setups follow from the performer's number."""
    for performer in settings.performers:
        for visit in range(min(settings.visits, settings.setups)):
            setup = (performer - 1 + visit) % settings.setups + 1
            for replication in range(1, settings.replications + 1):
                for action in range(1, len(settings.actions) + 1):
                    for camera in range(1, settings.cameras + 1):
                        yield Clip(setup, camera, performer, replication, action)


@dataclass(frozen=True)
class Style:
    """What a performer keeps from take to take."""

    body: Proportions
    tempo: float
    amplitude: float
    slouch: float
    left: bool


def draw_style(settings: SyntheticSettings, performer: int) -> Style:
    """The style of a performer."""
    random = random_for(settings, STYLE, performer)
    tempo, amplitude, slouch = np.clip(random.normal(size=3), -2.0, 2.0)
    return Style(
        body=draw_proportions(random, settings.size_spread),
        tempo=float(np.exp(0.6 * settings.tempo_spread * tempo)),
        amplitude=float(np.exp(0.6 * settings.amplitude_spread * amplitude)),
        slouch=0.5 * np.radians(settings.posture_degrees) * slouch,
        left=bool(random.random() < settings.left_share),
    )


def perform(
    settings: SyntheticSettings,
    style: Style,
    action_name: str,
    random: np.random.Generator,
    seated: bool | None = None,
) -> list[Pose]:
    """One take of an action: the poses of one or two persons, both of the same length.

    Args:
        random: draws of this take alone.
        seated: whether the performer sits; None draws it.
    """
    action = ACTIONS[action_name]
    frames = int(random.integers(settings.frames[0], settings.frames[1], endpoint=True))
    before, after = random.uniform(0.02, max(0.02, settings.idle_share), size=2) * frames / FRAME_RATE
    spreads = np.array([settings.tempo_spread, settings.amplitude_spread])
    tempo, amplitude = np.exp(0.8 * spreads * random.normal(size=2))
    sits = bool(random.random() < settings.seated_share) and action.can_sit
    side_is_left = style.left ^ bool(random.random() < 0.25)
    posture, sway = np.radians(settings.posture_degrees), np.radians(settings.sway_degrees)
    bodies = [style.body] + [draw_proportions(random, settings.size_spread)] * (action.persons - 1)
    people = [
        resting_pose(
            random, frames, body, seated=(sits if seated is None else seated) and index == 0, posture=posture, sway=sway
        )
        for index, body in enumerate(bodies)
    ]
    people[0].angles[:, COLUMN["trunk_flexion"]] += style.slouch
    if len(people) == 2:
        _face_each_other(people, action.distance * (bodies[0].arm + bodies[1].arm) / 1.2 * random.uniform(0.9, 1.15))
    take = Performance(
        random=random,
        frames=frames,
        begin=float(before),
        end=float(max(frames / FRAME_RATE - after, before + 1.0 / FRAME_RATE)),
        tempo=style.tempo * float(np.clip(tempo, 0.5, 2.0)),
        amplitude=style.amplitude * float(np.clip(amplitude, 0.5, 1.6)),
        side="left" if side_is_left else "right",
        seated=sits,
        people=people,
    )
    action.perform(take)
    return people


def _face_each_other(people: list[Pose], distance: float) -> None:
    """Put the second person `distance` meters in front of the first, both half of it from the middle."""
    first, second = people
    first.add(None, "place_z", distance / 2)
    second.add(None, "place_z", -distance / 2)
    second.add(None, "heading", np.pi)


def in_world(people: list[Pose], heading: float) -> list[Array]:
    """Joints of each person, (T, 25, 3) meters, with the whole scene turned about the vertical by `heading`."""
    cosine, sine = np.cos(heading), np.sin(heading)
    rotation = np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
    return [place_joints(pose.angles, pose.body) @ rotation.T for pose in people]


def stage_clip(settings: SyntheticSettings, clip: Clip) -> list[Array]:
    """The performance behind a clip, the same for every camera: (T, 25, 3) meters for each person."""
    random = random_for(settings, PERFORMANCE, clip.setup, clip.performer, clip.replication, clip.action)
    heading = np.radians(settings.heading_degrees) * random.uniform(-1.0, 1.0)
    people = perform(settings, draw_style(settings, clip.performer), settings.actions[clip.action - 1], random)
    return in_world(people, float(heading))
