"""Tables in LaTeX: a file for each table to be input, and one that shows them all.

They need the packages booktabs and graphicx; keys that they cite are in references.bib.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ikem.report.citations import BENCHMARK
from ikem.report.table_parts import Block, Entry, Section, Table
from ikem.report.tex import escape

_HEAD = "% \\usepackage{booktabs,graphicx} and references.bib are needed; \\input this file.\n"


def as_latex(table: Table) -> dict[str, str]:
    """A file with a table environment for each section, by name: `{evaluation}.tex` has the first, and
    `{evaluation}/{section}.tex` each of the others.

    The caption of the first cites the sources of the methods and of the evaluation. Where a published value was found
    is in the other forms of the table.
    """
    files: dict[str, str] = {}
    for section in table.sections:
        name, number = f"{table.evaluation}/{_word(section.title)}", 1
        while f"{name}.tex" in files:
            number += 1
            name = f"{table.evaluation}/{_word(section.title)}-{number}"
        name = name if files else table.evaluation
        files[f"{name}.tex"] = f"{_HEAD}\n{_environment(table, section, f'tab:{name}', first=not files)}"
    return files


def _word(title: str) -> str:
    """A title as part of a file's name."""
    return re.sub("[^a-z0-9]+", "-", title.lower()).strip("-") or "table"


def _environment(table: Table, section: Section, label: str, first: bool) -> str:
    section = _columns(section)
    notes = [f"{symbol} {text}" for symbol, text in table.legend.items() if _marked(section, symbol)]
    notes += [f"[{number}] {text}" for number, text in enumerate(table.footnotes, 1) if _noted(section, number)]
    ours = [] if "Selection" in section.header else [table.caption]
    caption = " ".join(part for part in (f"{table.title}: {section.title}.", section.note, *ours, *notes) if part)
    keys = [found[1] for source in table.sources if (found := re.search(r"\[(\w+)\]$", source))] if first else []
    cited = f" Sources: \\cite{{{','.join(dict.fromkeys(keys))}}}." if keys else ""
    return (
        f"\\begin{{table*}}\n\\centering\n\\caption{{{escape(caption)}{cited}}}\n\\label{{{label}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"{_grid(section)}}}\n\\end{{table*}}\n"
    )


def _columns(section: Section) -> Section:
    """Without the column of sources, which cite keys replace."""
    kept = [column for column, title in enumerate(section.header) if title != "Source"]
    blocks = tuple(Block(block.title, tuple(tuple(line[column] for column in kept) for line in block.lines))
                   for block in section.blocks)  # fmt: skip
    return replace(section, header=tuple(section.header[column] for column in kept), blocks=blocks)


def as_document(names: Sequence[str]) -> str:
    """A document that shows all tables, the works they cite and this benchmark: `pdflatex`, `bibtex`, twice
    `pdflatex`.
    """
    inputs = "\n".join(f"\\input{{{name}}}\n\\clearpage" for name in names)
    return (
        "\\documentclass[a4paper]{article}\n"
        "\\usepackage[margin=2cm]{geometry}\n\\usepackage{booktabs,graphicx}\n"
        "\\begin{document}\n"
        f"{inputs}\n\\nocite{{{BENCHMARK}}}\n\\bibliographystyle{{plain}}\n\\bibliography{{references}}\n\\end{{document}}\n"
    )


def _grid(section: Section) -> str:
    columns = len(section.header)
    align = "".join("l" if column in section.texts else "r" for column in range(columns))
    lines = [f"\\begin{{tabular}}{{{align}}}", "\\toprule", " & ".join(map(escape, section.header)) + " \\\\"]
    for block in section.blocks:
        lines += ["\\midrule", f"\\multicolumn{{{columns}}}{{l}}{{\\emph{{{escape(block.title)}}}}} \\\\"]
        lines += [" & ".join(map(_entry, line)) + " \\\\" for line in block.lines]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _entry(entry: Entry) -> str:
    text = re.sub(r"^-(?=\d)", "$-$", escape(entry.text))
    text = f"\\textbf{{{text}}}" if entry.rank == 1 else f"\\underline{{{text}}}" if entry.rank == 2 else text
    marks = escape(entry.marks)
    cite = f"~\\cite{{{entry.cite}}}" if entry.cite else ""
    return "{}" * entry.text.startswith("[") + text + (f"\\textsuperscript{{{marks}}}" if marks else "") + cite


def _marked(section: Section, symbol: str) -> bool:
    return any(symbol in entry.symbols for line in section.lines for entry in line)


def _noted(section: Section, number: int) -> bool:
    return any(number in entry.notes for line in section.lines for entry in line)
