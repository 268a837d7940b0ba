"""The report: one HTML page that opens with the main table, and ends with how every result came about.

All that comes from data, configs or logs is escaped, and the page's own policy forbids scripts.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from ikem import __version__
from ikem.errors import InputError
from ikem.files import write_text
from ikem.report.datasets import HEADER, DatasetCounts
from ikem.report.html import as_html
from ikem.report.kinds import KINDS
from ikem.report.labels import Naming
from ikem.report.records import facts_of, job_lines, kind_lines, read_records
from ikem.report.results import read_results
from ikem.report.style import DPI, Drawn, read_index
from ikem.report.table_parts import Table
from ikem.report.tables import read_tables, without_single_streams

_INLINE_BYTES = 8 << 20
"""Figures of more bytes than this in all are linked instead of carried inside the page."""
_FOLDED = ("confusion", "gains", "agreement", "curves")
"""Kinds of figures of which there are many: the page shows them when asked."""


def write_page(
    results: Path,
    path: Path,
    naming: Naming,
    *,
    figures: Path,
    runs: Sequence[Path] = (),
    config: Mapping[str, Any] | None = None,
    title: str = "IKEM-Bench results",
    counts: Sequence[DatasetCounts] = (),
    words: Mapping[str, Sequence[str]] | None = None,
    comparisons: Table | None = None,
) -> None:
    """Write the report.

    The figures are inside the page (data URIs), unless there are so many that it would grow past some 11 MB; then they
    are linked relative to it, and the page must stay where it is.

    Args:
        results: the long table, results.csv.
        path: the HTML file.
        naming: titles and order.
        figures: folder that `write_figures` filled.
        runs: run.json files of the jobs; one that cannot be read is named in the page.
        config: the resolved config, shown as YAML.
        counts: clips of each dataset.
        words: what was done, sentences by heading; see `ikem.report.prose`.
        comparisons: which differences the results show; see `ikem.report.comparisons`.
        title: heading.

    Raises:
        InputError: results.csv or a figure cannot be read, or the page cannot be written.
    """
    rows, missing = read_results(results)
    tables = read_tables(results, naming)
    records, unreadable = read_records(runs)
    content = {
        "title": title,
        "lead": f"Made by ikem {__version__} from {results.name}: {len(rows)} rows, {len(missing)} missing cells.",
        "facts": facts_of(records),
        "kinds": kind_lines(records),
        "jobs": job_lines(records, path.parent),
        "unreadable": [str(run) for run in unreadable],
        "config": yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True) if config else "",
        "main": tables[0] if tables else None,
        "main_section": without_single_streams(tables[0].sections[0]) if tables else None,
        "words": words or {},
        "tables": tables,
        "comparisons": comparisons,
        "counts": counts,
        "counts_header": HEADER,
        "groups": _groups(read_index(figures), figures, path.parent),
        "missing": [
            {
                "split": naming.split(gap.dataset, gap.protocol),
                "method": naming.method(gap.method),
                "evaluation": naming.evaluation(gap.evaluation),
                "seed": gap.seed,
                "reason": gap.reason,
            }
            for gap in missing
        ],
    }
    write_text(path, as_html("page.html.jinja", **content))


def _groups(drawn: Sequence[Drawn], folder: Path, home: Path) -> list[dict[str, Any]]:
    paths = {item.file: folder / item.file for item in drawn}
    try:
        inline = sum(path.stat().st_size for path in paths.values()) <= _INLINE_BYTES
        sources = {file: _source(path, home, inline) for file, path in paths.items()}
    except OSError as error:
        hint = "Draw the figures again"
        raise InputError(
            f"figure cannot be read ({error.strerror})", location=str(error.filename), hint=hint
        ) from error
    groups = []
    for kind, title in KINDS.items():
        figures = [
            {"title": item.title, "caption": item.caption, "inlined": inline, **sources[item.file]}
            for item in drawn
            if item.kind == kind
        ]
        if figures:
            groups.append({"title": title, "folded": kind in _FOLDED, "figures": figures})
    return groups


def _source(path: Path, home: Path, inline: bool) -> dict[str, Any]:
    """Where the page finds a PNG, and its size on the page: half as large again as in print."""
    content = path.read_bytes()
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
    if inline:
        source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    else:
        source = quote(Path(os.path.relpath(path, home)).as_posix())
    return {"source": source, "width": round(width * 144 / DPI), "height": round(height * 144 / DPI)}
