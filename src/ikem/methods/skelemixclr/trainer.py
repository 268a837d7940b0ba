"""SkeleMixCLR: momentum contrast of one modality with mixed clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ikem.errors import InputError
from ikem.losses.infonce import info_nce
from ikem.methods.skelemixclr.losses import region_loss
from ikem.methods.skelemixclr.mixing import body_parts, draw_mix, mixed, pool_regions, region
from ikem.methods.skeletonclr.trainer import MomentumContrastTrainer
from ikem.seeding import StepSeeds, seed_for
from ikem.training.loader import Clips
from ikem.training.moco import Branch, unit


class SkeleMixTrainer(MomentumContrastTrainer):
    """Momentum contrast of one modality, of whole clips and of the two regions of mixed clips."""

    def __init__(
        self, settings: Mapping[str, Any], clips: Clips, device: torch.device, inputs: Mapping[str, Path]
    ) -> None:
        """Set up from the settings of a job.

        Raises:
            InputError: the body has too few parts, or a batch of one clip is left over, which BatchNorm cannot take.
        """
        super().__init__(settings, clips, device, inputs)
        (self.modality,) = settings["modalities"]
        parts = body_parts(self.skeleton)
        if len(parts) <= settings["most_parts"]:
            raise InputError(
                f"skeleton {self.skeleton.name} has {len(parts)} body parts, of which {settings['most_parts']} are to "
                "be pasted, but one must stay",
                hint="Lower most_parts of the method; limbs are joints with left or right in their names",
            )
        left_over = clips.count % int(settings["schedule"]["batch_size"])
        if settings["normalized_head"] and (clips.count == 1 or (left_over == 1 and not settings["drop_last"])):
            raise InputError(
                f"{clips.count} clips leave a batch of one, which the head's BatchNorm cannot normalize",
                hint="Set drop_last: true or another batch_size in the recipe, or normalized_head: false in the method",
            )
        everyone = range(self.skeleton.joint_count)
        self.part_masks = [torch.tensor([joint in part for joint in everyone], device=device) for part in parts]

    def head(self, hidden_dim: int, feature_dim: int) -> nn.Module:
        """With BatchNorm before the ReLU if the method says so."""
        plain = super().head(hidden_dim, feature_dim)
        if not self.settings["normalized_head"]:
            return plain
        assert isinstance(plain, nn.Sequential)
        return nn.Sequential(plain[0], nn.BatchNorm1d(hidden_dim), plain[1], plain[2])

    def losses(
        self, views: Sequence[Mapping[str, Tensor]], epoch: int, dropout_seed: int | StepSeeds, clips: Tensor
    ) -> dict[str, Tensor]:
        """See the base class."""
        assert isinstance(dropout_seed, int)  # mixes are drawn on the host
        model, (query, key_view) = self.model, views
        x, branch = query[self.modality], model.query[self.modality]
        assert isinstance(branch, Branch)
        keys = model.keys(key_view, dropout_seed)
        masked, queue = model.own_keys(clips), model.queue.stacked[0]
        features = branch.features(x, seed_for(dropout_seed, self.modality, "query"))
        whole = info_nce(branch.project(features, bodies=x.shape[1]), keys[0], queue, model.temperature, masked)
        seeds = [seed_for(dropout_seed, self.modality, "mix", number) for number in range(self.settings["mixes"])]
        each = [self.mix_loss(branch, x, keys[0], queue, masked, features.shape[2], seed) for seed in seeds]
        model.enqueue(keys, clips)
        share = 1 / len(each) if each and self.settings["sum_of_mixes"] == "mean" else 1
        return {self.modality: whole + share * sum(each)}

    def mix_loss(
        self, branch: Branch, x: Tensor, key: Tensor, queue: Tensor, masked: Tensor | None, frames: int, seed: int
    ) -> Tensor:
        """The mean loss of both regions of a mix of the clips x (B, M, C, T, V); `frames` are the feature map's."""
        settings = self.settings
        counts = settings["fewest_parts"], settings["most_parts"]
        block = settings["shortest_block"], settings["longest_block"]
        mix = draw_mix(seed_for(seed, "draw"), len(x), frames, len(self.part_masks), counts, block)
        clip = mixed(x, mix, region(mix, self.part_masks, x.shape[3], frames))
        on_map = region(mix, self.part_masks, frames, frames)
        pooled = pool_regions(branch.features(clip, seed_for(seed, "dropout")), on_map, bodies=x.shape[1])
        pasted, rest = (unit(branch.head(part)) for part in pooled)
        partner_key = key.roll(-mix.shift, dims=0)
        partner_masked = None if masked is None else masked.roll(-mix.shift, dims=0)
        temperature = self.model.temperature
        first = region_loss(pasted, partner_key, queue, rest, temperature, partner_masked)
        return (first + region_loss(rest, key, queue, pasted, temperature, masked)) / 2
