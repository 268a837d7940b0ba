"""Figures of the results. Made from what jobs have written; nothing is trained or evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ikem.report.accuracy import draw_accuracy, draw_costs, draw_label_use
from ikem.report.agreement import draw_agreement
from ikem.report.clip import ClipFile, draw_clips
from ikem.report.confusion import ConfusionFile, draw_confusions, draw_gains
from ikem.report.curves import Curve, draw_curves
from ikem.report.embedding_map import EmbeddingFile, draw_embeddings
from ikem.report.kinds import KINDS
from ikem.report.labels import Naming
from ikem.report.style import FORMATS, Drawn, drawing, write_index
from ikem.report.table_parts import Split
from ikem.report.tables import read_tables


def write_figures(
    results: Path,
    folder: Path,
    naming: Naming,
    confusions: Sequence[ConfusionFile] = (),
    curves: Sequence[Curve] = (),
    embeddings: Sequence[EmbeddingFile] = (),
    clips: Sequence[ClipFile] = (),
    formats: Sequence[str] = FORMATS,
) -> list[Drawn]:
    """Draw all figures and list them in `figures.json`.

    Args:
        results: the long table, results.csv.
        folder: where the figures go, in a folder for each of `KINDS`.
        naming: titles and order.
        confusions: matrices to draw, and the scores next to them; those of several seeds are summed.
        curves: metrics.csv files to draw.
        embeddings: embeddings to map.
        clips: modalities of datasets, of which one clip is drawn.
        formats: forms of each figure besides PNG.

    Returns:
        The figures, in the order of the report.

    Raises:
        InputError: a file cannot be read, or the folder cannot be written to.
    """
    tables = read_tables(results, naming)
    splits = naming.ordered_splits(split for table in tables for split in _plain(table.splits))
    drawn: list[Drawn] = []
    for kind in KINDS:  # outputs of a rule, also where there is nothing to draw
        (folder / kind).mkdir(parents=True, exist_ok=True)
    with drawing(formats):
        for table in tables:
            drawn += [item for split in _plain(table.splits) for item in draw_accuracy(table, split, folder, naming)]
        for table in tables[:1]:
            drawn += [item for split in _plain(table.splits) for item in draw_costs(table, split, folder, naming)]
        drawn += [item for split in splits for item in draw_label_use(tables, split, folder, naming)]
        drawn += draw_gains(confusions, folder, naming)
        drawn += draw_agreement(confusions, folder, naming)
        drawn += draw_embeddings(embeddings, folder, naming)
        drawn += draw_clips(clips, folder, naming)
        drawn += draw_curves(curves, folder)
        drawn += draw_confusions(confusions, folder, naming)
    drawn.sort(key=lambda item: list(KINDS).index(item.kind))
    write_index(folder, drawn)
    _remove_others(folder, drawn)
    return drawn


def _remove_others(folder: Path, drawn: Sequence[Drawn]) -> None:
    """Remove figures of an earlier call that are no longer drawn."""
    kept = {folder / item.file for item in drawn}
    for kind in KINDS:
        for path in (folder / kind).rglob("*"):
            if path.suffix in (".png", ".svg", ".pdf") and path.with_suffix(".png") not in kept:
                path.unlink()


def _plain(splits: Sequence[Split]) -> list[Split]:
    """Without those of a condition: their figures would fill a book."""
    return [split for split in splits if len(split) == 2]
