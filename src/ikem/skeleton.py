"""What a body is: its joints by name, and all that follows from them (bones, rotation pairs, turning, graph).

A skeleton is one YAML file: those in `ikem/skeletons/` are known by name, any other by its path.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ikem.errors import InputError
from ikem.files import digest_of
from ikem.registry import nearest
from ikem.yaml_loading import load_yaml, read_text


@dataclass(frozen=True)
class Skeleton:
    """A skeleton of V joints. All joint numbers are 0-based, in file order.

    Attributes:
        name: name of the skeleton.
        joints: the V joint names.
        parents: for each joint the other end of its bone; the center's is itself.
        rotation_partners: for each joint the joint whose bone its own turns against; the center's is itself.
        graph_edges: the edges of the encoder's graph (child, parent), V - 1 of them.
        center: the root of the bones, at which sequences are centered and the graph's distances start.
        plane: three joints around the center; the normal of the plane through their bones stands for the
            center's own bone.
        shoulders: left and right shoulder; sequences are turned until these lie along the x axis.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    rotation_partners: tuple[int, ...]
    graph_edges: tuple[tuple[int, int], ...]
    center: int
    plane: tuple[int, int, int]
    shoulders: tuple[int, int]

    @property
    def joint_count(self) -> int:
        """V, the number of joints."""
        return len(self.joints)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of what the definition says."""
        return digest_of(asdict(self))


@functools.cache
def known_skeletons() -> list[str]:
    """Names of the skeletons that come with the package."""
    folder = resources.files("ikem") / "skeletons"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


_given: ContextVar[Mapping[str, Skeleton] | None] = ContextVar("given", default=None)


@contextmanager
def given_skeletons(skeletons: Mapping[str, Skeleton]) -> Iterator[None]:
    """While the block runs, `load_skeleton` opens no path: these are what it finds there, and no others."""
    token = _given.set(skeletons)
    try:
        yield
    finally:
        _given.reset(token)


def load_skeleton(name_or_path: str) -> Skeleton:
    """Read a skeleton by its name, or from a YAML file.

    Raises:
        InputError: no such skeleton, or the definition contradicts itself.
    """
    given = _given.get()
    if given is not None and name_or_path not in known_skeletons():
        if name_or_path not in given:
            raise InputError(f"the skeleton {name_or_path!r} is not there")
        return given[name_or_path]
    if name_or_path.endswith((".yaml", ".yml")):
        location, text = name_or_path, read_text(name_or_path)
    elif name_or_path in known_skeletons():
        location = f"skeleton {name_or_path}"
        text = (resources.files("ikem") / "skeletons" / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    else:
        known = ", ".join(known_skeletons())
        raise InputError(
            f"unknown skeleton {name_or_path!r}{nearest(name_or_path, known_skeletons())}",
            hint=f"Known are {known}; a path that ends in .yaml names one of your own",
        )
    return _parse(text, location)


@functools.lru_cache(maxsize=16)
def _parse(text: str, location: str) -> Skeleton:
    """A plan of thousands of jobs asks for few skeletons."""
    return build_skeleton(load_yaml(text, location), location)


_LARGEST = 200
"""Joints that a skeleton may have."""

_REQUIRED = {"name", "joints", "parents", "center", "plane", "shoulders"}
_OPTIONAL = {"rotation_partners", "graph_parents"}


def definition_of(skeleton: Skeleton) -> dict[str, Any]:
    """The definition of a skeleton, as `build_skeleton` takes it and a YAML file has it."""
    joints, everyone = skeleton.joints, range(skeleton.joint_count)
    named = {
        "parents": {joints[joint]: joints[skeleton.parents[joint]] for joint in everyone if joint != skeleton.center},
        "rotation_partners": {joints[joint]: joints[skeleton.rotation_partners[joint]] for joint in everyone},
        "graph_parents": {joints[child]: joints[parent] for child, parent in skeleton.graph_edges},
        "plane": [joints[joint] for joint in skeleton.plane],
        "shoulders": [joints[joint] for joint in skeleton.shoulders],
    }
    return {"name": skeleton.name, "joints": list(joints), "center": joints[skeleton.center], **named}


def build_skeleton(definition: Any, location: str) -> Skeleton:
    """A skeleton from its definition: what a YAML file holds.

    Raises:
        InputError: the definition contradicts itself.
    """
    if not isinstance(definition, dict) or not _REQUIRED <= set(definition) <= _REQUIRED | _OPTIONAL:
        raise InputError(
            f"needs the keys {', '.join(sorted(_REQUIRED))} and allows {', '.join(sorted(_OPTIONAL))}",
            location=location,
        )
    if not _is_name(definition["name"]):
        raise InputError("name must be text", location=location)
    joints = definition["joints"]
    if not isinstance(joints, list) or not all(map(_is_name, joints)):
        raise InputError("joints must be a list of names; words such as no and null need quotes", location=location)
    if len(set(map(str, joints))) != len(joints) or not 4 <= len(joints) <= _LARGEST:
        raise InputError(f"joints must be a list of 4 to {_LARGEST} different names", location=location)
    number = {str(joint): index for index, joint in enumerate(joints)}

    def find(joint: Any, key: str) -> int:
        if str(joint) not in number:
            raise InputError(f"{key} names {joint!r}, which is not in joints", location=location)
        return number[str(joint)]

    def pairs(key: str) -> dict[int, int]:
        mapping = {} if definition.get(key) is None else definition[key]
        if not isinstance(mapping, dict):
            raise InputError(f"{key} must map a joint to a joint", location=location)
        return {find(child, key): find(parent, key) for child, parent in mapping.items()}

    def several(key: str, count: int) -> tuple[int, ...]:
        names = definition[key]
        if not isinstance(names, list) or not len(names) == len(set(map(str, names))) == count:
            raise InputError(f"{key} must list {count} different joints", location=location)
        return tuple(find(joint, key) for joint in names)

    center = find(definition["center"], "center")
    parent_of = pairs("parents")
    _require_tree(parent_of, center, list(number), "parents", location)
    graph_parent_of = parent_of | pairs("graph_parents")
    _require_tree(graph_parent_of, center, list(number), "graph_parents", location)
    plane = several("plane", 3)
    if center in plane:
        raise InputError("plane must not name the center, which has no bone of its own", location=location)
    partner_of = parent_of | pairs("rotation_partners")
    everyone = range(len(joints))
    return Skeleton(
        name=str(definition["name"]),
        joints=tuple(number),
        parents=tuple(parent_of.get(joint, joint) for joint in everyone),
        rotation_partners=tuple(partner_of.get(joint, joint) for joint in everyone),
        graph_edges=tuple(sorted(graph_parent_of.items())),
        center=center,
        plane=(plane[0], plane[1], plane[2]),
        shoulders=several("shoulders", 2),  # type: ignore[arg-type]
    )


def _is_name(value: Any) -> bool:
    """Whether it is text, or a number that stands for its digits. YAML reads `no` as false, and nothing as null."""
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(str(value).strip())


def _require_tree(parent_of: dict[int, int], center: int, joints: list[str], key: str, location: str) -> None:
    """Every joint but the center has a parent, and following parents leads to the center."""
    for joint, name in enumerate(joints):
        steps = 0
        while joint != center:
            if joint not in parent_of or steps > len(joints):
                raise InputError(
                    f"{key} does not lead from {name!r} to the center {joints[center]!r}", location=location
                )
            joint, steps = parent_of[joint], steps + 1
    if center in parent_of:
        raise InputError(f"{key} gives the center {joints[center]!r} a parent; it has none", location=location)
