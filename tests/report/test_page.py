"""The report: complete, self-contained, and nothing from data becomes part of the page's language."""

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from browser import CHROMIUM, browser
from ikem.errors import InputError
from ikem.report import page
from ikem.report.comparisons import Comparison, lay_out
from ikem.report.confusion import ConfusionFile
from ikem.report.figures import write_figures
from ikem.report.page import write_page
from ikem.report.records import duration, facts_of, read_records
from ikem.report.results import Missing, write_results
from ikem.settings.benchmark import Comparisons
from report_samples import NAMING, SIX, THREE, benchmark, confusion, row, write_run

SCRIPT = "<script>alert(1)</script>"
BREAKOUT = "\"><img src=x onerror=alert(2)>'"


class Parsed(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with hostile names everywhere, and their figures."""
    root = tmp_path_factory.mktemp("report")
    rows, missing = benchmark((("ntu60", "xsub"),), ("linear",), (0, 1))
    missing.append(Missing("ntu60", "xsub", "ghost", "linear", 0, SCRIPT + BREAKOUT))
    write_results(rows, missing, root / "results.csv")
    np.savez(root / "c.npz", **{SIX: confusion(3)})
    files = [ConfusionFile(root / "c.npz", "ntu60", "xsub", "ikem-6", "linear")]
    write_figures(root / "results.csv", root / "figures", hostile(), files)
    return root


def hostile() -> page.Naming:
    return dataclasses.replace(
        NAMING,
        methods=NAMING.methods | {"ikem-6": SCRIPT, "student": BREAKOUT},
        datasets={"ntu60": BREAKOUT},
        evaluations={"linear": SCRIPT},
        classes={"ntu60": (SCRIPT, BREAKOUT, "walk")},
    )


def test_everything_from_data_is_escaped(folder: Path) -> None:
    run = write_run(folder / "a" / "run.json", 1)
    run.write_text(run.read_text().replace("cpu", "<script>alert(3)<\\/script>"))
    evil = folder / "b<script>.run.json"
    evil.write_text("{")
    config = {"<script>alert(4)</script>": BREAKOUT}
    write_page(
        folder / "results.csv", folder / "report.html", hostile(), figures=folder / "figures", runs=[run, evil],
        config=config, title=SCRIPT,
    )  # fmt: skip
    parsed = Parsed((folder / "report.html").read_text())
    tags = {tag for tag, _ in parsed.tags}
    assert not tags & {"script", "iframe", "object", "link", "form", "svg"}
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on")]
    for text in (SCRIPT, BREAKOUT, "alert(3)", "alert(4)"):
        assert text in parsed.words
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in parsed.all("img"))
    assert any(SCRIPT in (image["alt"] or "") for image in parsed.all("img"))
    assert f"{SCRIPT} →" in parsed.words or f"→ {SCRIPT}" in parsed.words, "class names in the caption of the matrix"
    policy = next(item["content"] for item in parsed.all("meta") if "http-equiv" in item)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_page_holds_all_sections(folder: Path) -> None:
    runs = [write_run(folder / "runs" / f"{number}.run.json", number) for number in range(3)]
    write_page(folder / "results.csv", folder / "report.html", NAMING, figures=folder / "figures", runs=runs)
    text = Parsed((folder / "report.html").read_text()).words
    for part in ("2.13.0+cpu", "0123456789abcdef", "runs/2", "Published by others", "77.8", "Missing cells",
                 "out of memory (the job was killed by signal 9)", "Confusion matrices"):  # fmt: skip
        assert part in text, part
    assert str(folder) not in text, "places are relative"


def test_the_main_table_is_first_and_provenance_last(folder: Path) -> None:
    words = {"Method": ["IKEM-6: exchange."], "Hardware": ["3 jobs on a CPU."]}
    write_page(folder / "results.csv", folder / "report.html", NAMING, figures=folder / "figures", words=words)
    text = Parsed((folder / "report.html").read_text()).words
    order = ["Main table: Linear evaluation", "IKEM-6: exchange.", "3 jobs on a CPU.", "All tables\n",
             "Accuracy by modality and fusion", "Missing cells\n", "Made by ikem"]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_comparisons_are_in_the_page(folder: Path) -> None:
    one = Comparison("ntu60", "xsub", "linear", "", "top1", "ikem-3", "joint", "baseline", "skeletonclr", "joint", 1,
                     60.0, 50.0, 10.0, 2.0, 18.0, "McNemar", 0.01, 0.02, "better")  # fmt: skip
    compared = lay_out([one], hostile(), Comparisons())
    write_page(folder / "results.csv", folder / "report.html", hostile(), figures=folder / "figures",
               comparisons=compared)  # fmt: skip
    parsed = Parsed((folder / "report.html").read_text())
    text = parsed.words[parsed.words.index("Comparisons: which") : parsed.words.index("Figures\n")]
    for part in ("Holm", f"{SCRIPT}, {BREAKOUT} xsub", "baseline: SkeletonCLR", "+10.00 (+2.00 to +18.00)", "better"):
        assert part in text, part
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert any(link["href"] == "#comparisons" for link in parsed.all("a"))
    write_page(folder / "results.csv", folder / "report.html", NAMING, figures=folder / "figures")
    assert "Comparisons" not in Parsed((folder / "report.html").read_text()).words


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_shows_the_page(folder: Path) -> None:
    runs = [write_run(folder / "runs" / f"{number}.run.json", number) for number in range(3)]
    config = {"a": "b" * 300}
    page = folder / "report.html"
    write_page(folder / "results.csv", page, hostile(), figures=folder / "figures", runs=runs, config=config)
    with browser() as tab:
        for width in (1280, 390):
            tab.open(page, width)
            assert tab.evaluate("document.querySelectorAll('img').length") >= 2
            tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"the page is wider than {width}"
            assert tab.evaluate("[...document.images].filter(each => !each.naturalWidth).length") == 0
            assert tab.evaluate("[...document.images].every(each => each.width <= innerWidth)")
        assert tab.problems == []


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_narrow_browser_shows_the_first_figures_and_that_there_are_more(tmp_path: Path) -> None:
    splits = ("xsub", "xview", "xset")
    write_results([row(streams=THREE, method="student", protocol=name) for name in splits], [], tmp_path / "r.csv")
    naming = dataclasses.replace(NAMING, datasets={"demo": "Demo, PKU-MMD form"})
    write_page(tmp_path / "r.csv", tmp_path / "report.html", naming, figures=tmp_path)
    scroll = "document.querySelector('.scroll')"
    faded = f"getComputedStyle({scroll}).maskImage.includes('gradient')"
    with browser() as tab:
        tab.open(tmp_path / "report.html", 390)
        assert tab.evaluate(f"{scroll}.scrollWidth > {scroll}.clientWidth"), "it has to be scrolled"
        assert tab.evaluate("document.querySelector('td.figure').getBoundingClientRect().right") <= 375
        assert tab.evaluate("document.querySelector('thead').getBoundingClientRect().height") < 80
        assert tab.evaluate(faded)
        tab.evaluate(f"{scroll}.scrollLeft = 10000")
        tab.screenshot(tmp_path / "scrolled.png")
        assert not tab.evaluate(faded), "there is nothing more"
        tab.open(tmp_path / "report.html", 1280)
        assert not tab.evaluate(faded)


def test_the_same_input_gives_the_same_page(folder: Path) -> None:
    pages = []
    for name in ("a.html", "b.html"):
        write_page(folder / "results.csv", folder / name, NAMING, figures=folder / "figures")
        pages.append((folder / name).read_bytes())
    assert pages[0] == pages[1]


def test_many_figures_are_linked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_INLINE_BYTES", 1000)
    (folder / "pages").mkdir(exist_ok=True)
    write_page(folder / "results.csv", folder / "pages" / "report.html", NAMING, figures=folder / "figures")
    images = Parsed((folder / "pages" / "report.html").read_text()).all("img")
    assert images
    for image in images:
        assert (folder / "pages" / (image["src"] or "")).is_file()
        assert image["loading"] == "lazy"


def test_a_page_without_anything(tmp_path: Path) -> None:
    write_results([], [], tmp_path / "results.csv")
    write_page(tmp_path / "results.csv", tmp_path / "report.html", NAMING, figures=tmp_path / "figures")
    text = Parsed((tmp_path / "report.html").read_text()).words
    for part in ("No results yet", "No figures were drawn", "No records of jobs", "None: every cell"):
        assert part in text


def test_a_missing_figure_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_bytes((folder / "figures" / "figures.json").read_bytes())
    with pytest.raises(InputError, match="figure cannot be read"):
        write_page(folder / "results.csv", tmp_path / "report.html", NAMING, figures=tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_records_tell_where_jobs_differ(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"{number}.run.json", number) for number in range(3)]
    runs[2].write_text(runs[2].read_text().replace("2.13.0+cpu", "2.12.0"))
    (tmp_path / "damaged.run.json").write_text('{"seconds": "many"}')
    records, unreadable = read_records([*runs, tmp_path / "damaged.run.json", tmp_path / "absent.run.json"])
    facts = dict(facts_of(records))
    assert facts["torch"] == "2.12.0 (1 job), 2.13.0+cpu (2 jobs)"
    assert (facts["Jobs"], facts["Device"], facts["Time of all jobs"]) == ("3", "cpu", "37 min 33 s")
    assert [path.name for path in unreadable] == ["absent.run.json", "damaged.run.json"]


def test_durations() -> None:
    seconds = (0.04, 59.94, 61, 3599.6, 7260, 100_000)
    assert [duration(value) for value in seconds] == [
        "0.0 s",
        "59.9 s",
        "1 min 1 s",
        "1 h 0 min",
        "2 h 1 min",
        "1 d 3 h",
    ]
