"""One clip in every modality, drawn on its skeleton."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ikem.data.arrayfile import open_array
from ikem.data.store import load_samples
from ikem.report.confusion import class_labels
from ikem.report.labels import Naming, streams_title
from ikem.report.results import MODALITIES
from ikem.report.style import PAGE, Drawn, heading, save, stream_style
from ikem.skeleton import Skeleton, load_skeleton


@dataclass(frozen=True)
class ClipFile:
    """The arrays of a dataset, of which one clip is drawn.

    Attributes:
        dataset: entry of the config.
        position: prepared/position.npy, (N, 3, T, V, M).
        samples: samples.csv of the N clips.
        modalities: array of each modality that is there, as position.
        skeleton: name of the skeleton.
    """

    dataset: str
    position: Path
    samples: Path
    modalities: Mapping[str, Path]
    skeleton: str


def draw_clips(files: Sequence[ClipFile], folder: Path, naming: Naming) -> list[Drawn]:
    """A figure for each dataset: a panel for each modality, at the frame in which the body moves most."""
    drawn = []
    for file in files:
        position = open_array(file.position)
        samples = load_samples(file.samples)
        clip, frame = liveliest(position, samples["bodies"].to_numpy() == 1)
        names = class_labels(naming.classes.get(file.dataset, ()), 1 << 16)
        label = samples["label"].iloc[clip]
        body = np.asarray(position[clip, :, :, :, 0])
        values = {name: np.asarray(open_array(path)[clip, :, :, :, 0]) for name, path in file.modalities.items()}
        shown = "every modality" if len(values) == len(MODALITIES) else ", ".join(map(streams_title, values))
        title = f"A clip in {shown}: {names[int(label)]}, {naming.dataset(file.dataset)}"
        stem = f"clips/{file.dataset}"
        _draw(body, values, frame, load_skeleton(file.skeleton), title, folder, stem)
        caption = (
            f"Frame {frame + 1} of {position.shape[2]}, from the front. Arrows are the values of a modality at each "
            "joint, scaled to be seen; joint shows the paths of the joints in the eight frames before."
        )
        drawn.append(Drawn(f"{stem}.png", "clips", title, caption))
    return drawn


def liveliest(position: NDArray[np.float32], alone: NDArray[np.bool_]) -> tuple[int, int]:
    """(clip, frame): of the first 64 clips the one that moves most in half of its frames, at a lively moment.

    Frames in which the sensor lost the body jump; a median and the upper quartile do not see them. Only one body is
    drawn: clips of one (`alone`) come first, later ones too where the first 64 are all of two.
    """
    numbers = np.arange(len(alone))
    ranked = numbers[:64][alone[:64]], numbers[alone][:64], numbers[:64]
    first = next(found for found in ranked if len(found))
    some = np.stack([position[clip, :, :, :, 0] for clip in first]).astype(np.float64)  # (n, 3, T, V)
    speed = np.linalg.norm(np.diff(some, axis=2), axis=1).mean(axis=2)  # (n, T - 1)
    margin = some.shape[2] // 4
    middle = speed[:, margin : some.shape[2] - margin]
    chosen = int(np.median(middle, axis=1).argmax())
    frame = int(np.abs(middle[chosen] - np.quantile(middle[chosen], 0.75)).argmin())
    return int(first[chosen]), frame + margin


def _draw(
    body: NDArray[np.float32],
    values: Mapping[str, NDArray[np.float32]],
    frame: int,
    skeleton: Skeleton,
    title: str,
    folder: Path,
    stem: str,
) -> None:
    across = min(6, len(values)) or 1
    down = -(-max(len(values), 1) // across)
    points = body[:2, frame]  # (x and y, V)
    size = float(np.ptp(points[1])) or 1.0
    trail = body[:2, max(0, frame - 8) : frame + 1]
    seen = trail.reshape(2, -1) if "joint" in values else points
    limits = [(float(each.min()) - 0.16 * size, float(each.max()) + 0.16 * size) for each in seen]
    slope = (limits[1][1] - limits[1][0]) / (limits[0][1] - limits[0][0])
    figure = Figure(figsize=(PAGE, down * min(4.0, PAGE / across * slope + 0.2) + 0.35))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (name, value) in zip(panels, values.items(), strict=False):
        color = stream_style(name)[0]
        _skeleton(axes, points, skeleton, strong=name != "bone")
        if name == "joint":
            axes.plot(trail[0], trail[1], color=color, linewidth=0.6, alpha=0.8)
            axes.plot(*points, "o", color=color, markersize=2.2)
        else:
            arrows = value[:2, frame].astype(np.float64)
            start = points - arrows if name == "bone" else points
            longest = float(np.linalg.norm(arrows, axis=0).max()) or 1.0
            scale = 1.0 if name == "bone" else 0.16 * size / longest
            axes.quiver(
                start[0], start[1], scale * arrows[0], scale * arrows[1], color=color, angles="xy", scale_units="xy",
                scale=1, width=0.014, headwidth=3.2, headlength=3.5, headaxislength=3.2, zorder=3,
            )  # fmt: skip
        axes.set_title(streams_title(name), loc="center", fontweight="normal")
        axes.set(xlim=limits[0], ylim=limits[1], aspect="equal")
        axes.set_axis_off()
    for axes in panels[len(values) :]:
        axes.set_axis_off()
    heading(figure, title)
    save(figure, folder, stem)


def _skeleton(axes: Axes, points: NDArray[np.float32], skeleton: Skeleton, *, strong: bool) -> None:
    for joint, parent in enumerate(skeleton.parents):
        axes.plot(*points[:, [joint, parent]], color="#b0b0b0", linewidth=1.4 if strong else 0.5, zorder=1)
