"""Encoder and projector of PSTL."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ikem.encoders.initialization import initialize
from ikem.encoders.registry import build_encoder
from ikem.methods.pstl.losses import barlow_twins
from ikem.seeding import seed_for
from ikem.settings.encoders import EncoderOptions
from ikem.skeleton import Skeleton


class PartialLearning(nn.Module):
    """One encoder, and the projector whose outputs are correlated.

    Args:
        skeleton: of the clips.
        settings: of the encoder; it can leave joints out.
        projector_dim: width of the projector.
        seed: fixes the parameters.
    """

    def __init__(self, skeleton: Skeleton, settings: EncoderOptions, projector_dim: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # the layers draw before `initialize` does
            self.encoder = build_encoder(settings, skeleton)
            self.projector = projector(settings.hidden_dim, projector_dim)
        initialize(self, seed, settings.initialization)

    def losses(
        self,
        whole: Tensor,
        slow: Tensor,
        peripheral: Tensor,
        joints: Tensor,
        off_diagonal_weight: float,
        dropout_seed: int,
    ) -> tuple[Tensor, Tensor]:
        """Barlow Twins of the whole clip with each of two partial ones.

        Args:
            whole: (B, M, C, T, V), the anchor.
            slow: (B, M, C, T', V), without fast frames.
            peripheral: (B, M, C, T, V), of which only `joints` are kept.
            joints: (V',) int64.
            off_diagonal_weight: see `barlow_twins`.
            dropout_seed: fixes all dropout masks of the step.

        Returns:
            the two losses, whose sum is to be minimized.
        """
        seeds = [seed_for(dropout_seed, view) for view in ("whole", "slow", "peripheral")]
        embeddings = [
            self.encoder(whole, seeds[0]),
            self.encoder(slow, seeds[1]),
            self.encoder(peripheral, seeds[2], joints),
        ]
        anchor, *partial = [self.projector(embedding) for embedding in embeddings]
        first, second = (barlow_twins(anchor, other, off_diagonal_weight) for other in partial)
        return first, second


def projector(inputs: int, width: int) -> nn.Sequential:
    """Three linear layers with BatchNorm and ReLU between them: (N, inputs) to (N, width)."""
    return nn.Sequential(
        *(nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()),
        *(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()),
        nn.Linear(width, width, bias=False),
    )
