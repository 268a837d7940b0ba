"""The encoders and queues of CMD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ikem.encoders.heads import projection_head
from ikem.encoders.initialization import initialize
from ikem.losses.infonce import info_nce
from ikem.losses.queue import Queues
from ikem.methods.cmd.losses import mutual_distillation
from ikem.parallel_apply import parallel_apply
from ikem.seeding import seed_for
from ikem.settings.encoders import EncoderOptions
from ikem.skeleton import Skeleton
from ikem.training.moco import Branch


class MutualDistillation(nn.Module):
    """For each modality m a query encoder `query.m`, its key encoder `key.m`, and `queue.m`.

    The names in a state are those of `ikem.training.moco.MomentumContrast`. What is drawn for a modality depends on the
    seed and the modality only.

    Args:
        modalities: names, in order.
        skeleton: of the clips.
        settings: the encoder and its head.
        queue_size: K.
        key_momentum: share of a key parameter that stays in a momentum (EMA) update.
        seed: fixes parameters and queues.
        mask_own_keys: whether older keys of a clip itself are left out of the queue.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        skeleton: Skeleton,
        settings: EncoderOptions,
        queue_size: int,
        key_momentum: float,
        seed: int,
        mask_own_keys: bool = False,
    ) -> None:
        super().__init__()
        self.modalities, self.key_momentum, self.mask_own_keys = tuple(modalities), key_momentum, mask_own_keys
        self.query, self.key = nn.ModuleDict(), nn.ModuleDict()
        with torch.random.fork_rng(devices=[]):  # the layers draw before `initialize` does
            for name in self.modalities:
                for branches in (self.query, self.key):
                    head = projection_head(settings.hidden_dim, settings.feature_dim)
                    branches[name] = Branch(skeleton, settings, head)
        for name in self.modalities:
            initialize(self.query[name], seed_for(seed, "encoder", name), settings.initialization)
            self.key[name].load_state_dict(self.query[name].state_dict())
        self.key.requires_grad_(False)
        seeds = [seed_for(seed, "queue", name) for name in self.modalities]
        self.queue = Queues(self.modalities, settings.feature_dim, queue_size, seeds, mask_own_keys)

    def losses(
        self,
        query_view: Mapping[str, Tensor],
        key_view: Mapping[str, Tensor],
        temperature: float,
        neighbors: int,
        teacher_temperature: float,
        student_temperature: float,
        distillation_weight: float,
        dropout_seed: int,
        clips: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The forward half of a step: momentum update; keys; queries; losses; the queues take the keys.

        Args:
            query_view: each modality (B, M, C, T, V) of the first view.
            key_view: the same of the second view.
            temperature: of InfoNCE.
            neighbors, teacher_temperature, student_temperature: see `mutual_distillation`.
            distillation_weight: its weight beside InfoNCE.
            dropout_seed: fixes all dropout masks of the step.
            clips: (B,) int64, number of each clip; with `mask_own_keys` only.

        Returns:
            the loss of each modality as a student, to be minimized in sum.
        """
        self.queue.flush()
        masked = None
        if self.mask_own_keys:
            assert clips is not None
            masked = self.queue.clips == clips[:, None]
        with torch.no_grad():
            self._update_keys()
            keys = self._features(self.key, key_view, dropout_seed, "key")
        queries = self._features(self.query, query_view, dropout_seed, "query")
        queues = self.queue.stacked
        each = zip(queries, keys, queues, strict=True)
        contrast = torch.stack([info_nce(*parts, temperature, masked) for parts in each])
        distillation = mutual_distillation(
            queries, keys, queues, neighbors, teacher_temperature, student_temperature, masked
        )
        self.queue.enqueue(keys, clips if self.mask_own_keys else None)
        losses = contrast + distillation_weight * distillation.sum(dim=0)
        return dict(zip(self.modalities, losses.unbind(), strict=True))

    @staticmethod
    def _features(branches: nn.ModuleDict, view: Mapping[str, Tensor], dropout_seed: int, role: str) -> Tensor:
        """The feature of each modality: (A, B, D)."""
        inputs = [(view[name], seed_for(dropout_seed, name, role)) for name in branches]
        return torch.stack([feature for _, feature in parallel_apply(list(branches.values()), inputs)])

    def _update_keys(self) -> None:
        """Move key parameters towards the queries'; BatchNorm buffers are the keys' own."""
        keys: list[Tensor] = list(self.key.parameters())
        torch._foreach_lerp_(keys, list(self.query.parameters()), 1.0 - self.key_momentum)
