"""How figures look, and how they are written: the same data give the same bytes."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import seaborn
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from ikem.errors import InputError
from ikem.files import atomic, read_json, write_json
from ikem.report.labels import streams_title
from ikem.report.results import MODALITIES

INK = "#222222"
GREY = "#8a8a8a"
COLUMN, PAGE = 3.4, 7.0
"""Width of a figure that fits into a column of a paper, and of one that takes the page, in inches."""
DPI = 300
INDEX = "figures.json"
"""Name of the list of figures in their folder."""

# Seaborn's "colorblind" without its palest, which white paper swallows.
_PALETTE = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#56b4e9", "#ca9161", "#5b3a8c")
SHADES = seaborn.color_palette("blend:#ffffff,#0173b2,#04263d", as_cmap=True)
"""Shades for shares of a whole, from 0 to 100 percent."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class Drawn:
    """A figure that was written.

    Attributes:
        file: path of its PNG in the folder of figures; its further forms are stored next to it.
        kind: one of `KINDS`.
        title: what it shows.
        caption: a sentence to read it by.
    """

    file: str
    kind: str
    title: str
    caption: str


FORMATS = ("svg", "pdf")
"""Forms of a figure besides PNG."""
_formats: ContextVar[Sequence[str]] = ContextVar("_formats", default=FORMATS)


@contextlib.contextmanager
def drawing(formats: Sequence[str] = FORMATS) -> Iterator[None]:
    """Style of all figures: whatever matplotlib's own settings of the user are.

    Args:
        formats: forms that `save` writes besides PNG.
    """
    token = _formats.set(formats)
    with contextlib.ExitStack() as stack:
        stack.callback(_formats.reset, token)
        stack.enter_context(mpl.rc_context())
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
                "axes.titlesize": 8,
                "axes.titleweight": "bold",
                "axes.labelsize": 7.5,
                "axes.linewidth": 0.6,
                "figure.constrained_layout.use": True,
                "figure.dpi": DPI,
                "figure.titlesize": 8.5,
                "figure.titleweight": "bold",
                "font.size": 7.5,
                "grid.color": "#e4e4e4",
                "grid.linewidth": 0.5,
                "legend.fontsize": 7,
                "legend.frameon": False,
                "legend.title_fontsize": 7,
                "pdf.fonttype": 42,
                "savefig.dpi": DPI,
                "svg.hashsalt": "ikem",
                "text.parse_math": False,
                "xtick.color": INK,
                "xtick.labelsize": 7,
                "xtick.major.size": 2.5,
                "xtick.major.width": 0.6,
                "ytick.color": INK,
                "ytick.labelsize": 7,
                "ytick.major.size": 2.5,
                "ytick.major.width": 0.6,
            }
        )
        yield


def method_style(index: int) -> tuple[str, str]:
    """Color and marker of a method by its index: 56 that differ, neighbors in both."""
    return _PALETTE[index % len(_PALETTE)], _MARKERS[index % len(_MARKERS)]


def class_style(index: int) -> tuple[str, str]:
    """Color and marker of a class by its index: both differ, so that neither is needed."""
    return _PALETTE[index % len(_PALETTE)], _MARKERS[(index + index // len(_PALETTE)) % len(_MARKERS)]


def stream_style(streams: str) -> tuple[str, str, str]:
    """Color, marker and title of streams: those of a modality follow from its position among all, ink for fusions."""
    if streams in MODALITIES:
        position = MODALITIES.index(streams)
        return _PALETTE[position % len(_PALETTE)], _MARKERS[(1 + position) % len(_MARKERS)], streams_title(streams)
    return INK, "o", "all modalities of the method"


def save(figure: Figure, folder: Path, stem: str) -> None:
    """Write `{stem}.png`, and the further forms that `drawing` was given, without date or version in them.

    Raises:
        InputError: the folder cannot be written to.
    """
    nothing: dict[str, dict[str, None]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    for suffix in ("png", *_formats.get()):
        with atomic(folder / f"{stem}.{suffix}") as temporary:
            figure.savefig(temporary, format=suffix, metadata=nothing[suffix])
        figure.set_layout_engine("none")  # what the first form has been laid out as, the others are


def panels_across(count: int) -> int:
    """How many of a number of panels stand side by side."""
    return min(count, 2 if count in (2, 4) else 3)


def heading(figure: Figure, title: str) -> None:
    """The title of a whole figure, in as many lines as its width needs."""
    figure.suptitle(textwrap.fill(title, int(14 * figure.get_figwidth())), x=0.01, ha="left")


def legend_below(figure: Figure, handles: Mapping[str, Artist], columns: int, title: str | None = None) -> None:
    """A legend of the whole figure below it."""
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower left", ncols=columns, title=title,
        alignment="left", handletextpad=0.4, columnspacing=1.0, borderpad=0.2,
    )  # fmt: skip


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
