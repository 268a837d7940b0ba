"""Reading a config: laid over the library of published entries, validated, faults told in one line each.

The library is `published.yaml` and `datasets/*.yaml` of the package: a config names what it uses from there, changes
single keys of it, or adds entries of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ikem.errors import InputError
from ikem.settings.benchmark import Config


def load_config(*paths: str | Path) -> Config:
    """Read YAML files, each laid over those before it, and validate the whole.

    Raises:
        InputError: a file cannot be read, or the config is not valid; one line for each fault.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"config cannot be read ({' '.join(str(error).split())})", location=str(path)) from error
        if not isinstance(loaded, dict):
            raise InputError("config must be a mapping of keys", location=str(path))
        merged = _lay_over(merged, loaded)
    return build_config(merged, location=", ".join(map(str, paths)))


def build_config(values: Mapping[str, Any], location: str = "config") -> Config:
    """Validate a config that is already in memory (as Snakemake has it).

    Raises:
        InputError: the config is not valid; one line for each fault.
    """
    try:
        return Config.model_validate(_lay_over(_library(), values))
    except ValidationError as error:
        faults = dict.fromkeys(_fault(dict(item)) for item in error.errors())
        raise InputError(f"\n{location}: ".join(faults), location=location) from None


def _library() -> dict[str, Any]:
    package = resources.files("ikem")
    library: dict[str, Any] = yaml.safe_load((package / "published.yaml").read_text(encoding="utf-8"))
    library["datasets"] = {
        Path(entry.name).stem: yaml.safe_load(entry.read_text(encoding="utf-8"))
        for entry in sorted((package / "datasets").iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }
    return library


def _lay_over(below: Any, above: Any) -> Any:
    """Mappings are merged key by key, everything else is replaced."""
    if isinstance(below, dict) and isinstance(above, Mapping):
        return below | {key: _lay_over(below.get(key), value) for key, value in above.items()}
    return dict(above) if isinstance(above, Mapping) else above


def _fault(item: dict[str, Any]) -> str:
    """One line: the key, the value, what is allowed."""
    path = _keys(item["loc"])
    key = ".".join(path) or "config"
    kind, message, value = item["type"], str(item["msg"]), item.get("input")
    if kind == "value_error" and not path:
        return message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"{key}: unknown key (value {_short(value)}); allowed are {', '.join(_allowed(item['loc'][:-1]))}"
    if kind == "missing":
        return f"{key}: is missing; it must be given"
    if kind == "union_tag_not_found":
        return f"{key}.kind: is missing; allowed are {', '.join(map(repr, _allowed(item['loc'])))}"
    if kind == "union_tag_invalid":
        return f"{key}.kind: {item['ctx']['tag']!r} is not known; allowed are {item['ctx']['expected_tags']}"
    if kind == "string_pattern_mismatch" and path and path[-1] == "[key]":
        return f"{'.'.join(path[:-1])}: not a name; allowed are letters, digits, '_', '.', '-', at most 64"
    return f"{key}: {_short(value)} is not allowed; {message.removeprefix('Value error, ')}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys(location: tuple[Any, ...]) -> list[str]:
    """The keys of a config on the way to a fault; pydantic adds the kind of each union on the way."""
    schema = Config.model_json_schema()
    node: dict[str, Any] = schema
    keys = []
    for part in location:
        node = _dereferenced(node, schema)
        if part in node.get("discriminator", {}).get("mapping", {}):
            node = {"$ref": node["discriminator"]["mapping"][part]}
        else:
            keys.append(str(part))
            node = _child(node, str(part))
    return keys


def _allowed(location: tuple[Any, ...]) -> list[str]:
    """The keys that the section at `location` knows, or, where no kind is chosen, the kinds."""
    schema = Config.model_json_schema()
    node: dict[str, Any] = schema
    for part in location:
        node = _dereferenced(node, schema)
        mapping = node.get("discriminator", {}).get("mapping", {})
        node = {"$ref": mapping[part]} if part in mapping else _child(node, str(part))
    found = _dereferenced(node, schema)
    return sorted(found.get("properties", {}) or found.get("discriminator", {}).get("mapping", {}))


def _child(node: dict[str, Any], key: str) -> dict[str, Any]:
    """The schema of a key, of an entry of a mapping, or of an item of a list; empty if there is none."""
    if key in node.get("properties", {}):
        return dict(node["properties"][key])
    if "patternProperties" in node:
        return dict(next(iter(node["patternProperties"].values())))
    found = node.get("additionalProperties") or node.get("items") or {}
    return dict(found) if isinstance(found, dict) else {}


def _dereferenced(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references and optional values."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif "allOf" in node:
            node = node["allOf"][0]
        elif "anyOf" in node:
            node = next(option for option in node["anyOf"] if option.get("type") != "null")
        else:
            return node
