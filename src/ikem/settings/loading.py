"""Reading a config: laid over the library of published entries, validated, faults reported in one line each.

The library is `published.yaml` and `datasets/*.yaml` of the package: a config names what it uses from there, changes
single keys of it, or adds entries of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ikem.errors import InputError
from ikem.settings.benchmark import Config
from ikem.settings.faults import faults_of
from ikem.yaml_loading import load_yaml, read_yaml

AS_WRITTEN = frozenset({"train", "test", "class_names"})
"""Keys whose lists are texts as written: a session 010 or 1.10, a class "on"."""

_MOST = 20
"""Faults that one message lists."""

Source = tuple[str, Mapping[str, Any]]
"""A config file by its name, or "--config", and its values."""


def load_config(*paths: str | Path, changes: Mapping[str, Any] | None = None) -> Config:
    """Read YAML files, each laid over those before it, and validate the whole.

    Args:
        paths: the files.
        changes: values of a command line (`--config KEY=VALUE`), laid over the files.

    Raises:
        InputError: a file cannot be read, or the config is not valid; one line for each fault, with the file that has
            the key.
    """
    sources: list[Source] = []
    for path in paths:
        values = read_yaml(path, AS_WRITTEN)
        if not isinstance(values, dict):
            raise InputError("config must be a mapping of keys", location=str(path))
        sources.append((str(path), values))
    return _build([*sources, *([("--config", changes)] if changes else [])])


def build_config(values: Mapping[str, Any], location: str = "config") -> Config:
    """Validate a config that is already in memory.

    Raises:
        InputError: the config is not valid; one line for each fault.
    """
    return _build([(location, values)])


def command_line_values(values: Any) -> Any:
    """What `--config KEY=VALUE` says, which arrives as text, as a config file would have it."""
    if isinstance(values, Mapping):
        return {name: command_line_values(part) for name, part in values.items()}
    if isinstance(values, list | tuple):
        return [command_line_values(part) for part in values]
    return load_yaml(values, "--config", AS_WRITTEN) if isinstance(values, str) else values


def _build(sources: Sequence[Source]) -> Config:
    merged: Any = _library()
    for _, values in sources:
        merged = _lay_over(merged, values)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        faults = [(_origin(fault, sources), fault) for fault in faults_of(error)]
        lines = [fault if number == 0 else f"{name}: {fault}" for number, (name, fault) in enumerate(faults[:_MOST])]
        lines += [f"and {len(faults) - _MOST} more"] if len(faults) > _MOST else []
        raise InputError("\n".join(lines), location=faults[0][0]) from None


def _origin(fault: str, sources: Sequence[Source]) -> str:
    """The last of the files that have most of the key with which a fault begins."""
    key = fault.split(": ", 1)[0]
    return max(reversed(sources), key=lambda source: _known_part(source[1], key))[0]


def _known_part(values: Any, key: str) -> int:
    """How many characters of a dotted key lead to a value; names of entries may have dots, too."""
    if isinstance(values, list | tuple):
        values = {str(number): value for number, value in enumerate(values)}
    if not isinstance(values, Mapping):
        return 0
    names = [str(name) for name in values if key == str(name) or key.startswith(f"{name}.")]
    parts = {str(name): value for name, value in values.items()}
    return max((len(name) + _known_part(parts[name], key[len(name) + 1 :]) for name in names), default=0)


def _library() -> dict[str, Any]:
    package = resources.files("ikem")
    library: dict[str, Any] = load_yaml((package / "published.yaml").read_text(encoding="utf-8"), "published.yaml")
    library["datasets"] = {
        Path(entry.name).stem: load_yaml(entry.read_text(encoding="utf-8"), entry.name, AS_WRITTEN)
        for entry in sorted((package / "datasets").iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }
    return library


def _lay_over(below: Any, above: Any, depth: int = 0) -> Any:
    """Mappings are merged key by key, everything else is replaced; so is, within an entry (section, name, key), a
    mapping of another `kind`, whose keys mean nothing for the new one.
    """
    if not isinstance(above, Mapping):
        return above
    if not isinstance(below, dict):
        return dict(above)
    if depth >= 3 and "kind" in below and "kind" in above and below["kind"] != above["kind"]:
        return dict(above)
    return below | {key: _lay_over(below.get(key), value, depth + 1) for key, value in above.items()}
