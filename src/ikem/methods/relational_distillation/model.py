"""Relational distillation of a teacher's modalities into fewer encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ikem.encoders.heads import exchange_head, projection_head
from ikem.encoders.initialization import initialize
from ikem.losses.infonce import info_nce
from ikem.losses.queue import Queues
from ikem.losses.relational_distillation import relational_losses
from ikem.parallel_apply import parallel_apply
from ikem.seeding import StepSeeds, seed_for
from ikem.settings.encoders import EncoderOptions, Initialization
from ikem.skeleton import Skeleton
from ikem.training.moco import Branch

# The slip in the published code: angular velocity is compared with the bone queue.
_PUBLISHED_QUEUE = {"angular_velocity": "bone"}


def mining_numbers(modalities: Sequence[str], kind: Literal["corrected", "published"]) -> list[int]:
    """For each modality of the teacher the number of the queue that it mines in."""
    slip = _PUBLISHED_QUEUE if kind == "published" else {}
    number = {name: index for index, name in enumerate(modalities)}
    return [number.get(slip.get(name, name), number[name]) for name in modalities]


class RelationalDistillation(nn.Module):
    """A frozen teacher of A modalities, students that learn its relations, and queues of the teacher's features.

    A state holds `teacher.m.*` and `queue.m` for each modality of the teacher, `joined_queue.all`, the pointers of
    both, and `student.m.*` for each student. What is drawn for a student depends on the seed, its modality and
    the teacher's number of modalities only.

    Args:
        teacher_modalities: names, in order.
        student_modalities: names, in order; each is one of the data's modalities, the teacher need not have it.
        skeleton: gives the graph.
        teacher_settings: encoder and head of the teacher.
        student_settings: encoder of the students; their feature is as wide as the teacher's, joined.
        queue_size: K.
        temperature: of all losses, 0.025 or more.
        top_k: positives that a modality of the teacher mines.
        seed: fixes parameters and queues.
        mining_queue: "corrected": each modality mines in its own queue; "published": angular velocity mines in that of
            bone (where the teacher has it).
        teacher_mode: "evaluation"; or "published", which leaves the teacher's BatchNorm and dropout in training mode.
        relations: False: the loss is InfoNCE of student and joined teacher, without mined positives.
        initialization: see `ikem.encoders.initialization`.
    """

    def __init__(
        self,
        teacher_modalities: Sequence[str],
        student_modalities: Sequence[str],
        skeleton: Skeleton,
        teacher_settings: EncoderOptions,
        student_settings: EncoderOptions,
        queue_size: int,
        temperature: float,
        top_k: int,
        seed: int,
        mining_queue: Literal["corrected", "published"] = "corrected",
        teacher_mode: Literal["evaluation", "published"] = "evaluation",
        relations: bool = True,
        initialization: Initialization = "published",
    ) -> None:
        super().__init__()
        self.teacher_modalities, self.student_modalities = tuple(teacher_modalities), tuple(student_modalities)
        self.temperature, self.top_k, self.teacher_mode = temperature, top_k, teacher_mode
        self.relations = relations
        self.mining = mining_numbers(self.teacher_modalities, mining_queue)
        features = teacher_settings.feature_dim
        count = len(self.teacher_modalities)
        self.teacher, self.student = nn.ModuleDict(), nn.ModuleDict()
        with torch.random.fork_rng(devices=[]):  # the layers draw before `initialize` does
            for name in self.teacher_modalities:
                head = projection_head(teacher_settings.hidden_dim, features)
                self.teacher[name] = Branch(skeleton, teacher_settings, head)
            for name in self.student_modalities:
                head = exchange_head(student_settings.hidden_dim, features, count)
                self.student[name] = Branch(skeleton, student_settings, head)
        for name in self.student_modalities:
            initialize(self.student[name], seed_for(seed, "student", name, count), initialization)
        self.teacher.requires_grad_(False)
        seeds = [seed_for(seed, "teacher queue", name) for name in self.teacher_modalities]
        self.queue = Queues(self.teacher_modalities, features, queue_size, seeds)
        self.joined_queue = Queues(["all"], count * features, queue_size, [seed_for(seed, "joined queue")])
        self.train()

    def train(self, mode: bool = True) -> RelationalDistillation:
        """As for any module, but the teacher stays in evaluation mode unless its mode is the published one."""
        super().train(mode)
        if self.teacher_mode == "evaluation":
            self.teacher.eval()
        return self

    def load_teacher(self, state: Mapping[str, Tensor]) -> None:
        """Take the teacher's encoders and heads from a state of `MomentumContrast`, where they are `query.*`.

        Raises:
            RuntimeError: a parameter is missing or has another shape.
        """
        wanted = tuple(f"query.{name}." for name in self.teacher_modalities)
        self.teacher.load_state_dict(
            {name.removeprefix("query."): value for name, value in state.items() if name.startswith(wanted)}
        )

    def losses(
        self, teacher_view: Mapping[str, Tensor], student_view: Mapping[str, Tensor], dropout_seed: int | StepSeeds = 0
    ) -> dict[str, Tensor]:
        """The forward half of a step: teacher, students, losses; the queues take the teacher's features.

        Args:
            teacher_view: each modality of the teacher (B, M, C, T, V), of the first view.
            student_view: each student's modality, of the second view.
            dropout_seed: fixes all dropout masks of the step.

        Returns:
            the loss of each student, a mean over the teacher's modalities; their sum is to be minimized.
        """
        with torch.no_grad():
            features = self._features(self.teacher, teacher_view, dropout_seed, "teacher")
        students = self._features(self.student, student_view, dropout_seed, "student")
        losses = self.relate(students, features).mean(dim=1)
        return dict(zip(self.student_modalities, losses.unbind(), strict=True))

    @staticmethod
    def _features(
        branches: nn.ModuleDict, view: Mapping[str, Tensor], dropout_seed: int | StepSeeds, role: str
    ) -> Tensor:
        """The feature of each branch, stacked."""
        given = [(view[name], seed_for(dropout_seed, name, role)) for name in branches]
        return torch.stack([feature for _, feature in parallel_apply(list(branches.values()), given)])

    def flush(self) -> None:
        """Have the queues take the features that are pending."""
        self.queue.flush()
        self.joined_queue.flush()

    def relate(self, students: Tensor, features: Tensor) -> Tensor:
        """The loss of each pair of student and teacher modality; the queues take the features.

        Args:
            students: (S, B, A * D), unit vectors.
            features: (A, B, D), unit vectors of the teacher.

        Returns:
            (S, A); without relations (S, 1).
        """
        self.flush()
        count, batch, dim = features.shape
        joined = F.normalize(features.transpose(0, 1).reshape(batch, count * dim), dim=1)
        joined_queue, temperature = self.joined_queue.stacked[0], self.temperature
        if self.relations:
            queues = self.queue.stacked, joined_queue
            pairs = relational_losses(students, joined, features, *queues, temperature, self.top_k, self.mining)
        else:
            pairs = info_nce(students, joined, joined_queue, temperature).unsqueeze(1)
        self.queue.enqueue(features)
        self.joined_queue.enqueue(joined.unsqueeze(0))
        return pairs
