"""Malformed configs and skeleton files, and what an accepted one has to be."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml
from tests.fuzz.mutations import mutated_yaml

from ikem.settings.loading import load_config
from ikem.skeleton import load_skeleton
from ikem.workflow.advice import advice_on
from ikem.workflow.plan import Plan

ROOT = Path(__file__).parents[2]
CONFIGS = [*sorted((ROOT / "config").glob("*.yaml")), ROOT / "tests" / "configs" / "tiny.yaml"]
SKELETONS = sorted((ROOT / "src" / "ikem" / "skeletons").glob("*.yaml"))


def config(draw: random.Random, folder: Path) -> str | None:
    """Read a malformed config, build its plan, and compare what it holds with what the file says."""
    source = draw.choice(CONFIGS)
    path = folder / "config.yaml"
    path.write_bytes(mutated_yaml(draw, source.read_text(encoding="utf-8")))
    loaded = load_config(path)
    plan = Plan(loaded)
    plan.all_jobs()
    advice_on(plan)
    found = loaded.model_dump(mode="json")
    for key, text in leaves(yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)):
        if not same(value_at(found, key), text):
            return f"{'.'.join(key)} is {value_at(found, key)!r}, the file says {text!r}"
    return None


def skeleton(draw: random.Random, folder: Path) -> str | None:
    """Read a malformed skeleton file; an accepted one has as many joints and bones as the file says."""
    path = folder / "skeleton.yaml"
    path.write_bytes(mutated_yaml(draw, draw.choice(SKELETONS).read_text(encoding="utf-8")))
    loaded = load_skeleton(str(path))
    said = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    if list(loaded.joints) != said["joints"]:
        return f"joints are {loaded.joints}, the file says {said['joints']}"
    bones = {loaded.joints[v]: loaded.joints[parent] for v, parent in enumerate(loaded.parents) if v != parent}
    return None if bones == said["parents"] else f"parents are {bones}, the file says {said['parents']}"


def leaves(node: Any, key: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    """Every scalar of a file with its path; a key given twice is here twice. What `<<` brings is left out."""
    if isinstance(node, yaml.MappingNode):
        return [leaf for name, value in node.value if name.value != "<<" for leaf in leaves(value, (*key, name.value))]
    if isinstance(node, yaml.SequenceNode):
        return [leaf for number, value in enumerate(node.value) for leaf in leaves(value, (*key, str(number)))]
    return [(key, node.value)] if node is not None else []


def value_at(found: Any, key: tuple[str, ...]) -> Any:
    """The value of a path in mappings and lists; None if there is none."""
    for part in key:
        try:
            found = found[int(part)] if isinstance(found, list) else found.get(part)
        except (ValueError, IndexError, AttributeError):
            return None
    return found


def same(value: Any, text: str) -> bool:
    """Whether a value of a config is what a scalar of its file says."""
    if isinstance(value, bool):
        return text.lower() in (("true", "yes", "on") if value else ("false", "no", "off"))
    if value is None or value in ({}, []):
        return text.lower() in ("", "~", "null")
    if isinstance(value, int | float):
        return float(value) == float(text)
    return bool(value == text or value == str(Path(text)))
