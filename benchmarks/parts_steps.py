"""Parts of the benchmark that are whole steps of training, and the linear evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.pair import Pair, Sizes, largest_difference, positions
from benchmarks.parts_data import SEED, SKELETON
from benchmarks.parts_losses import TEMPERATURE, encoders
from benchmarks.plain import augment as plain_augment
from benchmarks.plain import linear as plain_linear
from benchmarks.plain.steps import Draw, PlainContrast, PlainDistillation, of, view
from benchmarks.plain.stgcn import PlainSTGCN
from ikem.augmentations.crop import crop_start
from ikem.augmentations.registry import PUBLISHED
from ikem.augmentations.shear import shear_matrices
from ikem.augmentations.views import draw
from ikem.encoders.initialization import initialize
from ikem.evaluations.embed import embed_clips
from ikem.evaluations.linear.classifiers import LinearResult, linear_evaluation
from ikem.methods.ikem.trainer import ExchangeTrainer
from ikem.methods.relational_distillation.trainer import DistillationTrainer
from ikem.methods.skeletonclr.trainer import MomentumContrastTrainer
from ikem.modalities import MODALITIES
from ikem.seeding import epoch_order, seed_for
from ikem.training.checkpoint import save_tensors
from ikem.training.loader import Batch, Clips

FOLLOW = ("motion", "acceleration", "angular_velocity")
RATE, MOMENTUM, DECAY, KEY_MOMENTUM = 0.1, 0.9, 1e-4, 0.999


def write_clips(folder: Path, position: Any, frames: Any, classes: int) -> Path:
    """Lay clips (N, C, T, V, M) down as a prepared data set; returns the path of the array."""
    np.save(folder / "position.npy", position)
    table = pd.DataFrame({"name": [f"clip{n}" for n in range(len(position))], "bodies": 2, "frames": frames})
    table.assign(label=np.arange(len(position)) % classes).to_csv(folder / "samples.csv", index=False)
    return folder / "position.npy"


def settings(sizes: Sizes, dropout: float, **more: object) -> dict[str, Any]:
    """What a training job is told, with the published values."""
    encoder = {
        "kind": "stgcn",
        "hidden_channels": sizes.hidden_channels,
        "hidden_dim": sizes.hidden_dim,
        "feature_dim": sizes.feature_dim,
        "dropout": dropout,
        "initialization": "published",
    }
    return {
        "skeleton": "ntu25",
        "seed": SEED,
        "modalities": list(MODALITIES)[: sizes.modalities],
        "encoder": encoder,
        "contrast": {"queue_size": sizes.queue, "temperature": TEMPERATURE, "key_momentum": KEY_MOMENTUM},
        "schedule": {"learning_rate": RATE, "weight_decay": DECAY, "optimizer": {"kind": "sgd", "momentum": MOMENTUM}},
        "augmentations": [options.model_dump() for options in PUBLISHED],
        "precision": "float32",
        "top_k": 1,
    } | more


class _Material:
    """A batch of clips in both forms."""

    def __init__(self, sizes: Sizes, device: torch.device) -> None:
        self.device, self.frames = device, sizes.frames
        disk = positions(sizes.batch, sizes.frames, SEED, torch.device("cpu"))
        lengths = torch.randint(20, 300, (sizes.batch,), generator=torch.Generator().manual_seed(SEED))
        self.disk, self.lengths = disk.numpy(), lengths.to(device)
        with TemporaryDirectory() as folder:
            path = write_clips(Path(folder), self.disk, lengths.numpy(), 2)
            self.clips = Clips(path, np.arange(sizes.batch), device, resident=True)
            self.batch: Batch = next(self.clips.batches([np.arange(sizes.batch)]))
        self._generator = np.random.default_rng(SEED)

    def drawn(self) -> list[Draw]:
        """Draws of a view, a clip at a time."""
        return [plain_augment.draw(self._generator, self.frames) for _ in self.disk]

    def same(self, number: int) -> list[Draw]:
        """The draws that a trainer makes for a view of epoch 0."""
        numbers = draw(SEED, 0, number, len(self.disk), 7)
        starts, matrices = crop_start(numbers[:, :1], self.frames), shear_matrices(numbers[:, 1:])
        return list(zip(starts.tolist(), matrices.numpy(), strict=True))

    def modalities(self, names: list[str], draws: list[Draw]) -> dict[str, Tensor]:
        """A view's modalities, plainly."""
        return of(names, view(self.disk, draws, self.device), self.lengths, SKELETON)


