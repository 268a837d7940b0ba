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
from ikem.settings import Config


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


_KINDS = {"skeletonclr", "crossclr", "ikem", "student", "random", "supervised", "linear", "knn", "finetune", "semi"}


def _fault(item: dict[str, Any]) -> str:
    """One line: the key, the value, what is allowed."""
    # Pydantic puts the chosen kind of an entry into the path, behind the entry's name; a config has no such key.
    path = [str(part) for place, part in enumerate(item["loc"]) if not (part in _KINDS and place == 2)]
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


def _allowed(location: tuple[Any, ...]) -> list[str]:
    """The keys that the section at `location` knows, or, where no kind is chosen, the kinds."""
    schema = Config.model_json_schema()
    node: dict[str, Any] = schema
    for part in location:
        node = _resolve(node, schema, part)
        if "properties" in node and str(part) in node["properties"]:
            node = node["properties"][str(part)]
        elif isinstance(node.get("additionalProperties"), dict):
            node = node["additionalProperties"]
        elif "patternProperties" in node:
            node = next(iter(node["patternProperties"].values()))
        elif "items" in node:
            node = node["items"]
    found = _resolve(node, schema, None)
    return sorted(found.get("properties", {}) or found.get("discriminator", {}).get("mapping", {}))


def _resolve(node: dict[str, Any], schema: dict[str, Any], part: Any) -> dict[str, Any]:
    """Follow references, optional values and, where `part` names one, a kind."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif "allOf" in node:
            node = node["allOf"][0]
        elif "discriminator" in node:
            mapping = node["discriminator"]["mapping"]
            if part not in mapping:
                return node
            node = {"$ref": mapping[part]}
        elif "anyOf" in node:
            node = next(option for option in node["anyOf"] if option.get("type") != "null")
        else:
            return node
