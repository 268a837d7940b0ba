"""Write what README.md and docs show of results: tables and a figure, from the files in docs/results.

    make readme

After another run copy its `tables/results.csv` (and `comparisons.csv`, `costs.csv`) to its folder in docs/results, then
run this. NW-UCLA has targets of its own, which run it, too: `make nwucla` and `make nwucla-search`.
"""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from ikem.files import write_text
from ikem.report.accuracy import draw_accuracy
from ikem.report.labels import Naming, naming_of, streams_title
from ikem.report.results import streams_order
from ikem.report.style import drawing
from ikem.report.table_parts import Block, Entry, Section
from ikem.report.tables import footnotes, main_grid, markdown_grid, read_tables
from ikem.settings.loading import load_config

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", DOCS / "demo-results.md", DOCS / "nwucla-results.md", DOCS / "results/nwucla/search.md")
FIGURE = DOCS / "results" / "nwucla" / "accuracy.svg"
CONFIGS = {
    "demo": ("config.yaml",),
    "nwucla": ("nwucla.yaml",),
    "demo-all": ("demo-all.yaml",),
    "ablations": ("config.yaml", "ablations.yaml"),
}
"""The configs of each table, by the folder in docs/results that has its results.csv."""
BLOCK = re.compile(
    r"(<!-- (?P<name>[\w-]+)(?:, (?P<evaluation>[\w-]+))?(?:, (?P<protocol>[\w-]+))?(?P<gains>, gains)?: [^\n]* -->\n)"
    r".*?"
    r"(?P<end><!-- end of (?P=name) -->)",
    re.DOTALL,
)
"""`<!-- NAME: ... -->`, `<!-- NAME, EVALUATION: ... -->` or `<!-- NAME, EVALUATION, PROTOCOL: ... -->`, a table, and
`<!-- end of NAME -->`. Where the folder has EVALUATION.md, its lines are the table. With `, gains` after PROTOCOL it is
that of the differences from the baseline.
"""


def table(name: str, results: Path | None = None, evaluation: str = "linear", protocol: str = "") -> str:
    """The main lines of an evaluation in Markdown, of all protocols or of one, and how to read them; of one split with
    intervals and gains, and with costs where they are kept.
    """
    results = results or DOCS / "results" / name / "results.csv"
    with TemporaryDirectory() as folder:
        chosen = _of_protocol(results, protocol, Path(folder)) if protocol else results
        tables = {each.evaluation: each for each in read_tables(chosen, _naming(name))}
    if evaluation not in tables:
        raise SystemExit(f"{results}: no rows of {evaluation} {protocol}")
    found = tables[evaluation]
    note = "Bold: the best of the pretrained methods with as many streams; underlined: the second best."
    grid = main_grid(found, section=1 if len(found.splits) == 1 else 0)
    parts = (grid, f"{found.title}. {found.caption} {note}", footnotes(found))
    return "\n" + "\n\n".join(filter(None, parts)) + "\n\n"


def gains(name: str, evaluation: str, protocol: str, comparisons: Path | None = None) -> str:
    """What pretrained methods gain over the baseline, stream by stream, in Markdown, and how to read it."""
    naming = _naming(name)
    lines: dict[str, dict[str, Entry]] = {}
    notes = set()
    with (comparisons or DOCS / "results" / name / "comparisons.csv").open(newline="", encoding="utf-8") as source:
        for row in csv.DictReader(source):
            column = tuple(row[key] for key in ("evaluation", "protocol", "condition", "metric", "against"))
            if column == (evaluation, protocol, "", "top1", "baseline") and row["method"] not in naming.unranked:
                low, high = float(row["low"]), float(row["high"])
                text = f"{float(row['difference']):+z.1f} ({low:z.1f} to {high:z.1f})"
                shown = row["verdict"] in ("better", "worse")
                lines.setdefault(row["streams"], {})[row["method"]] = Entry(text, rank=int(shown))
                notes.add((naming.method(row["other"]), row["test"]))
    if not lines:
        raise SystemExit(f"{name}: no comparisons of {evaluation} {protocol}")
    ((baseline, test),) = notes  # one sentence explains all figures
    methods = naming.ordered_methods(method for line in lines.values() for method in line)
    header = ("Streams", *map(naming.method, methods))
    rows = tuple(
        (Entry(streams_title(streams)), *(lines[streams].get(method, Entry("")) for method in methods))
        for streams in sorted(lines, key=streams_order)
    )
    grid = markdown_grid(Section("", "", header, (), frozenset({0})), Block("", rows))
    note = (
        f"{naming.evaluation(evaluation)}: top-1 minus that of {baseline} with the same streams and seeds, percent "
        f"points, and the 95 % interval over clips. Bold: the test shows it, too ({test}; corrected by Holm)."
    )
    return f"\n{grid}\n\n{note}\n\n"


def _of_protocol(results: Path, protocol: str, folder: Path) -> Path:
    """A copy of results.csv with the rows of a protocol, without costs."""
    with results.open(newline="", encoding="utf-8") as source, (folder / results.name).open("w", newline="") as target:
        rows = csv.DictReader(source)
        writer = csv.DictWriter(target, rows.fieldnames or (), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if row["protocol"] == protocol)
    return folder / results.name


def _naming(name: str) -> Naming:
    return naming_of(load_config(*(ROOT / "config" / config for config in CONFIGS[name])))


def filled(text: str) -> str:
    """The text with the table of every block written again."""

    def block(found: re.Match[str]) -> str:
        name, evaluation, protocol = found["name"], found["evaluation"] or "linear", found["protocol"] or ""
        if found["gains"]:
            return found[1] + gains(name, evaluation, protocol) + found["end"]
        kept = DOCS / "results" / name / f"{evaluation}.md"
        text = f"\n{kept.read_text(encoding='utf-8')}\n" if kept.exists() else table(name, None, evaluation, protocol)
        return found[1] + text + found["end"]

    return BLOCK.sub(block, text)


def draw(target: Path) -> None:
    """The figure of NW-UCLA, cross view."""
    naming = _naming("nwucla")
    tables = read_tables(DOCS / "results" / "nwucla" / "results.csv", naming)
    with TemporaryDirectory() as folder, drawing(("svg",)):
        (drawn,) = draw_accuracy(tables[0], ("nwucla", "xview"), Path(folder), naming)
        shutil.copyfile((Path(folder) / drawn.file).with_suffix(".svg"), target)


if __name__ == "__main__":
    for page in PAGES:
        write_text(page, filled(page.read_text(encoding="utf-8")))
    draw(FIGURE)
