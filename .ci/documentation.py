"""What the documentation site has besides docs/: a hook of MkDocs (`mkdocs.yml` names it, `make site` runs it).

Pages are generated from declarations (methods, evaluations), the schema of a config, the rules, the command line and
the docstrings; none of them is kept in git. Formulas become MathML, which browsers draw by themselves. A link from
docs/ to another file of the repository leads to a page that shows that file.
"""

from __future__ import annotations

import html
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import typer.main
import yaml
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from pymdownx.arithmatex import arithmatex_fenced_format
from pymdownx.slugs import slugify

from ikem.cli import app
from ikem.evaluations.registry import EVALUATIONS
from ikem.methods.registry import METHODS
from ikem.registry import Source
from ikem.report.literature import published_results
from ikem.settings.config_schema import config_schema
from ikem.workflow.job_types import JOB_TYPES
from ikem.yaml_loading import read_yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "ikem"
SCHEMA = config_schema()
SECTIONS: dict[str, Any] = SCHEMA["$defs"]
LIBRARY = read_yaml(PACKAGE / "published.yaml")
ALWAYS = ("CONTRIBUTING.md", "CHANGELOG.md")
"""Files outside docs/ that the navigation names."""


# Hooks of MkDocs


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Anchors of headings are those of repository hosts, ```math is a formula, folders of the navigation open."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    config.mdx_configs["pymdownx.superfences"] = {
        "custom_fences": [{"name": "math", "class": "arithmatex", "format": arithmatex_fenced_format(which="generic")}]
    }
    config.nav = _opened(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and a page for each file of the repository that a page links to."""
    pages = dict(_pages())
    written = {file.src_uri: file.content_string for file in files if file.src_uri.endswith(".md")}
    pending = [*(written | pages).items()]
    while pending:
        uri, text = pending.pop()
        for path in _linked_files(uri, text):
            if (target := f"source/{_page_of(path)}") not in pages:
                pages[target] = _source_page(path)
                pending.append((target, pages[target]))
    for uri, text in pages.items():
        level = InclusionLevel.INCLUDED if uri in _pages() else InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, uri, content=text, inclusion=level))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links to files of the repository into links to their pages."""
    return _LINK.sub(lambda found: _link(page.file.src_uri, found), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Formulas as MathML."""
    return re.sub(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', _mathml, content, flags=re.DOTALL)


def _opened(nav: Any) -> Any:
    """The navigation with each folder ("methods/") replaced by its generated pages."""
    if isinstance(nav, dict):
        return {title: _opened(item) for title, item in nav.items()}
    if not isinstance(nav, list):
        return nav
    opened: list[Any] = []
    for item in nav:
        if isinstance(item, str) and item.endswith("/"):
            opened += [uri for uri in _pages() if uri.startswith(item)]
        else:
            opened.append(_opened(item))
    return opened


def _mathml(found: re.Match[str]) -> str:
    formula = html.unescape(found[2]).strip()
    written = convert(formula, display="block" if found[1] == "div" else "inline")
    if "\\" in written or "&amp;" in written:
        raise ValueError(f"latex2mathml cannot write this formula: {formula}")
    return f'<div class="formula">{written}</div>' if found[1] == "div" else written


# Links to files of the repository

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def _repository_file(uri: str, target: str) -> str | None:
    """The path in the repository that a link of a page means; None: the link is none to a file outside docs/."""
    path, _, _ = target.partition("#")
    if not path or re.match(r"[a-z]+:|/", path):
        return None
    base = posixpath.dirname(uri.removeprefix("source/") if uri.startswith("source/") else f"docs/{uri}")
    found = posixpath.normpath(posixpath.join(base, path))
    return found if not found.startswith("docs/") and (ROOT / found).is_file() else None


def _linked_files(uri: str, text: str) -> Iterator[str]:
    for _, target in _LINK.findall(_without_code(text)):
        if path := _repository_file(uri, target):
            yield path


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def _page_of(path: str) -> str:
    return path if path.endswith(".md") else f"{path}.md"


def _link(uri: str, found: re.Match[str]) -> str:
    text, target = found.groups()
    folder = posixpath.dirname(uri)
    if path := _repository_file(uri, target):
        page = f"source/{_page_of(path)}"
    elif uri.startswith("source/") and not re.match(r"[a-z]+:|#", target):
        base = posixpath.dirname(uri.removeprefix("source/"))
        page = posixpath.normpath(posixpath.join(base, target)).removeprefix("docs/")
        folder = posixpath.dirname(uri)
    else:
        return found[0]
    anchor = target[target.index("#") :] if "#" in target and target.partition("#")[0].endswith(".md") else ""
    return f"[{text}]({posixpath.relpath(page.partition('#')[0], folder or '.')}{anchor})"


def _source_page(path: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    language = {".py": "python", ".yaml": "yaml", ".json": "json", ".csv": "text"}.get(Path(path).suffix, "text")
    return f"# {path}\n\n````{language}\n{text}\n````\n"


# Generated pages


@cache
def _pages() -> dict[str, str]:
    """Every generated page but those of linked files, in the order of the navigation."""
    pages = {f"methods/{kind}.md": _method(kind) for kind in METHODS}
    pages |= {f"evaluations/{kind}.md": _evaluation(kind) for kind in EVALUATIONS}
    pages |= {
        "reference/configuration.md": _configuration(),
        "reference/rules.md": _rules(),
        "reference/commands.md": _commands(),
    }
    pages |= {f"source/{path}": _source_page(path) for path in ALWAYS}
    return pages | dict(_api())


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), ["---"] * len(list(head)), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(" ".join(cell.split()) for cell in line) + " |" for line in lines)


def _source(source: Source | None) -> str:
    return "" if source is None else f"**Source.** {source}.\n"


def _method(kind: str) -> str:
    method = METHODS[kind]
    entries = {name: entry for name, entry in LIBRARY["methods"].items() if entry["kind"] == kind}
    stages = [
        f"**[`{stage.name}`](../reference/rules.md#{stage.name})**: {stage.summary} "
        + ("There is a job for each modality" if stage.per_modality else "There is one job for all modalities")
        + (", shared by all methods of a recipe. " if stage.shared else ". ")
        + "".join(f"It starts from `{before.name}`. " for before in stage.follows)
        + f"Trainer: `{stage.trainer}`."
        for stage in method.stages
    ]
    parts = [
        f"# {method.title}",
        method.summary,
        f"`kind: {kind}` in the [`methods`](../reference/configuration.md#methods) of a config. The formulas, "
        "and where the published code differs: [The method](../method.md).",
        _source(method.source),
        _may(method),
        "## Stages\n\n" + "\n\n".join(stages),
        "## Options\n\n" + _options(method.options.__name__, "../reference/configuration.md"),
        _entries("methods", entries),
        _published(entry["published_as"] for entry in entries.values() if "published_as" in entry),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _may(method: Any) -> str:
    ranked = "Tables rank it." if method.ranked else "Tables show it as a floor or ceiling, and never rank it."
    return ranked + (" It may be the `teacher` of a relational distillation." if method.teaches else "")


def _evaluation(kind: str) -> str:
    evaluation = EVALUATIONS[kind]
    runs_on = {
        "embeddings": "embeddings, which are computed once for each method",
        "frozen-encoder": "frozen encoders, which embed further clips",
        "encoder": "encoders, which it trains further",
    }[evaluation.runs_on]
    entries = {name: entry for name, entry in LIBRARY["evaluations"].items() if entry["kind"] == kind}
    parts = [
        f"# {kind}",
        SECTIONS[evaluation.options.__name__]["description"],
        f"`kind: {kind}` in the [`evaluations`](../reference/configuration.md#evaluations) of a config; its rule is "
        f"[`{kind}`](../reference/rules.md#{kind}). {evaluation.summary}",
        f"It runs on {runs_on}. Metrics, the headline first: "
        + ", ".join(f"`{name}`" for name in evaluation.metrics)
        + ". What is what: [Results](../results.md).",
        _source(evaluation.source),
        "## Options\n\n" + _options(evaluation.options.__name__, "../reference/configuration.md"),
        _entries("evaluations", entries),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _entries(group: str, entries: Mapping[str, Any]) -> str:
    if not entries:
        return ""
    text = yaml.safe_dump({group: entries}, sort_keys=False, default_flow_style=None, width=100)
    return f"## Entries of the library\n\nA config may name these, or change single keys of them.\n\n```yaml\n{text}```"


def _published(names: Iterable[str]) -> str:
    wanted = set(names)
    rows = [
        (
            item.streams,
            item.dataset,
            item.protocol,
            item.evaluation,
            item.top1,
            item.selection or "not stated",
            item.source,
        )
        for item in published_results()
        if item.method in wanted
    ]
    head = ("streams", "dataset", "split", "evaluation", "top-1, %", "epoch", "read in")
    known = "How they were collected: [Published values](../published.md)."
    return f"## Published values\n\n{known}\n\n{_table(head, rows)}" if rows else ""


# The schema of a config


def _anchor(name: str) -> str:
    return f"section-{name.lower()}"


def _options(section: str, page: str = "") -> str:
    head = ("key", "meaning", "type", "default")
    return _table(head, [_row(key, value, page) for key, value in SECTIONS[section]["properties"].items()])


def _row(key: str, value: Mapping[str, Any], page: str) -> tuple[str, str, str, str]:
    default = f"`{_short(value['default'])}`" if "default" in value else "-"
    return f"`{key}`", _cell(value["description"]), _type(value, page), default


def _short(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
    return (text if len(text) <= 60 else text[:57] + "...").replace("|", "\\|")


def _cell(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "\\|").replace("*", "\\*")


def _type(value: Mapping[str, Any], page: str) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}]({page}#{_anchor(name)})"
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{item}`" for item in value["enum"])
    for union in ("anyOf", "oneOf"):
        if union in value:
            return " or ".join(_type(item, page) for item in value[union])
    if "patternProperties" in value:
        (entry,) = value["patternProperties"].values()
        return f"by name: {_type(entry, page)}"
    if value.get("type") == "array":
        items = value.get("prefixItems") or [value["items"]]
        return "list of: " + ", ".join(dict.fromkeys(_type(item, page) for item in items))
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "section"}
    return words.get(value.get("type", ""), value.get("type", "anything")) + _bounds(value)


