"""Masked motion prediction: an encoder of the visible tokens, and a decoder of all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ikem.encoders.registry import build_encoder
from ikem.encoders.transformer.network import AXES, Block, GlorotLinear, patches
from ikem.methods.mamp.masked_motion import (
    gumbel_noise,
    hidden_loss,
    intensity,
    motion,
    order_by_motion,
    standardized,
    visible_count,
)
from ikem.skeleton import Skeleton


class Decoder(nn.Module):
    """Predicts the numbers of all tokens from the encoded visible ones.

    Args:
        encoder: options of the encoder, `ikem.encoders.transformer.encoder.Transformer`.
        joints: V.
        blocks: how many.
    """

    def __init__(self, encoder: Any, joints: int, blocks: int) -> None:
        super().__init__()
        width = encoder.hidden_dim
        self.embedding = GlorotLinear(width, width)
        self.hidden = nn.Parameter(torch.empty(width))
        self.of_time = nn.Parameter(torch.empty(-(-encoder.frames // encoder.segment), 1, width))
        self.of_joint = nn.Parameter(torch.empty(joints, width))
        self.blocks = nn.ModuleList(Block(width, encoder.heads, encoder.mlp_ratio) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.prediction = GlorotLinear(width, AXES * encoder.segment)

    def reset_parameters(self) -> None:
        """Draw the embeddings of time, joint and hidden tokens."""
        for parameter in (self.hidden, self.of_time, self.of_joint):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, encoded: Tensor, order: Tensor) -> Tensor:
        """Visible tokens (B, K, D), and the order (B, L) whose first K they are, to (B, L, P) in order of index."""
        count, visible, width = encoded.shape
        length, joints = order.shape[1], len(self.of_joint)
        embedded = self.embedding(encoded)
        unseen = self.hidden.to(embedded.dtype).expand(count, length - visible, width)
        index = order.argsort(dim=1).unsqueeze(2).expand(-1, -1, width)
        tokens = torch.cat([embedded, unseen], dim=1).gather(1, index)
        tokens = tokens + (self.of_time[: length // joints] + self.of_joint).flatten(0, 1)
        for block in self.blocks:
            tokens = block(tokens)
        predicted: Tensor = self.prediction(self.norm(tokens))
        return predicted


class MaskedMotion(nn.Module):
    """Encoder and decoder of one modality; a state holds `encoder.*` and `decoder.*`.

    Args:
        skeleton: gives the number of joints.
        encoder: options of the encoder, `ikem.encoders.transformer.encoder.Transformer`.
        decoder_blocks, mask_ratio, mask_temperature: see `ikem.methods.mamp.method.MAMP`.
    """

    def __init__(
        self, skeleton: Skeleton, encoder: Any, decoder_blocks: int, mask_ratio: float, mask_temperature: float
    ) -> None:
        super().__init__()
        self.mask_ratio, self.mask_temperature, self.segment = mask_ratio, mask_temperature, encoder.segment
        self.encoder: Any = build_encoder(encoder, skeleton)
        self.decoder = Decoder(encoder, skeleton.joint_count, decoder_blocks)

    def forward(self, x: Tensor, mask_seed: int) -> Tensor:
        """The loss of clips (N, M, C, T, V); absent bodies are sequences, too. The seed fixes what is hidden."""
        bodies = x.flatten(0, 1)
        moved = intensity(patches(bodies, self.segment)).flatten(1)
        noise = gumbel_noise(moved.shape, mask_seed, x.device)
        order = order_by_motion(moved, noise, self.mask_temperature)
        visible = visible_count(order.shape[1], self.mask_ratio)
        tokens = self.encoder.tokens(x).flatten(1, 2)
        seen = order[:, :visible].unsqueeze(2).expand(-1, -1, tokens.shape[2])
        prediction = self.decoder(self.encoder.encode(tokens.gather(1, seen)), order)
        target = standardized(patches(motion(bodies), self.segment)).flatten(1, 2)
        return hidden_loss(prediction, target, order[:, visible:])