def _sgd(parameters: Any) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)


def _contrast(sizes: Sizes, device: torch.device, stage: str) -> Pair:
    material = _Material(sizes, device)
    exchange = stage == "exchange"

    def build(
        dropout: float,
    ) -> tuple[Callable[..., Tensor], Callable[[], Tensor], PlainContrast, Any]:
        names = list(MODALITIES)[: sizes.modalities]
        follow = [name for name in names if name in FOLLOW] if exchange else names
        chosen = settings(sizes, dropout, momentum_modalities=follow, explicit=exchange, implicit=exchange)
        trainer = (ExchangeTrainer if exchange else MomentumContrastTrainer)(chosen, material.clips, device, {})
        widths = sizes.hidden_channels, sizes.hidden_dim, dropout
        model = PlainContrast(
            names,
            lambda: PlainSTGCN(SKELETON, *widths),
            *(sizes.hidden_dim, sizes.feature_dim, sizes.queue, KEY_MOMENTUM, TEMPERATURE),
        ).to(device)
        model.load_state_dict(trainer.model.state_dict())
        optimizer = _sgd([*model.query.parameters(), *model.exchange_head.parameters()])

        def plain(draws: list[list[Draw]] | None = None) -> Tensor:
            both = draws or [material.drawn(), material.drawn()]
            query, key = (material.modalities(names, each) for each in both)
            return model.step(optimizer, query, key, stage, follow)

        def ours() -> Tensor:
            trainer.begin_epoch(0)
            return torch.stack(list(trainer.step(material.batch, 0, 0).values()))

        return plain, ours, model, trainer

    def difference() -> float:
        plain, ours, model, trainer = build(0.0)
        losses = plain([material.same(0), material.same(1)]), ours()
        trainer.model.queue.flush()
        theirs, mine = (
            {name: getattr(queue, name) for name in model.names} for queue in (model.queue, trainer.model.queue)
        )
        return largest_difference([losses, *((theirs[name], mine[name]) for name in model.names)])

    plain, ours, *_ = build(sizes.dropout)
    return Pair(
        plain,
        ours,
        difference,
        size=f"{sizes.modalities} modalities, batch {sizes.batch}, queue {sizes.queue}",
        note="two views of a batch to moved parameters; difference: losses and keys, without dropout",
    )


def stage_1_step(sizes: Sizes, device: torch.device) -> Pair:
    """A step of stage 1, all modalities one after another."""
    return _contrast(sizes, device, "contrast")


def stage_2_step(sizes: Sizes, device: torch.device) -> Pair:
    """A step of stage 2."""
    return _contrast(sizes, device, "exchange")


def distillation_step(sizes: Sizes, device: torch.device) -> Pair:
    """A step of distillation; the frozen teacher is in evaluation mode on both sides."""
    material = _Material(sizes, device)

    def build(dropout: float) -> tuple[Callable[..., Tensor], Callable[[], Tensor], PlainDistillation, Any]:
        chosen = settings(sizes, dropout, mining_queue="corrected", teacher_mode="evaluation", relations=True)
        teachers = chosen["modalities"]
        students = teachers[: sizes.students]
        chosen |= {"teacher_modalities": teachers, "modalities": students, "teacher_encoder": chosen["encoder"]}
        chosen |= {"contrast": {"queue_size": sizes.queue, "temperature": TEMPERATURE}}
        with TemporaryDirectory() as folder:
            pretrained = MomentumContrastTrainer(settings(sizes, dropout), material.clips, device, {})
            state = Path(folder) / "state.safetensors"
            save_tensors(state, pretrained.model.state_dict(), {})
            states = {f"teacher_{name}": state for name in teachers}
            trainer = DistillationTrainer(chosen, material.clips, device, states)
        for name, branch in trainer.model.teacher.items():
            cpu = branch.cpu()
            initialize(cpu, seed_for(SEED, name), "pytorch")
            cpu.to(device)
        widths = sizes.hidden_channels, sizes.hidden_dim, dropout
        model = PlainDistillation(
            teachers,
            students,
            lambda: PlainSTGCN(SKELETON, *widths),
            *(sizes.hidden_dim, sizes.feature_dim, sizes.queue, TEMPERATURE),
        ).to(device)
        model.load_state_dict(trainer.model.state_dict())
        optimizer = _sgd(model.student.parameters())

        def plain(draws: list[list[Draw]] | None = None) -> Tensor:
            both = draws or [material.drawn(), material.drawn()]
            teacher, student = (
                material.modalities(names, each) for names, each in zip((teachers, students), both, strict=True)
            )
            return model.step(optimizer, teacher, student)

        def ours() -> Tensor:
            trainer.begin_epoch(0)
            return torch.stack(list(trainer.step(material.batch, 0, 0).values()))

        return plain, ours, model, trainer

    def difference() -> float:
        plain, ours, model, trainer = build(0.0)
        losses = plain([material.same(0), material.same(1)]), ours()
        trainer.model.joined_queue.flush()
        return largest_difference([losses, (model.joined_queue.all, trainer.model.joined_queue.all)])

    plain, ours, *_ = build(sizes.dropout)
    return Pair(
        plain,
        ours,
        difference,
        size=f"{sizes.students} students, {sizes.modalities} teachers, batch {sizes.batch}, queue {sizes.queue}",
        note="two views of a batch to moved parameters; difference: losses and joined keys, without dropout",
    )