def _bounds(value: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    found = [f"{word} {value[key]:,}" for key, word in words.items() if key in value]
    return f", {', '.join(found)}" if found else ""


def _named(value: Any) -> Iterator[str]:
    """The sections that a part of the schema refers to, in order."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for item in value.values():
            yield from _named(item)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item)


def _configuration() -> str:
    parts = [
        "# Configuration",
        "Every key of a config, with its type, its default and its meaning. A config is laid over the published "
        "entries of the library, so an entry that changes one key of them needs no other. How files are written, and "
        "combined: [config/README.md](../../config/README.md). As JSON Schema, for editors: `python -m ikem schema`.",
    ]
    shown: set[str] = set()

    def section(name: str) -> Iterator[str]:
        if name in shown:
            return
        shown.add(name)
        properties = SECTIONS[name]["properties"]
        yield f"### {name} {{#{_anchor(name)}}}\n\n{_cell(SECTIONS[name]['description'])}\n\n{_options(name)}"
        for other in dict.fromkeys(_named(properties)):
            yield from section(other)

    for key, value in SCHEMA["properties"].items():
        _, meaning, kind, default = _row(key, value, "")
        parts.append(f"## {key}\n\n{meaning}\n\nType: {kind}. Default: {default}.")
        for name in dict.fromkeys(_named(value)):
            parts += section(name)
    if missing := set(SECTIONS) - shown:
        raise ValueError(f"sections of the schema that no key leads to: {sorted(missing)}")
    return "\n\n".join(parts) + "\n"


# Rules and commands


def _rules() -> str:
    """Rules as Snakemake lists them; what a job reads and writes as the package's job types say."""
    command = [sys.executable, "-m", "snakemake", "--list", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    rules = dict(re.findall(r"^(\w+)(?: \((.*)\))?$", done.stdout, re.MULTILINE))
    groups: dict[str, list[str]] = {"data": [], "train": [], "evaluate": [], "report": []}
    for name in rules:
        if name in JOB_TYPES:
            groups[JOB_TYPES[name].group].append(name)
    titles = {"data": "Data", "train": "Training", "evaluate": "Evaluation", "report": "Report"}
    parts = [
        "# Rules",
        "`snakemake NAME` asks for a rule without wildcards, `snakemake PATH` for a file. Each rule below is one job "
        "type, which `python -m ikem status` names by the same word. Training rules follow from the stages of the "
        "registered methods, evaluation rules from the registered evaluations. Outputs are below the results folder.",
        "## To ask for",
        _table(
            ("rule", "what it does"), [(f"`{name}`", text) for name, text in rules.items() if name not in JOB_TYPES]
        ),
    ]
    for group, names in groups.items():
        if names:
            parts.append(f"## {titles[group]}\n\nResources: `compute.{group}` of the config.")
            parts += [f"### {name}\n\n{rules[name]}\n\nOutput: `{JOB_TYPES[name].output}`" for name in names]
    return "\n\n".join(parts) + "\n"


def _commands() -> str:
    parts = ["# Commands", "What `python -m ikem` can do; `python -m ikem COMMAND --help` says the same."]
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        rows = [
            (f"`{' '.join(item.opts) if item.opts[0].startswith('-') else item.name.upper()}`", _cell(item.help or ""))
            for item in command.params
            if getattr(item, "help", None) or not item.opts[0].startswith("-")
        ]
        table = _table(("argument or option", "meaning"), rows) if rows else ""
        parts.append(f"## {name}\n\n{_cell(command.help or '')}\n\n{table}")
    return "\n\n".join(parts) + "\n"


# The Python API


def _api() -> Iterator[tuple[str, str]]:
    """A page for each part of the package: its modules, from their docstrings."""
    modules = [_module(path) for path in sorted(PACKAGE.rglob("*.py"), key=lambda path: path.parts)]
    parts: dict[str, list[str]] = {}
    for name in modules:
        if any(word.startswith("_") for word in name.split(".")):
            continue
        part = name.split(".")[1] if name.count(".") > 1 or (PACKAGE / name.split(".")[-1]).is_dir() else "modules"
        parts.setdefault("modules" if name == "ikem" else part, []).append(name)
    for part, names in sorted(parts.items(), key=lambda item: item[0] != "modules"):
        title = "ikem" if part == "modules" else f"ikem.{part}"
        yield f"api/{part}.md", f"# {title}\n\n" + "\n\n".join(f"::: {name}" for name in names) + "\n"


def _module(path: Path) -> str:
    words = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)
