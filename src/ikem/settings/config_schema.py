"""JSON Schema of a config file, for editors and for reading: every key, its default, its meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ikem.settings.benchmark import Block, Config

_NOT_LAID_OVER = (Config.__name__, Block.__name__)
"""The sections that a published entry never completes: their required keys must be in the file."""


def config_schema() -> dict[str, Any]:
    """The schema of a file, which may give single keys of an entry and leave the others to the library.

    The schema of a whole config (`Config.model_json_schema()`) asks each entry for all its required keys, `kind` too.
    Here these are optional and their descriptions name them; a method or an evaluation may fit any kind. A `kind`
    without a description has that of its section.
    """
    schema = Config.model_json_schema()
    for name, section in (*schema["$defs"].items(), (schema["title"], schema)):
        if "kind" in section["properties"]:  # what it chooses, for whoever reads the key in an editor
            section["properties"]["kind"].setdefault("description", section["description"].split("\n\n")[0])
        for key in section.get("required", ()) if name not in _NOT_LAID_OVER else ():
            value = section["properties"][key]
            value["description"] = f"{value.get('description', '')} Required in an entry of your own.".strip()
        if name not in _NOT_LAID_OVER:
            section.pop("required", None)
    for node in _nodes(schema):
        if "patternProperties" in node:  # names of entries
            node["additionalProperties"] = False
        if "discriminator" in node:
            del node["discriminator"]
            node["anyOf"] = node.pop("oneOf")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in list(value.values()):
            yield from _nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item)