def linear(sizes: Sizes, device: torch.device) -> Pair:
    """Linear evaluation of each modality and of their fusion, from clips to test logits."""
    names = list(MODALITIES)[: sizes.modalities]
    count = sizes.train_clips + sizes.test_clips
    disk = [positions(count, sizes.frames, SEED + number, torch.device("cpu")) for number in range(len(names))]
    labels = torch.arange(count, device=device) % sizes.classes
    train_labels, test_labels = labels[: sizes.train_clips], labels[sizes.train_clips :]
    both = [encoders(sizes, device, sizes.dropout, "pytorch") for _ in names]
    theirs, mine = ([pair[side].eval() for pair in both] for side in (0, 1))
    width, rate = sizes.hidden_dim, RATE
    weights = [
        torch.randn(len(names), width, sizes.classes, generator=torch.Generator().manual_seed(seed_for(SEED, purpose)))
        .mul(0.02)
        .to(device)
        for purpose in ("linear", "linear fusion")
    ]

    def plain(epochs: int) -> tuple[Tensor, list[float]]:
        on_device = [clips.to(device) for clips in disk]
        orders = [torch.from_numpy(epoch_order(SEED, epoch, sizes.train_clips)).to(device) for epoch in range(epochs)]
        train, test = ([clips[part] for clips in on_device] for part in _parts(sizes))
        return plain_linear.evaluate(
            theirs, train, train_labels, test, test_labels, orders, (weights[0], weights[1]), sizes.batch, rate
        )

    def ours(epochs: int) -> LinearResult:
        held = torch.stack(
            [embed_clips(encoder, clips.numpy(), device, "float32") for encoder, clips in zip(mine, disk, strict=True)]
        ).to(device)
        train, test = (held[:, part].contiguous() for part in _parts(sizes))
        schedule = {
            "epochs": epochs,
            "decay": {"kind": "step", "epoch": None},
            "batch_size": sizes.batch,
            "learning_rate": rate,
            "optimizer": {"kind": "sgd", "momentum": MOMENTUM},
            "weight_decay": 0.0,
        }
        return linear_evaluation(train, train_labels, test, test_labels, sizes.classes, schedule, SEED)

    def difference() -> float:
        return largest_difference([(plain(sizes.timed_epochs)[0], ours(sizes.timed_epochs).single)])

    return Pair(
        plain=lambda: plain(sizes.timed_epochs),
        ours=lambda: ours(sizes.epochs),
        difference=difference,
        size=f"{sizes.train_clips} + {sizes.test_clips} clips, {len(names)} modalities, {sizes.epochs} epochs",
        note=f"plain: {sizes.timed_epochs} epochs timed, scaled to {sizes.epochs}; tested after each epoch; "
        f"difference: test logits after {sizes.timed_epochs} epochs",
        factor=sizes.epochs / sizes.timed_epochs,
    )


def _parts(sizes: Sizes) -> tuple[slice, slice]:
    return slice(0, sizes.train_clips), slice(sizes.train_clips, None)
