"""Encoders and queue of ActCLR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from ikem.encoders.pooling import pool
from ikem.methods.actclr.actionlet import actionlet, combine, masked_pool, membership
from ikem.methods.actclr.mixing import Mix, exchange, mix, mixed_key
from ikem.seeding import seed_for
from ikem.settings.encoders import EncoderOptions
from ikem.skeleton import Skeleton
from ikem.training.moco import Branch, MomentumContrast, unit


class ActionletContrast(MomentumContrast):
    """Momentum contrast of one modality, whose keys and views follow from where a clip moves.

    Args:
        modality: its name.
        skeleton: of the clips.
        settings: the encoder and its head.
        queue_size: K.
        key_momentum: share of a key parameter that stays in a momentum (EMA) update.
        seed: fixes the queue.
        mask_own_keys: whether older keys of a clip itself count as duplicates.
        normalization: see `actionlet`.
    """

    parts: Tensor

    def __init__(
        self,
        modality: str,
        skeleton: Skeleton,
        settings: EncoderOptions,
        queue_size: int,
        key_momentum: float,
        seed: int,
        mask_own_keys: bool = False,
        normalization: Literal["corrected", "released"] = "corrected",
    ) -> None:
        super().__init__(
            [modality],
            skeleton,
            settings,
            queue_size=queue_size,
            key_momentum=key_momentum,
            temperature=1.0,
            top_k=1,
            seed=seed,
            initialization=settings.initialization,
            mask_own_keys=mask_own_keys,
        )
        self.modality, self.skeleton, self.normalization = modality, skeleton, normalization
        self.register_buffer("parts", membership(skeleton), persistent=False)

    def load_start(self, state: Mapping[str, Tensor]) -> None:
        """Take query encoder and head from a state in which they are `query.{modality}.*`; the keys start as copies.

        Raises:
            RuntimeError: a parameter is missing or has another shape.
        """
        prefix = f"query.{self.modality}."
        found = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        for branches in (self.query, self.key):
            branches[self.modality].load_state_dict(found)

    def views(
        self,
        seen: Sequence[Tensor],
        mixes: tuple[int, Mix, Mix],
        mixed_view: Literal["released", "weak"],
        dropout_seed: int,
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Momentum update of the key encoder; then keys and the inputs of the students.

        Args:
            seen: (B, M, C, T, V) each, of the modality: the strong, the normal, the weak view, and that of the key.
            mixes: offset of the partner with which lengths are exchanged; how the second and third view are mixed.
            mixed_view: what the third view is made of: "weak", or "released": of joints that with exchanged lengths.
            dropout_seed: fixes all dropout masks.

        Returns:
            three views (B, M, C, T, V): of the normal one the actionlet, the rest of the strong one; of the weak one
            with exchanged lengths the actionlet, the rest mixed; a mix of whole clips. Then the keys (B, D) of the
            first two views, and those of the third.
        """
        strong, normal, weak, key_view = seen
        query, key, bodies = self._branch(self.query), self._branch(self.key), weak.shape[1]
        offset, second_mix, third_mix = mixes
        with torch.no_grad():
            self.queue.flush()
            self._update_keys(self.modalities)
            mean_clip = key_view.mean(dim=0, keepdim=True)
            mean_maps = key.features(mean_clip, seed_for(dropout_seed, "mean clip"))
            mean_feature = key.head(pool(mean_maps, bodies))

            def mask_of(branch: Branch, maps: Tensor) -> Tensor:
                return actionlet(maps, bodies, branch.head, mean_feature, self.parts, self.normalization)

            maps = key.features(key_view, seed_for(dropout_seed, "key"))
            inside = masked_pool(maps, mask_of(key, maps), bodies)
            keys = unit((key.head(pool(maps, bodies)) + key.head(inside)) / 2)
            normal_mask = mask_of(query, query.features(normal, seed_for(dropout_seed, "normal mask")))
            weak_mask = mask_of(query, query.features(weak, seed_for(dropout_seed, "weak mask")))
            exchanged = exchange(weak, self.modality, offset, self.skeleton)
            base = exchanged if mixed_view == "released" and self.modality == "joint" else weak
            inputs = [
                combine(normal, strong, normal_mask),
                combine(exchanged, mix(exchanged, second_mix, self.parts), weak_mask),
                mix(base, third_mix, self.parts),
            ]
            return inputs, keys, mixed_key(keys, weak_mask, third_mix, self.parts)

    def features(self, inputs: list[Tensor], dropout_seed: int) -> Tensor:
        """The features of views (B, M, C, T, V) by the query encoder: (views, B, D)."""
        query = self._branch(self.query)
        return torch.stack([query(x, seed_for(dropout_seed, "view", view))[1] for view, x in enumerate(inputs)])

    def _branch(self, branches: torch.nn.ModuleDict) -> Branch:
        branch = branches[self.modality]
        assert isinstance(branch, Branch)
        return branch
