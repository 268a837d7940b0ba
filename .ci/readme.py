"""Write what README.md and docs show of results: tables and a figure, from results.csv files in docs/results.

    make readme

After another run copy its `tables/results.csv` to docs/results/demo or docs/results/nwucla, then run this.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from ikem.files import write_text
from ikem.report.accuracy import draw_accuracy
from ikem.report.labels import naming_of
from ikem.report.style import drawing
from ikem.report.tables import main_grid, read_tables
from ikem.settings.loading import load_config

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FIGURE = ROOT / "docs" / "results" / "nwucla" / "accuracy.svg"
CONFIGS = {"demo": "config/config.yaml", "nwucla": "config/nwucla.yaml"}
"""The config of each table, by the folder in docs/results that has its results.csv."""
BLOCK = re.compile(r"(<!-- (\w+): [^\n]* -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def table(name: str, results: Path | None = None) -> str:
    """The main lines of the linear evaluation in Markdown, and how to read them."""
    naming = naming_of(load_config(ROOT / CONFIGS[name]))
    found = read_tables(results or ROOT / "docs" / "results" / name / "results.csv", naming)
    linear = next(table for table in found if table.evaluation == "linear")
    note = "Bold: the best of the pretrained methods with as many streams; underlined: the second best."
    return f"\n{main_grid(linear)}\n\n{linear.title}. {linear.caption} {note}\n\n"


def filled(readme: str) -> str:
    """The text with every block between `<!-- NAME: ... -->` and `<!-- end of NAME -->` written again."""
    return BLOCK.sub(lambda found: found[1] + table(found[2]) + found[3], readme)


def draw(target: Path) -> None:
    """The figure of NW-UCLA, cross view."""
    naming = naming_of(load_config(ROOT / CONFIGS["nwucla"]))
    tables = read_tables(ROOT / "docs" / "results" / "nwucla" / "results.csv", naming)
    with TemporaryDirectory() as folder, drawing(("svg",)):
        (drawn,) = draw_accuracy(tables[0], ("nwucla", "xview"), Path(folder), naming)
        shutil.copyfile((Path(folder) / drawn.file).with_suffix(".svg"), target)


if __name__ == "__main__":
    write_text(README, filled(README.read_text(encoding="utf-8")))
    draw(FIGURE)
