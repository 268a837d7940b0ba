"""How figures look, and how they are written: the same data give the same bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from ikem.errors import InputError
from ikem.files import atomic, read_json, write_json
from ikem.report.labels import streams_title
from ikem.report.results import MODALITIES

INK = "#222222"
GREY = "#8a8a8a"
INDEX = "figures.json"
"""Name of the list of figures in their folder."""

# Seaborn's "colorblind" without its palest, which white paper swallows.
_PALETTE = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#56b4e9", "#ca9161", "#5b3a8c")
COLOURS = len(_PALETTE)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class Drawn:
    """A figure that was written.

    Attributes:
        file: path of its PNG in the folder of figures; the SVG is stored next to it.
        kind: `methods`, `labels`, `confusion` or `curves`.
        title: what it shows.
        caption: a sentence to read it by.
    """

    file: str
    kind: str
    title: str
    caption: str


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Style of all figures: whatever matplotlib's own settings of the user are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "axes.edgecolor": GREY,
                "axes.grid": True,
                "axes.axisbelow": True,
                "axes.labelcolor": INK,
                "axes.spines.right": False,
                "axes.spines.top": False,
                "axes.titlelocation": "left",
                "axes.titlesize": 11,
                "figure.dpi": 150,
                "font.size": 9.5,
                "grid.color": "#e4e4e4",
                "grid.linewidth": 0.7,
                "legend.frameon": False,
                "savefig.dpi": 150,
                "svg.hashsalt": "ikem",
                "text.parse_math": False,
                "xtick.color": INK,
                "ytick.color": INK,
            }
        )
        yield


def method_style(place: int) -> tuple[str, str]:
    """Color and marker of the method at a place: 56 that differ, neighbors in both."""
    return _PALETTE[place % len(_PALETTE)], _MARKERS[place % len(_MARKERS)]


def stream_style(streams: str) -> tuple[str, str, str]:
    """Color, marker and title of streams: those of a modality follow from its position among all, ink for fusions."""
    if streams in MODALITIES:
        position = MODALITIES.index(streams)
        return _PALETTE[position % len(_PALETTE)], _MARKERS[(1 + position) % len(_MARKERS)], streams_title(streams)
    return INK, "o", "all modalities of the method"


def save(figure: Figure, folder: Path, stem: str) -> None:
    """Write `{stem}.png` and `{stem}.svg`, without date or version in them.

    Raises:
        InputError: the folder cannot be written to.
    """
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        with atomic(folder / f"{stem}.{suffix}") as temporary:
            figure.savefig(temporary, format=suffix, metadata=metadata, bbox_inches="tight", pad_inches=0.12)


def write_index(folder: Path, drawn: list[Drawn]) -> None:
    """Write the list of figures next to them."""
    write_json(folder / INDEX, [asdict(item) for item in drawn])


def read_index(folder: Path) -> list[Drawn]:
    """Read the list of figures; a folder without one holds none.

    Raises:
        InputError: the list is damaged.
    """
    path = folder / INDEX
    if not path.exists():
        return []
    try:
        return [Drawn(**item) for item in read_json(path)]
    except TypeError as error:
        raise InputError(
            f"is not a list of figures ({error})", location=str(path), hint="Draw the figures again"
        ) from error
