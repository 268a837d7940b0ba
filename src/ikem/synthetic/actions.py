"""The registry of actions: one entry each, that says which joints move how over time.

Several of them pass through the same poses and differ only in order, direction, rhythm or coordination.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ikem.synthetic.kinematics import Array
from ikem.synthetic.motion import Performance, Pose, ease, keyed


@dataclass(frozen=True)
class Action:
    """One kind of action.

    Attributes:
        perform: moves the persons of a performance.
        persons: 1 or 2.
        can_sit: also done seated.
        distance: meters between two persons, for arms of 0.6 m.
    """

    perform: Callable[[Performance], None]
    persons: int = 1
    can_sit: bool = False
    distance: float = 1.0


ACTIONS: dict[str, Action] = {}


def _action(name: str, *, persons: int = 1, can_sit: bool = False, distance: float = 1.0) -> Callable[..., None]:
    def register(perform: Callable[[Performance], None]) -> None:
        ACTIONS[name] = Action(perform, persons, can_sit, distance)

    return register


def _aim_arm(
    pose: Pose, side: str, weight: Array, elevation: Array | float, plane: Array | float, axial: Array | float,
    elbow: Array | float,
) -> None:  # fmt: skip
    """Bring an arm to the given angles where `weight` is 1."""
    for name, target in (("elevation", elevation), ("plane", plane), ("axial", axial), ("elbow", elbow)):
        pose.set(side, name, target, weight)


@_action("waving", can_sit=True)
def _wave(take: Performance) -> None:
    """One forearm swings quickly from side to side."""
    swing = take.amplitude * take.during() * np.sin(take.phase(2.2))
    take.people[0].add(take.side, "axial", 0.6 * swing)
    take.people[0].add(take.side, "elbow", 0.5 * take.during() + 0.15 * swing)


@_action("swinging an arm", can_sit=True)
def _swing_arm(take: Performance) -> None:
    """One whole arm goes slowly up and down."""
    swing = take.amplitude * take.during() * np.sin(take.phase(0.8))
    take.people[0].add(take.side, "elevation", 0.6 * swing)
    take.people[0].add(None, "trunk_side", (-0.06 if take.side == "right" else 0.06) * swing)


@_action("clapping", can_sit=True)
def _clap(take: Performance) -> None:
    """Both forearms go quickly inward and outward at once."""
    beat = take.amplitude * take.during() * np.sin(take.phase(2.2))
    for side in ("left", "right"):
        take.people[0].add(side, "axial", 0.5 * beat)
        take.people[0].add(side, "elbow", 0.5 * take.during())


@_action("drumming in turn", can_sit=True)
def _drum_in_turn(take: Performance) -> None:
    """One hand goes quickly down while the other goes up."""
    phase = take.phase(1.8)
    for side, start in (("left", 0.0), ("right", np.pi)):
        beat = take.amplitude * take.during() * np.sin(phase + start)
        take.people[0].add(side, "elbow", 0.45 * beat)
        take.people[0].add(side, "elevation", 0.15 * beat)


@_action("flapping", can_sit=True)
def _flap(take: Performance) -> None:
    """Both whole arms go slowly up and down."""
    beat = take.amplitude * take.during() * np.sin(take.phase(0.9))
    for side in ("left", "right"):
        take.people[0].add(side, "elevation", 0.5 * beat)


@_action("twisting", can_sit=True)
def _twist(take: Performance) -> None:
    """The trunk turns to one side and to the other."""
    turned = take.amplitude * take.during() * np.sin(take.phase(0.9))
    take.people[0].add(None, "trunk_twist", 0.5 * turned)
    take.people[0].add(None, "head_turn", 0.3 * turned)


@_action("rocking", can_sit=True)
def _rock(take: Performance) -> None:
    """The trunk leans to one side and to the other."""
    lean = take.amplitude * take.during() * np.sin(take.phase(0.9))
    take.people[0].add(None, "trunk_side", 0.35 * lean)


@_action("nodding", can_sit=True)
def _nod(take: Performance) -> None:
    """The head goes quickly up and down."""
    take.people[0].add(None, "nod", 0.45 * take.amplitude * take.during() * np.sin(take.phase(1.8)))


def _circle(take: Performance, direction: float) -> None:
    phase = direction * take.phase(1.0)
    radius = 0.5 * take.amplitude
    height, aside = take.random.uniform(1.1, 1.7), take.random.uniform(0.2, 1.1)
    elbow = take.random.uniform(0.1, 0.7)
    elevation, plane = height + radius * np.cos(phase), aside + radius * np.sin(phase)
    _aim_arm(take.people[0], take.side, take.during(), elevation, plane, 0.0, elbow)


@_action("circling outward", can_sit=True)
def _circle_outward(take: Performance) -> None:
    """The arm draws circles that go outward at the top."""
    _circle(take, 1.0)


@_action("circling inward", can_sit=True)
def _circle_inward(take: Performance) -> None:
    """The same circles the other way round."""
    _circle(take, -1.0)


def _swing(take: Performance, knots: tuple[float, ...]) -> None:
    """From rest over the raised arm behind the head to the arm stretched forward; `knots` make it slow or quick."""
    pose, progress, reach = take.people[0], take.strokes(1.6, most=2), take.amplitude
    elevation = keyed(progress, knots, (0.3, 1.3 + 0.8 * reach, 1.0 + 0.4 * reach, 0.3))
    elbow = keyed(progress, knots, (0.4, 1.9, 0.2, 0.4))
    plane = keyed(progress, knots, (0.6, 1.3, 0.1, 0.6))
    axial = keyed(progress, knots, (0.0, -0.9, 0.2, 0.0))
    _aim_arm(pose, take.side, take.during(), elevation, plane, axial, elbow)
    lead = 1.0 if take.side == "right" else -1.0
    pose.add(None, "trunk_twist", lead * reach * keyed(progress, knots, (0.0, -0.35, 0.35, 0.0)))


@_action("throwing", can_sit=True)
def _throw(take: Performance) -> None:
    """Slow wind-up, quick swing forward."""
    _swing(take, (0.0, 0.55, 0.7, 1.0))


@_action("pulling down", can_sit=True)
def _pull(take: Performance) -> None:
    """Quick grip behind the head, slow way forward."""
    _swing(take, (0.0, 0.2, 0.75, 1.0))


@_action("bowing", can_sit=True)
def _bow(take: Performance) -> None:
    """The trunk bends forward and comes up again."""
    progress = take.strokes(1.8, most=2)
    depth = take.amplitude * keyed(progress, (0.0, 0.35, 0.55, 1.0), (0.0, 0.9, 0.9, 0.0))
    take.people[0].add(None, "trunk_flexion", depth)
    take.people[0].add(None, "nod", 0.3 * depth)


def _bend_knees(pose: Pose, depth: Array) -> None:
    for side in ("left", "right"):
        pose.add(side, "hip", 0.9 * depth)
        pose.add(side, "knee", 1.5 * depth)
        pose.add(side, "ankle", 0.6 * depth)
    pose.add(None, "trunk_flexion", 0.35 * depth)


@_action("squatting")
def _squat(take: Performance) -> None:
    """Knees bend slowly and stretch slowly."""
    depth = keyed(take.strokes(1.5, most=3), (0.0, 0.45, 0.55, 1.0), (0.0, 1.0, 1.0, 0.0))
    _bend_knees(take.people[0], take.amplitude * depth)


@_action("bouncing")
def _bounce(take: Performance) -> None:
    """Knees bend quickly, a little, again and again."""
    depth = take.amplitude * take.during() * (1.0 - np.cos(take.phase(2.0))) / 2.0
    _bend_knees(take.people[0], 0.35 * depth)


@_action("jumping")
def _jump(take: Performance) -> None:
    """Knees bend, stretch at once, and the feet leave the floor."""
    progress = take.strokes(0.9, most=5)
    depth = keyed(progress, (0.0, 0.4, 0.5, 0.75, 0.82, 1.0), (0.0, 0.8, 0.0, 0.0, 0.5, 0.0))
    flight = np.clip((progress - 0.48) / 0.3, 0.0, 1.0)
    _bend_knees(take.people[0], take.amplitude * depth)
    take.people[0].add(None, "lift", 0.9 * take.amplitude * flight * (1.0 - flight))


def _step(pose: Pose, phase: Array, weight: Array, length: float, height: float) -> None:
    """Legs go in turn; arms swing against them."""
    for side, start in (("left", 0.0), ("right", np.pi)):
        swing, raised = np.sin(phase + start), np.maximum(np.cos(phase + start), 0.0)
        pose.add(side, "hip", weight * (length * swing + 0.6 * height * raised))
        pose.add(side, "knee", weight * (0.5 * length * (1.0 - swing) + height * raised))
        pose.add(side, "elevation", weight * -0.6 * length * swing)


@_action("marching")
def _march(take: Performance) -> None:
    """Knees rise in turn on the spot."""
    _step(take.people[0], take.phase(1.1), take.during(), 0.05, 1.2 * take.amplitude)


@_action("kicking")
def _kick(take: Performance) -> None:
    """One leg draws back and swings forward."""
    pose, progress, reach = take.people[0], take.strokes(1.2, most=3), take.amplitude
    knots = (0.0, 0.35, 0.55, 1.0)
    pose.add(take.side, "hip", reach * keyed(progress, knots, (0.0, -0.4, 1.1, 0.0)))
    pose.add(take.side, "knee", reach * keyed(progress, knots, (0.0, 1.1, 0.1, 0.0)))
    pose.add(None, "trunk_flexion", reach * keyed(progress, knots, (0.0, 0.1, -0.2, 0.0)))
    pose.add(take.other, "elevation", reach * keyed(progress, knots, (0.0, -0.3, 0.6, 0.0)))


@_action("shaking hands", persons=2, distance=1.0)
def _shake_hands(take: Performance) -> None:
    """Right hands meet and go up and down."""
    phase = take.phase(2.2)
    for pose, delay in zip(take.people, (0.0, take.random.uniform(0.0, 0.3)), strict=True):
        beat = 0.22 * take.amplitude * np.sin(phase)
        _aim_arm(pose, "right", take.during(delay=delay), 0.75 + 0.5 * beat, 0.1, 0.2, 0.75 + beat)
        pose.add(None, "trunk_flexion", 0.12 * take.during(delay=delay))


@_action("pushing", persons=2, distance=0.9)
def _push(take: Performance) -> None:
    """One thrusts both arms forward, the other is thrown back and steps."""
    first, second = take.people
    progress = take.strokes(1.8, most=2)
    knots = (0.0, 0.3, 0.42, 0.6, 1.0)
    weight = take.during(0.25)
    reach = keyed(progress, knots, (0.5, 0.2, 1.4, 1.4, 0.5))
    bend = keyed(progress, knots, (1.2, 2.1, 0.15, 0.2, 1.2))
    for side in ("left", "right"):
        _aim_arm(first, side, weight, reach, 0.25, 0.2, bend)
    first.add(None, "trunk_flexion", take.amplitude * keyed(progress, knots, (0.0, -0.1, 0.35, 0.2, 0.0)))
    later = (0.0, 0.38, 0.5, 0.65, 1.0)
    shock = take.amplitude * keyed(progress, later, (0.0, 0.0, 1.0, 0.7, 0.0))
    second.add(None, "trunk_flexion", -0.35 * shock)
    second.add(None, "nod", 0.3 * shock)
    _walk(second, take, -0.35 * shock, 1.6, np.minimum(1.0, 2.0 * shock))
    for side in ("left", "right"):
        second.add(side, "elevation", 0.5 * shock)


@_action("hugging", persons=2, distance=0.75)
def _hug(take: Performance) -> None:
    """Both come close and close their arms around each other."""
    weight = take.during(0.6)
    for pose, height in zip(take.people, (1.35, 1.1), strict=True):
        inward = -0.25 + 0.15 * take.amplitude * np.sin(take.phase(0.7))
        for side in ("left", "right"):
            _aim_arm(pose, side, weight, height, inward, 0.5, 0.9 * take.amplitude)
        pose.add(None, "trunk_flexion", 0.2 * weight)
        _walk(pose, take, 0.18 * weight, 1.0, weight * (1.0 - weight) * 4.0)


@_action("walking apart", persons=2, distance=1.0)
def _walk_apart(take: Performance) -> None:
    """Both turn round and walk away."""
    for pose in take.people:
        turned = np.pi * ease((take.seconds - take.begin) / (0.7 / take.tempo))
        walked = np.clip(take.seconds - take.begin, 0.0, None) * 0.9 * take.tempo
        _walk(pose, take, -walked, 1.0 * take.tempo, np.minimum(1.0, 3.0 * walked))
        pose.add(None, "heading", turned if take.side == "right" else -turned)


@_action("shadowing", persons=2, distance=1.3)
def _shadow(take: Performance) -> None:
    """One raises and lowers the arms, the other copies it a moment later."""
    phase = take.phase(0.7)
    for pose, delay in zip(take.people, (0.0, 0.4), strict=True):
        beat = np.sin(phase - 2.0 * delay)
        for side in ("left", "right"):
            _aim_arm(pose, side, take.during(delay=delay), 1.0 + 0.6 * take.amplitude * beat, 0.6, 0.1, 0.5)


def _walk(pose: Pose, take: Performance, forward: Array, hertz: float, weight: Array) -> None:
    """Move `forward` meters (T,) in the heading the person starts with, on walking legs."""
    heading = pose.angles[0, 0]
    pose.add(None, "place_x", -np.sin(heading) * forward)
    pose.add(None, "place_z", -np.cos(heading) * forward)
    _step(pose, take.phase(hertz), weight, 0.4, 0.5)


DEFAULT_ACTIONS = (
    "waving",
    "swinging an arm",
    "clapping",
    "flapping",
    "bowing",
    "rocking",
    "squatting",
    "bouncing",
    "marching",
    "kicking",
    "shaking hands",
    "pushing",
    "hugging",
    "walking apart",
)
