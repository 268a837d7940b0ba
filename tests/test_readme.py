"""README and CITATION.cff say what the committed results and the entries of the datasets say."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest
import yaml

from helpers import ROOT
from ikem.methods.registry import METHODS
from ikem.report.citations import benchmark_entry, work_entry
from ikem.settings.loading import build_config


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme", ROOT / ".ci" / "readme.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_those_of_the_committed_results(writer: ModuleType) -> None:
    text = {page: page.read_text() for page in writer.PAGES}
    assert {found["name"] for part in text.values() for found in writer.BLOCK.finditer(part)} == writer.CONFIGS.keys()
    for page, part in text.items():
        assert writer.filled(part) == part, f"{page}: after a change of docs/results: make readme"


def test_a_table_shows_the_figures_of_the_long_table(writer: ModuleType, tmp_path) -> None:
    text = (ROOT / "docs/results/nwucla/results.csv").read_text()
    changed, lines = re.subn(
        r"(?m)^(nwucla,xview,crossclr,joint\+motion\+bone,linear,\d,,,top1,)[\d.]+", r"\g<1>12.3456", text
    )
    assert lines >= 1
    (tmp_path / "results.csv").write_text(changed)
    before, after = writer.table("nwucla"), writer.table("nwucla", tmp_path / "results.csv")
    assert "12.35" not in before
    assert [line.split()[1] for line in after.splitlines() if "12.35" in line] == ["CrosSCLR"]


def test_a_table_can_be_of_one_protocol(writer: ModuleType, tmp_path) -> None:
    text = (ROOT / "docs/results/nwucla/results.csv").read_text()
    changed = re.sub(r"(?m)^(nwucla,xsub,.*,linear,.*,top1,)[\d.]+", r"\g<1>12.3456", text)
    results = tmp_path / "results.csv"
    results.write_text(changed)
    assert writer.table("nwucla", results, "linear", "xview") == writer.table("nwucla", None, "linear", "xview")
    assert "12.35" in writer.table("nwucla", results, "linear", "xsub")
    assert "12.35" in writer.table("nwucla", results)
    with pytest.raises(SystemExit, match="no rows of linear nowhere"):
        writer.table("nwucla", results, "linear", "nowhere")


def test_gains_are_those_of_the_committed_comparisons(writer: ModuleType, tmp_path) -> None:
    text = (ROOT / "docs/results/nwucla/comparisons.csv").read_text()
    line = r"(?m)^(nwucla,xsub,linear,,top1,{},bone,baseline,skeletonclr,bone,3,)(?:[^,]*,){{5}}(\"[^\"]*\",.*,).*$"
    changed, lines = re.subn(line.format("ikem-6"), r"\g<1>80,70,10,-1.25,21.5,\g<2>better", text)
    changed, others = re.subn(line.format("ikem-3"), r"\g<1>80,80,-0.01,-0.02,0.02,\g<2>no difference shown", changed)
    assert lines == others == 1
    (tmp_path / "comparisons.csv").write_text(changed)
    shown = writer.gains("nwucla", "linear", "xsub", tmp_path / "comparisons.csv").splitlines()
    header, bone = (next(line for line in shown if line.startswith(f"| {name} ")) for name in ("Streams", "bone"))
    cells = dict(zip(re.split(r" *\| *", header), re.split(r" *\| *", bone), strict=True))
    assert cells["IKEM-6"] == "**+10.0 (-1.2 to 21.5)**" and cells["IKEM-3"] == "+0.0 (0.0 to 0.0)"
    assert not {"Random", "Supervised", "SkeletonCLR"} & cells.keys()
    assert any("minus that of SkeletonCLR" in line for line in shown)
    assert shown != writer.gains("nwucla", "linear", "xsub").splitlines()
    for evaluation, protocol in (("linear", "nowhere"), ("linear-grid", "xsub")):  # a grid has a column for each rate
        with pytest.raises(SystemExit, match=f"no comparisons of {evaluation} {protocol}"):
            writer.gains("nwucla", evaluation, protocol)


def test_the_figure_is_that_of_the_committed_results(writer: ModuleType, tmp_path) -> None:
    writer.draw(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_bytes() == writer.FIGURE.read_bytes(), "make readme"


def test_the_entries_to_cite_are_those_of_the_bibliography() -> None:
    blocks = re.findall(r"(?s)```bibtex\n(.*?)```", (ROOT / "README.md").read_text())
    assert METHODS["ikem"].source
    assert blocks == [work_entry(METHODS["ikem"].source), benchmark_entry(["COMMIT"])]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f"Version {cited['version']}, " in blocks[1]
    assert f"title = {{{{{cited['title']}}}}}" in blocks[1] and f"{{{{{cited['authors'][0]['name']}}}}}" in blocks[1]
    assert all(f"{author['family-names']}, {author['given-names']}" in blocks[0]
               for author in cited["references"][0]["authors"])  # fmt: skip


def test_citations_are_those_of_the_method_and_of_every_dataset() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    works = {work["url"].removeprefix("https://arxiv.org/abs/"): work for work in cited["references"]}
    config = build_config({"benchmark": [{"dataset": "nwucla", "protocols": ["xview"], "methods": ["random"],
                                          "evaluations": ["linear"]}]})  # fmt: skip
    sources = [METHODS["ikem"].source, *(dataset.source for dataset in config.datasets.values())]
    assert {source.arxiv for source in sources} == set(works)
    for source in sources:
        work = works[source.arxiv]
        assert (work["title"].lower(), work["year"]) == (source.title.lower(), source.year)
        families = ", ".join(author["family-names"] for author in work["authors"])
        assert families.startswith(source.authors.removesuffix(" et al."))
        assert work["identifiers"] == [{"type": "other", "value": f"arXiv:{source.arxiv}"}]
        assert not source.doi or work["doi"] == source.doi
