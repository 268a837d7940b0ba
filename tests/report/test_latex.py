"""LaTeX tables and the bibliography: they compile, and nothing in them is taken for a command."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ikem.encoders.registry import ENCODERS
from ikem.files import write_text
from ikem.methods.registry import METHODS
from ikem.registry import Source
from ikem.report.citations import all_sources, bibliography, write_bibliography
from ikem.report.latex import as_latex
from ikem.report.layout import lay_out
from ikem.report.literature import published_results
from ikem.report.results import write_results
from ikem.report.tables import write_tables
from ikem.report.tex import escape
from ikem.settings.loading import build_config
from report_samples import NAMING, benchmark, row

CONFIG = {"benchmark": [{"dataset": "ntu60", "protocols": ["xsub"], "methods": ["random"], "evaluations": ["linear"]}]}


def entries(text: str) -> dict[str, dict[str, str]]:
    """Entries of a BibTeX file by key; braces must match."""
    found: dict[str, dict[str, str]] = {}
    for block in filter(None, re.split(r"(?m)^@", text)):
        head = re.match(r"(article|inproceedings|misc)\{([a-z0-9]+),\n", block)
        assert head, block
        body = block[head.end() :].rstrip()
        assert body.endswith("}") and body.count("{") + 1 == body.count("}"), block
        assert head[2] not in found
        found[head[2]] = dict(re.findall(r"(?m)^  (\w+) = \{(.*)\},$", body)) | {"kind": head[1]}
    return found


def test_keys_are_those_of_the_works() -> None:
    source = Source("Müller, Ø et al.", "An AI & a Théory: of all", "CVPR", 2024)
    assert source.key == "muller2024theory"
    assert Source("", "DDC", "Pattern Recognition", 2025).key == "ddc2025"
    by_key: dict[str, set[str]] = {}
    for each in all_sources(build_config(CONFIG)):
        by_key.setdefault(each.key, set()).add(each.title.lower().replace("-", " ")[:40])
    assert all(len(titles) == 1 for titles in by_key.values()), "two works have one key"


def test_all_cited_works_are_in_the_bibliography(tmp_path: Path) -> None:
    write_bibliography(tmp_path / "references.bib", build_config(CONFIG))
    found = entries((tmp_path / "references.bib").read_text())
    assert found["li2021human"]["booktitle"] == "CVPR" and found["li2021human"]["eprint"] == "2104.14466"
    assert found["li2021human"]["author"] == "Li and Wang and Ni and Wang and Yang and Zhang"
    assert found["lin2023actionlet"]["doi"] == "10.1109/CVPR52729.2023.00234"
    assert found["wei2024elevating"]["author"] == "Wei and Peng and Roitberg and others"
    assert found["shahroudy2016large"]["title"].startswith("{NTU RGB+D")
    assert found["liu2017large"]["kind"] == "misc" and found["wang2014cross"]["year"] == "2014"
    assert {item.work.key for item in published_results()} <= set(found)
    for item in (*METHODS.values(), *ENCODERS.values()):
        assert item.source is None or item.source.key in found


def test_what_is_special_to_tex_is_escaped() -> None:
    assert escape(r"50 % of a_b & \input{x} ~^ #1 $2") == (
        r"50 \% of a\_b \& \textbackslash{}input\{x\} \textasciitilde{}\textasciicircum{} \#1 \$2"
    )
    assert escape("61.2 ± 0.3† ő 動") == r"61.2 $\pm$ 0.3$\dagger$ o ?"


def test_blocks_ranks_and_citations_are_set() -> None:
    rows = [row(dataset="ntu60", method=method, top1=top) for method, top in
            (("skeletonclr", 40.0), ("crossclr-3", 45.0), ("ikem-6", 50.0))]  # fmt: skip
    text = as_latex(lay_out(rows, [], "linear", NAMING))
    assert r"\textbf{50.00}" in text and r"\underline{45.00}" in text
    assert r"\multicolumn{3}{l}{\emph{Single stream}} \\" in text
    assert r"68.3 (not stated)~\cite{li2021human}" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 3


@pytest.mark.skipif(not (shutil.which("pdflatex") and shutil.which("bibtex")), reason="there is no pdflatex")
def test_tables_compile(tmp_path: Path) -> None:
    rows, missing = benchmark((("ntu60", "xsub"), ("nwucla", "xsub")), ("linear", "semi-10"), (0, 1))
    rows.append(row(dataset="ntu60", method=r"50 % of \a_b & {c} ~^ # $ Ő 動 <>\"|"))
    write_results(rows, missing, tmp_path / "results.csv")
    write_tables(tmp_path / "results.csv", tmp_path, NAMING)
    write_text(tmp_path / "references.bib", bibliography(all_sources()))
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    for command in (latex, ["bibtex", "all"], latex, latex):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
        assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "all.pdf").read_bytes().startswith(b"%PDF")
    log = (tmp_path / "all.log").read_text(errors="replace")
    assert "undefined" not in log and "Overfull" not in log
