"""Parts of the benchmark that make the input of training: decode, prepare, augment, modalities."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch

from benchmarks.pair import Pair, Sizes, in_memory, largest_difference, positions
from benchmarks.plain import augment as plain_augment
from benchmarks.plain import decode as plain_decode
from benchmarks.plain import modalities as plain_modalities
from benchmarks.plain import prepare as plain_prepare
from benchmarks.plain.steps import of as plain_of
from ikem.augmentations.crop import crop_start
from ikem.augmentations.registry import PUBLISHED
from ikem.augmentations.shear import shear_matrices
from ikem.augmentations.views import Views, draw
from ikem.data.formats.ntu import read_skeleton
from ikem.data.prepare import prepare_clips
from ikem.modalities import MODALITIES, generate_all
from ikem.skeleton import load_skeleton
from ikem.synthetic.ntu import clip_text, record_clip
from ikem.synthetic.scene import list_clips
from ikem.synthetic.sensor import Recording
from ikem.synthetic.settings import SyntheticSettings

SKELETON = load_skeleton("ntu25")
SEED = 7


def recordings() -> Iterator[Recording]:
    """Made recordings of 40 to 120 frames; of one body, or of two."""
    settings = SyntheticSettings(frames=(40, 120), missing_rate=0.0, frame_drop_rate=0.0)
    for clip in list_clips(settings):
        recording = record_clip(settings, clip)
        if recording is not None and recording.first_two()[:, 0, 0].any():
            yield recording


def decode(sizes: Sizes, device: torch.device) -> Pair:
    """Inflated bytes of `.skeleton` files to coordinates."""
    files = [clip_text(recording) for recording in islice(recordings(), sizes.raw_clips)]

    def difference() -> float:
        return largest_difference(
            (plain_decode.read_skeleton(data), read_skeleton(data, "made").transpose(3, 0, 2, 1)) for data in files
        )

    return Pair(
        plain=lambda: [plain_decode.read_skeleton(data) for data in files],
        ours=lambda: [read_skeleton(data, "made") for data in files],
        difference=difference,
        size=f"{len(files)} files, {sum(map(len, files)) / 1e6:.1f} MB",
        note="one core, inflated bytes in memory",
    )


def prepare(sizes: Sizes, device: torch.device) -> Pair:
    """Coordinates of clips of any length to clips of equal length."""
    ragged = [recording.first_two() for recording in islice(recordings(), sizes.raw_clips)]
    lengths = np.array([len(clip) for clip in ragged])
    starts = np.cumsum(lengths) - lengths
    flat = np.concatenate(ragged)
    clips = [clip.transpose(3, 0, 2, 1) for clip in ragged]

    def plain() -> object:
        return plain_prepare.prepare_all(clips, SKELETON, sizes.frames)

    def ours() -> object:
        return prepare_clips(flat, starts, lengths, SKELETON, sizes.frames)

    return Pair(
        plain=plain,
        ours=ours,
        difference=lambda: largest_difference([(plain(), ours())]),
        size=f"{len(clips)} clips to {sizes.frames} frames",
        note="one core, clips in memory",
    )


def augmentation(sizes: Sizes, device: torch.device) -> Pair:
    """A view of some batches, with its draws; ours are made for all of them at once, as for an epoch."""
    disk = positions(sizes.batch, sizes.frames, SEED, torch.device("cpu"))
    clips, batch = disk.numpy(), in_memory(disk).to(device)
    generator = np.random.default_rng(SEED)

    def plain() -> object:
        for _ in range(sizes.batches):
            draws = [plain_augment.draw(generator, sizes.frames) for _ in clips]
            made = [plain_augment.view(clip, *each) for clip, each in zip(clips, draws, strict=True)]
            torch.from_numpy(np.stack(made)).to(device)
        return None

    def ours() -> object:
        views = Views(PUBLISHED, SKELETON, SEED, 0, sizes.batches * sizes.batch, 1)
        for rows in torch.arange(sizes.batches * sizes.batch, device=device).split(sizes.batch):
            views(batch, rows, 0)
        return None

    def difference() -> float:
        numbers = draw(SEED, 0, 0, sizes.batch, 7)
        starts, matrices = crop_start(numbers[:, :1], sizes.frames), shear_matrices(numbers[:, 1:])
        made = plain_augment.views(clips, starts.numpy(), matrices.numpy())
        rows = torch.arange(sizes.batch, device=device)
        mine = Views(PUBLISHED, SKELETON, SEED, 0, sizes.batch, 1)(batch, rows, 0)
        return largest_difference([(in_memory(torch.from_numpy(made)), mine)])

    return Pair(
        plain, ours, difference, size=f"{sizes.batches} batches of {sizes.batch}", note="a view; draws are included"
    )


def modalities(sizes: Sizes, device: torch.device) -> Pair:
    """All modalities of a batch."""
    disk = positions(sizes.batch, sizes.frames, SEED, device)
    frames = torch.randint(20, 300, (sizes.batch,), generator=torch.Generator().manual_seed(SEED)).to(device)
    batch, names = in_memory(disk), list(MODALITIES)[: sizes.modalities]

    def difference() -> float:
        theirs, mine = plain_modalities.all_six(disk, frames, SKELETON), generate_all(names, batch, frames, SKELETON)
        return largest_difference((in_memory(theirs[name]), mine[name]) for name in names)

    return Pair(
        plain=lambda: plain_of(names, disk, frames, SKELETON),
        ours=lambda: generate_all(names, batch, frames, SKELETON),
        difference=difference,
        size=f"batch {sizes.batch}, {len(names)} modalities",
    )
