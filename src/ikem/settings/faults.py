"""Faults of a config in words: one line each, with the whole key, the value, and what is allowed or was meant."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from ikem.registry import nearest
from ikem.settings.benchmark import Config

_WANTED = {
    "int_type": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "int_parsing_size": "a whole number is needed, and of fewer digits",
    "float_type": "a number is needed",
    "float_parsing": "a number is needed",
    "finite_number": "a finite number is needed",
    "bool_type": "true or false is needed",
    "string_type": "text is needed; put it into quotes",
    "string_unicode": "text is needed that can be written as UTF-8",
    "string_too_long": "at most {max_length} characters are allowed",
    "too_short": "at least {min_length} value is needed",
    "too_long": "at most {max_length} values are allowed",
    "model_type": "a mapping of keys is needed",
    "dict_type": "a mapping of keys is needed",
    "greater_than_equal": "it must be at least {ge:.15g}",
    "greater_than": "it must be more than {gt:.15g}",
    "less_than_equal": "it must be at most {le:.15g}",
    "less_than": "it must be less than {lt:.15g}",
}
"""What is said in place of the words of the validating library, by its type of error."""


def faults_of(error: ValidationError) -> list[str]:
    """A line for each fault, each once; it begins with the key and ": "."""
    items: list[dict[str, Any]] = [dict(item) for item in error.errors(include_url=False)]
    # A list of faulty parts is also called too short, since none of them is counted.
    items = [item for item in items if item["type"] != "too_short" or len(item["input"]) < item["ctx"]["min_length"]]
    lines = [line for item in items for line in _fault(item).split("\n")]
    return list(dict.fromkeys(lines))


def _fault(item: dict[str, Any]) -> str:
    path, value, message = _keys(item["loc"]), item.get("input"), str(item["msg"]).removeprefix("Value error, ")
    key, kind = ".".join(path) or "config", item["type"]
    if kind == "value_error" and not path:
        return message
    if kind == "value_error" and isinstance(value, dict):  # of a whole section: the message begins with the key
        return f"{key}.{message}"
    if kind == "extra_forbidden":
        allowed = _allowed(item["loc"][:-1])
        return f"{key}: unknown key (value {_short(value)}){nearest(path[-1], allowed)}; allowed are {_list(allowed)}"
    if kind == "missing":
        return f"{key}: is missing; it must be given"
    if kind == "union_tag_not_found":
        return f"{key}.kind: is missing; allowed are {_list(map(repr, _allowed(item['loc'])))}"
    if kind == "union_tag_invalid":
        tag, allowed = item["ctx"]["tag"], _allowed(item["loc"])
        return f"{key}.kind: {tag!r} is not known{nearest(tag, allowed)}; allowed are {_list(map(repr, allowed))}"
    if kind == "string_pattern_mismatch" and path and path[-1] == "[key]":
        return f"{'.'.join(path[:-1])}: not a name; allowed are letters, digits, '_', '.', '-', at most 64"
    if kind == "literal_error":
        allowed = [word.strip("'") for word in item["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"{key}: {_short(value)} is not known{nearest(value, allowed)}; allowed are {item['ctx']['expected']}"
    if kind in ("tuple_type", "list_type"):
        example = f"[{value}]" if isinstance(value, int | float | str) and len(str(value)) < 40 else "[first, second]"
        return f"{key}: {_short(value)} is not allowed; a list is needed, such as {example}"
    if kind in _WANTED:
        message = _WANTED[kind].format(**item.get("ctx", {}))
    return f"{key}: {_short(value)} is not allowed; {message}"


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@functools.cache
def _schema() -> dict[str, Any]:
    return Config.model_json_schema()


def _keys(location: tuple[Any, ...]) -> list[str]:
    """The keys of a config on the way to a fault; pydantic adds the kind of each union on the way."""
    node: dict[str, Any] = _schema()
    keys = []
    for part in location:
        node = _dereferenced(node)
        if part in node.get("discriminator", {}).get("mapping", {}):
            node = {"$ref": node["discriminator"]["mapping"][part]}
        else:
            keys.append(str(part))
            node = _child(node, str(part))
    return keys


def _allowed(location: tuple[Any, ...]) -> list[str]:
    """The keys that the section at `location` knows, or, where no kind is chosen, the kinds."""
    node: dict[str, Any] = _schema()
    for part in location:
        node = _dereferenced(node)
        mapping = node.get("discriminator", {}).get("mapping", {})
        node = {"$ref": mapping[part]} if part in mapping else _child(node, str(part))
    found = _dereferenced(node)
    return sorted(found.get("properties", {}) or found.get("discriminator", {}).get("mapping", {}))


def _child(node: dict[str, Any], key: str) -> dict[str, Any]:
    """The schema of a key, of an entry of a mapping, or of an item of a list; empty if there is none."""
    if key in node.get("properties", {}):
        return dict(node["properties"][key])
    if "patternProperties" in node:
        return dict(next(iter(node["patternProperties"].values())))
    found = node.get("additionalProperties") or node.get("items") or {}
    return dict(found) if isinstance(found, dict) else {}


def _dereferenced(node: dict[str, Any]) -> dict[str, Any]:
    """Follow references and optional values."""
    while True:
        if "$ref" in node:
            node = _schema()["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif "allOf" in node:
            node = node["allOf"][0]
        elif "anyOf" in node:
            node = next(option for option in node["anyOf"] if option.get("type") != "null")
        else:
            return node
