"""The BibTeX file of all works that tables cite, and of this benchmark; `Source.key` gives the keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ikem import __version__
from ikem.encoders.registry import ENCODERS
from ikem.evaluations.registry import EVALUATIONS
from ikem.files import write_text
from ikem.methods.registry import METHODS
from ikem.registry import Source
from ikem.report.literature import full_names, published_results
from ikem.report.tex import escape
from ikem.settings.benchmark import Config

_JOURNALS = frozenset(("Pattern Recognition", "TPAMI", "TIP", "TMM", "TCSVT", "TBIOM", "Neurocomputing", "Sensors"))
_PREPRINTS = frozenset(("arXiv", "preprint", ""))
BENCHMARK = "ikembench"
"""The key of this benchmark itself."""


def all_sources(config: Config | None = None) -> list[Source]:
    """Every cited work: published values, methods, encoders, evaluations, and the datasets of a config; of published
    values only those of the datasets that the config runs, if one is given.

    Works of published values come first: of two sources with one key they have all authors and the DOI.
    """
    registered = [item.source for group in (METHODS, ENCODERS, EVALUATIONS) for item in group.values()]
    datasets = [dataset.cited for dataset in config.datasets.values()] if config else []
    others = [source for source in (*registered, *datasets) if source]
    run = {block.dataset for block in config.benchmark} if config else None
    shown = {item.work.key for item in published_results() if run is None or item.dataset in run}
    shown |= {source.key for source in others}
    return [*(item.work for item in published_results() if item.work.key in shown), *others]


def bibliography(sources: Iterable[Source], commits: Iterable[str] = ()) -> str:
    """BibTeX entries sorted by key, the benchmark itself last; of works with one key the first is taken."""
    entries: dict[str, Source] = {}
    for source in sources:
        entries.setdefault(source.key, source)
    works = [work_entry(source) for _, source in sorted(entries.items())]
    return "\n".join([*works, benchmark_entry(commits)])


def write_bibliography(path: Path, config: Config, commits: Iterable[str] = ()) -> None:
    """Write all cited works as a BibTeX file, and this benchmark with the commits that its results were computed by."""
    write_text(path, bibliography(all_sources(config), commits))


def benchmark_entry(commits: Iterable[str] = ()) -> str:
    """The BibTeX entry of this benchmark, of a kind and with fields that every style knows."""
    found = sorted({commit for commit in commits if commit})
    note = f"Version {__version__}" + (f", commit{'s' * (len(found) > 1)} {', '.join(found)}" if found else "")
    fields = {
        "author": "{The IKEM-Bench authors}",
        "title": "{IKEM-Bench}",
        "year": "2026",
        "note": note,
    }
    return _bibtex("misc", BENCHMARK, fields)


def work_entry(source: Source) -> str:
    """The BibTeX entry of a work; its authors with given names if they are known."""
    if not source.authors:
        kind, venue_field = "misc", "howpublished"
    elif source.venue in _JOURNALS:
        kind, venue_field = "article", "journal"
    elif source.venue in _PREPRINTS:
        kind, venue_field = "misc", ""
    else:
        kind, venue_field = "inproceedings", "booktitle"
    authors = [name.strip() for name in re.sub(r",? et al\.?$", ", others", source.authors).split(",")]
    fields = {
        "author": full_names().get(source.key) or " and ".join(name for name in authors if name),
        "title": f"{{{source.title}}}",
        venue_field: source.venue,
        "year": str(source.year or ""),
        "eprint": source.arxiv,
        "archiveprefix": "arXiv" if source.arxiv else "",
        "doi": source.doi,
        "key": "" if source.authors else source.title,
        "note": "" if source.authors else "Authors not known to us",
    }
    return _bibtex(kind, source.key, fields)


def _bibtex(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{value if name == 'doi' else _braced(value)}}},\n" for name, value in fields.items()
             if name and value]  # fmt: skip
    return f"@{kind}{{{key},\n{''.join(lines)}}}\n"


def _braced(text: str) -> str:
    """TeX of a field; braces that protect capitals stay."""
    inner = text.startswith("{")
    return f"{{{escape(text[1:-1])}}}" if inner else escape(text)
