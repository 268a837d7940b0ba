"""Write what README.md and docs show of results: tables and a figure, from results.csv files in docs/results.

    make readme

After another run copy its `tables/results.csv` (and `costs.csv`) to its folder in docs/results, then run this.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from ikem.files import write_text
from ikem.report.accuracy import draw_accuracy
from ikem.report.labels import Naming, naming_of
from ikem.report.style import drawing
from ikem.report.tables import footnotes, main_grid, read_tables
from ikem.settings.loading import load_config

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = (README, ROOT / "docs" / "demo-results.md", ROOT / "docs" / "nwucla-results.md")
FIGURE = ROOT / "docs" / "results" / "nwucla" / "accuracy.svg"
CONFIGS = {
    "demo": ("config.yaml",),
    "nwucla": ("nwucla.yaml",),
    "demo-all": ("demo-all.yaml",),
    "ablations": ("config.yaml", "ablations.yaml"),
}
"""The configs of each table, by the folder in docs/results that has its results.csv."""
BLOCK = re.compile(
    r"(<!-- (?P<name>[\w-]+)(?:, (?P<evaluation>[\w-]+))?: [^\n]* -->\n).*?(<!-- end of (?P=name) -->)", re.DOTALL
)
"""`<!-- NAME: ... -->` or `<!-- NAME, EVALUATION: ... -->`, a table, and `<!-- end of NAME -->`."""


def table(name: str, results: Path | None = None, evaluation: str = "linear") -> str:
    """The main lines of an evaluation in Markdown, and how to read them; of one split with intervals and gains, and
    with costs where they are kept.
    """
    results = results or ROOT / "docs" / "results" / name / "results.csv"
    found = next(table for table in read_tables(results, _naming(name)) if table.evaluation == evaluation)
    note = "Bold: the best of the pretrained methods with as many streams; underlined: the second best."
    grid = main_grid(found, section=1 if len(found.splits) == 1 else 0)
    parts = (grid, f"{found.title}. {found.caption} {note}", footnotes(found))
    return "\n" + "\n\n".join(filter(None, parts)) + "\n\n"


def _naming(name: str) -> Naming:
    return naming_of(load_config(*(ROOT / "config" / config for config in CONFIGS[name])))


def filled(text: str) -> str:
    """The text with the table of every block written again."""

    def block(found: re.Match[str]) -> str:
        return found[1] + table(found["name"], evaluation=found["evaluation"] or "linear") + found[4]

    return BLOCK.sub(block, text)


def draw(target: Path) -> None:
    """The figure of NW-UCLA, cross view."""
    naming = _naming("nwucla")
    tables = read_tables(ROOT / "docs" / "results" / "nwucla" / "results.csv", naming)
    with TemporaryDirectory() as folder, drawing(("svg",)):
        (drawn,) = draw_accuracy(tables[0], ("nwucla", "xview"), Path(folder), naming)
        shutil.copyfile((Path(folder) / drawn.file).with_suffix(".svg"), target)


if __name__ == "__main__":
    for page in PAGES:
        write_text(page, filled(page.read_text(encoding="utf-8")))
    draw(FIGURE)
