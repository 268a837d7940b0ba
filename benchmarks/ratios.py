"""How parts compare with their plain transcriptions, quickly: `python benchmarks/ratios.py [threads] [part ...]`.

Pairs are interleaved; medians are printed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from ikem import augment
from ikem.contrast.exchange import implicit_losses, mined_losses
from ikem.contrast.relational import relational_losses
from ikem.data.prepare import prepare_clips
from ikem.modalities import MODALITIES, generate_all
from ikem.models.stgcn import STGCN
from ikem.skeleton import load_skeleton
from plain import augment as plain_augment
from plain import losses as plain_losses
from plain import modalities as plain_modalities
from plain import prepare as plain_prepare
from plain.stgcn import PlainSTGCN

Pair = tuple[Callable[[], object], Callable[[], object]]
SKELETON = load_skeleton("ntu25")
BATCH, FRAMES, QUEUE, DIM, COUNT = 32, 50, 32768, 128, 6


def _unit(*shape: int, dim: int = -1) -> torch.Tensor:
    return F.normalize(torch.randn(*shape), dim=dim)


def prepare() -> Pair:
    """64 clips."""
    lengths = np.random.default_rng(0).integers(30, 150, 64)
    starts = np.cumsum(lengths) - lengths
    flat = np.random.default_rng(1).normal(size=(lengths.sum(), 2, 25, 3)).astype(np.float32)
    clips = [flat[start : start + length].transpose(3, 0, 2, 1) for start, length in zip(starts, lengths, strict=True)]
    return (
        lambda: plain_prepare.prepare_all(clips, SKELETON, FRAMES),
        lambda: prepare_clips(flat, starts, lengths, SKELETON, FRAMES),
    )


def augmentation() -> Pair:
    """A view of a batch, with its draws; ours are those of an epoch, made at once before."""
    clips = np.random.default_rng(0).normal(size=(BATCH, 3, FRAMES, 25, 2)).astype(np.float32)
    batch = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).contiguous()
    generator = np.random.default_rng(0)

    def plain() -> object:
        draws = [plain_augment.draw(generator, FRAMES) for _ in range(BATCH)]
        return np.stack([plain_augment.view(clip, *each) for clip, each in zip(clips, draws, strict=True)])

    draws, rows = augment.draw(0, 0, 0, 1000, FRAMES), np.arange(BATCH) * 7

    def ours() -> object:
        start, matrices = torch.from_numpy(draws.start[rows]), torch.from_numpy(draws.shear[rows])
        return augment.shear(augment.crop(batch, start), matrices)

    return plain, ours


def modalities() -> Pair:
    """All six of a batch."""
    position, frames = torch.randn(BATCH, 3, FRAMES, 25, 2), torch.randint(20, 300, (BATCH,))
    batch = position.permute(0, 4, 1, 2, 3).contiguous()
    return (
        lambda: plain_modalities.all_six(position, frames, SKELETON),
        lambda: generate_all(list(MODALITIES), batch, frames, SKELETON),
    )


def exchange() -> Pair:
    """Forward and backward of stage 2's losses."""
    queries, exchanged = (_unit(COUNT, BATCH, dim).requires_grad_() for dim in (DIM, COUNT * DIM))
    keys, queues = _unit(COUNT, BATCH, DIM), _unit(COUNT, DIM, QUEUE, dim=1)

    def plain() -> None:
        plain_losses.exchange_losses(queries, exchanged, keys, queues, 0.07).sum().backward()

    def ours() -> None:
        pairs = mined_losses(queries, keys, queues, 0.07).sum() / (COUNT - 1)
        (pairs + implicit_losses(exchanged, keys, queues, 0.07).sum()).backward()

    return plain, ours


def distillation() -> Pair:
    """Forward and backward of three students' losses."""
    students = _unit(3, BATCH, COUNT * DIM).requires_grad_()
    embeddings, queues = _unit(COUNT, BATCH, DIM), _unit(COUNT, DIM, QUEUE, dim=1)
    teacher_queue = F.normalize(queues.view(COUNT * DIM, QUEUE), dim=0)
    teacher = F.normalize(torch.cat(list(embeddings), dim=1), dim=1)

    def plain() -> None:
        plain_losses.distillation_losses(students, embeddings, queues, teacher_queue, 0.07).sum().backward()

    def ours() -> None:
        relational_losses(students, teacher, embeddings, queues, teacher_queue, 0.07).mean(dim=1).sum().backward()

    return plain, ours


def encoder() -> Pair:
    """Forward and backward in training mode at the published widths."""
    plain, ours = PlainSTGCN(SKELETON), STGCN(SKELETON)
    disk = torch.randn(BATCH, 3, FRAMES, 25, 2)
    batch = disk.permute(0, 4, 1, 2, 3).contiguous()
    return lambda: plain(disk).sum().backward(), lambda: ours(batch, 1).sum().backward()


PARTS = {
    "prepare": prepare,
    "augment": augmentation,
    "modalities": modalities,
    "exchange-losses": exchange,
    "distillation-losses": distillation,
    "encoder": encoder,
}


def timed(pair: Pair, seconds: float = 6.0) -> Iterator[tuple[float, float]]:
    """Seconds of both, interleaved."""
    for call in pair:
        call()
    end = time.perf_counter() + seconds
    rounds = 0
    # On one thread the processor's time is what counts, so that other work on the machine does not.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    while rounds < 3 or time.perf_counter() < end:
        marks = [clock()]
        for call in pair:
            call()
            marks.append(clock())
        yield marks[1] - marks[0], marks[2] - marks[1]
        rounds += 1


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    for name in sys.argv[2:] or PARTS:
        rows = list(timed(PARTS[name]()))
        plain_s, ours_s = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:<22}{1e3 * plain_s:>10.2f} ms {1e3 * ours_s:>10.2f} ms {plain_s / ours_s:>7.1f}x  n={len(rows)}")
