"""Reading YAML written by others: a safe subset, bounded in size, depth and length, and one clear error for the rest.

What differs from PyYAML's SafeLoader: numbers are written as in YAML 1.2 (`1e-3` is a number; `010`, `1:30`, `1_000`
and dates are text), a key given twice is an error, tags other than `!!str` are errors, and aliases are bounded by what
they would be when written out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from ikem.errors import InputError

SIZE_LIMIT = 1 << 20
"""Characters of a text, also with each alias replaced by what it stands for."""

DEPTH_LIMIT = 50
"""Mappings and lists inside one another."""

DIGIT_LIMIT = 40
"""Characters of a number."""

_STRING = "tag:yaml.org,2002:str"


class _Loader(yaml.CSafeLoader):
    """libyaml's parser, which does not recurse, with the scalars of YAML 1.2 and the checks of this module."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[Any, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _error("a key must be text", key)
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if (before := first.setdefault(key.value, key)) is not key:
                line = before.start_mark.line + 1
                raise _error(f"the key {key.value[:60]!r} is given twice, first in line {line}", key)
        return super().construct_mapping(node, deep)

    def number(self, node: yaml.ScalarNode) -> int | float:
        if len(node.value) > DIGIT_LIMIT:
            raise _error(f"a number of {len(node.value)} characters; at most {DIGIT_LIMIT} are read", node)
        return int(node.value) if node.tag.endswith("int") else float(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.number)
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", list("yYnNtTfFoO")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"\A(?:{_pattern})\Z"), _first)


def load_yaml(text: str, location: str, as_written: frozenset[str] = frozenset()) -> Any:
    """The value of a YAML document.

    Args:
        text: the document.
        location: what errors name.
        as_written: keys whose lists are lists of texts: `[010, 1.10, no]` is ["010", "1.10", "no"].

    Raises:
        InputError: it is not YAML of this kind; the message names the line.
    """
    if len(text) > SIZE_LIMIT:
        raise InputError(f"is longer than {SIZE_LIMIT} characters", location=location)
    try:
        _check_events(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _measure(node, as_written, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise InputError(f"is not YAML that can be used ({_words(error)})", location=location) from None


def read_yaml(path: str | Path, as_written: frozenset[str] = frozenset()) -> Any:
    """The value of a YAML file; see `load_yaml`.

    Raises:
        InputError: it cannot be read, or is not YAML of this kind.
    """
    return load_yaml(read_text(path), str(path), as_written)


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, as much of it as `load_yaml` needs to see that it is too long.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a path that the system refuses
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be read ({reason})", location=str(path)) from error


def _error(problem: str, node: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _words(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    parts = [getattr(error, name, None) for name in ("context", "problem", "reason")]
    problem = " ".join(" ".join(filter(None, parts)).split()) or "it cannot be read"
    return f"line {mark.line + 1}: {problem}" if mark is not None else problem


def _check_events(text: str) -> None:
    """Depth and tags, before libyaml's composer, which recurses, sees the text."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        tag = getattr(event, "tag", None)
        if tag not in (None, "!", _STRING):
            raise _error(f"the tag {tag[:60]!r} is not allowed; values are written without tags", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                raise _error(f"lists and mappings more than {DEPTH_LIMIT} deep", event)
        depth -= isinstance(event, yaml.CollectionEndEvent)


def _measure(node: yaml.Node, as_written: frozenset[str], known: dict[int, tuple[int, int]], depth: int = 0) -> None:
    """Bound the size and the depth with aliases written out; make text of the lists of `as_written`."""
    if depth > DEPTH_LIMIT:  # also of an alias inside what it stands for
        raise _error(f"aliases lead more than {DEPTH_LIMIT} deep", node)
    if id(node) in known:
        return
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            parts += [key, value]
            if isinstance(key, yaml.ScalarNode) and key.value in as_written:
                _take_as_written(value)
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    for part in parts:
        _measure(part, as_written, known, depth + 1)
    size = 1 + sum(known[id(part)][0] for part in parts) + (len(node.value) if not parts else 0)
    height = 1 + max((known[id(part)][1] for part in parts), default=0)
    if size > SIZE_LIMIT or height > DEPTH_LIMIT + 1:
        what = f"more than {SIZE_LIMIT} characters" if size > SIZE_LIMIT else f"more than {DEPTH_LIMIT} deep"
        raise _error(f"with aliases written out it is {what}", node)
    known[id(node)] = size, height


def _take_as_written(node: yaml.Node) -> None:
    for item in node.value if isinstance(node, yaml.SequenceNode) else []:
        if isinstance(item, yaml.ScalarNode):
            item.tag = _STRING
