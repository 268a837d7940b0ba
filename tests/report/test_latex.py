"""LaTeX tables and the bibliography: they compile, and nothing in them is taken for a command."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from helpers import ROOT
from ikem import __version__
from ikem.encoders.registry import ENCODERS
from ikem.files import write_text
from ikem.methods.registry import METHODS
from ikem.registry import Source
from ikem.report.citations import BENCHMARK, all_sources, bibliography, write_bibliography
from ikem.report.labels import Naming
from ikem.report.latex import as_latex
from ikem.report.layout import lay_out
from ikem.report.literature import full_names, published_results
from ikem.report.results import Missing, Row, write_results
from ikem.report.tables import write_tables
from ikem.report.tex import escape
from ikem.settings.loading import build_config
from report_samples import NAMING, benchmark, row

CONFIG = {"benchmark": [{"dataset": "ntu60", "protocols": ["xsub"], "methods": ["random"], "evaluations": ["linear"]}]}


def entries(text: str) -> dict[str, dict[str, str]]:
    """Entries of a BibTeX file by key; braces must match."""
    found: dict[str, dict[str, str]] = {}
    for block in filter(None, re.split(r"(?m)^@", text)):
        head = re.match(r"(article|inproceedings|misc|software)\{([a-z0-9]+),\n", block)
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
    blocks = [
        {**CONFIG["benchmark"][0], "dataset": name} for name in ("ntu60", "ntu120", "pkummd1", "pkummd2", "nwucla")
    ]
    write_bibliography(tmp_path / "references.bib", build_config({"benchmark": blocks}))
    found = entries((tmp_path / "references.bib").read_text())
    assert found["li2021human"]["booktitle"] == "CVPR" and found["li2021human"]["eprint"] == "2104.14466"
    assert found["li2021human"]["author"].startswith("Li, Linguo and Wang, Minsi and ")
    assert found["lin2023actionlet"]["doi"] == "10.1109/CVPR52729.2023.00234"
    assert found["sun2026exploring"]["author"] == "Sun and Cheng and Zhang and others"
    assert found["shahroudy2016large"]["title"].startswith("{NTU RGB+D")
    assert found["liu2017large"]["kind"] == "misc" and found["wang2014cross"]["year"] == "2014"
    assert {item.work.key for item in published_results()} <= set(found)
    for item in (*METHODS.values(), *ENCODERS.values()):
        assert item.source is None or item.source.key in found


def test_works_of_other_datasets_are_left_out(tmp_path: Path) -> None:
    write_bibliography(tmp_path / "references.bib", build_config(CONFIG))
    found = entries((tmp_path / "references.bib").read_text())
    here = {item.work.key for item in published_results() if item.dataset == "ntu60"}
    others = {item.work.key for item in published_results()} - here
    registered = {item.source.key for group in (METHODS, ENCODERS) for item in group.values() if item.source}
    assert here <= set(found) and others - registered and not (others - registered) & set(found)
    assert {"shahroudy2016large", "wang2014cross", "wei2024elevating"} <= set(found), "whatever a reader wants to cite"


def test_authors_have_their_full_names() -> None:
    """Those of the method and of the datasets are as CITATION.cff has them, all others begin as their sources do."""
    works = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    found = entries(bibliography(all_sources(build_config(CONFIG))))
    by_id = {entry["eprint"]: entry for entry in found.values() if "eprint" in entry}
    for work in works:
        names = [f"{author['family-names']}, {author['given-names']}" for author in work["authors"]]
        assert by_id[work["url"].rsplit("/")[-1]]["author"] == " and ".join(names)
    assert set(full_names()) <= set(found)
    for source in all_sources():
        names = [name.split(",")[0] for name in full_names().get(source.key, "").split(" and ")]
        listed = re.sub(r" et al\.?$", "", source.authors).split(", ")
        assert names == [""] or names[: len(listed)] == listed, "the same people in the same order"
    assert found["wei2024elevating"]["author"].count(" and ") == 8


def test_the_benchmark_itself_is_in_the_bibliography(tmp_path: Path) -> None:
    write_bibliography(tmp_path / "references.bib", build_config(CONFIG), ["b2", "", "a1", "b2"])
    found = entries((tmp_path / "references.bib").read_text())[BENCHMARK]
    assert (found["kind"], found["year"]) == ("misc", "2026")
    assert found["note"] == f"Version {__version__}, commits a1, b2"
    assert entries(bibliography([]))[BENCHMARK]["note"] == f"Version {__version__}", "nothing is known of commits"


def test_what_is_special_to_tex_is_escaped() -> None:
    assert escape(r"50 % of a_b & \input{x} ~^ #1 $2") == (
        r"50 \% of a\_b \& \textbackslash{}input\{x\} \textasciitilde{}\textasciicircum{} \#1 \$2"
    )
    assert escape("61.2 ± 0.3† ő 動") == r"61.2 $\pm$ 0.3$\dagger$ o ?"


def test_blocks_ranks_and_citations_are_set() -> None:
    rows = [row(dataset="ntu60", method=method, top1=top) for method, top in
            (("skeletonclr", 40.0), ("crossclr-3", 45.0), ("ikem-6", 50.0))]  # fmt: skip
    files = as_latex(lay_out(rows, [], "linear", NAMING))
    text = "".join(files.values())
    assert list(files) == ["linear.tex", "linear/ntu-60-xsub.tex", "linear/published-by-others.tex"]
    assert all(text.count(r"\begin{table*}") == 1 for text in files.values())
    assert r"\textbf{50.00}" in text and r"\underline{45.00}" in text
    assert r"\multicolumn{3}{l}{\emph{Single stream}} \\" in text
    assert r"68.3 (not stated)~\cite{li2021human}" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 3


def test_a_gain_below_zero_has_a_minus() -> None:
    rows = [row(method="skeletonclr", top1=72.66), row(method="random", top1=50.0)]
    (_, text) = as_latex(lay_out(rows, [], "linear", replace(NAMING, baselines=("skeletonclr",)))).values()
    assert " & $-$22.66" in text and "& -" not in text


@pytest.mark.skipif(not (shutil.which("pdflatex") and shutil.which("bibtex")), reason="there is no pdflatex")
def test_tables_compile(tmp_path: Path) -> None:
    rows, missing = benchmark((("ntu60", "xsub"), ("nwucla", "xsub")), ("linear", "semi-10"), (0, 1))
    rows.append(row(dataset="ntu60", method=r"50 % of \a_b & {c} ~^ # $ Ő 動 <>\"|"))
    text = compiled(tmp_path, rows, missing, NAMING)
    assert text is None or "77.8" in text


@pytest.mark.skipif(not (shutil.which("pdflatex") and shutil.which("bibtex")), reason="there is no pdflatex")
def test_the_sources_of_tables_without_published_values_are_cited(tmp_path: Path) -> None:
    ikem = METHODS["ikem"]
    naming = replace(NAMING, sources={"ikem-6": f"{ikem.title}: {ikem.source} [{ikem.source and ikem.source.key}]"})
    text = compiled(tmp_path, [row()], [], naming)
    if text is not None:
        assert "Sources: [2]." in text, "in the caption"
        assert "Yiping Wei, Kunyu Peng, Alina Roitberg" in text
        assert f"Version {__version__}" in text, "the benchmark itself"


def compiled(folder: Path, rows: list[Row], missing: list[Missing], naming: Naming) -> str | None:
    """What the PDF of all tables says, or None where there is no pdftotext; its log names no fault."""
    write_results(rows, missing, folder / "results.csv")
    write_tables(folder / "results.csv", folder, naming)
    write_text(folder / "references.bib", bibliography(all_sources()))
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    for command in (latex, ["bibtex", "all"], latex, latex):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
        assert done.returncode == 0, done.stdout[-3000:]
    log = (folder / "all.log").read_text(errors="replace")
    assert "undefined" not in log and "Overfull" not in log
    assert "error" not in (folder / "all.blg").read_text(errors="replace").lower()
    assert (folder / "all.pdf").read_bytes().startswith(b"%PDF")
    if not shutil.which("pdftotext"):
        return None
    done = subprocess.run(["pdftotext", "all.pdf", "-"], cwd=folder, capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())
