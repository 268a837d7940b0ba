"""Transformer over tokens of a joint and a few frames.

Dosovitskiy et al. 2021 (ViT, arXiv 2010.11929) in the form of Mao et al. 2023 (MAMP, arXiv 2308.07092). Shapes: N clips
of M bodies, C = 3 channels, T frames, V joints; S = ceil(T / segment) segments; sequences are bodies, each by itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ikem.encoders.dropout import Seed, dropout
from ikem.encoders.pooling import pool
from ikem.errors import InputError
from ikem.skeleton import Skeleton

AXES = 3


def patches(x: Tensor, segment: int) -> Tensor:
    """Cut sequences into tokens of one joint and `segment` frames; the last frame is repeated to fill the last token.

    Args:
        x: (B, C, T, V).
        segment: frames of a token.

    Returns:
        (B, S, V, segment * C): the numbers of each token, frame by frame.
    """
    missing = -x.shape[2] % segment
    if missing:
        x = torch.cat([x, x[:, :, -1:].expand(-1, -1, missing, -1)], dim=2)
    count, axes, frames, joints = x.shape
    x = x.reshape(count, axes, frames // segment, segment, joints)
    return x.permute(0, 2, 4, 3, 1).reshape(count, frames // segment, joints, segment * axes)


class GlorotLinear(nn.Module):
    """x W^T + b; uniform weights of Glorot and Bengio 2010 (AISTATS, equation 16), biases 0.

    It is no `nn.Linear`, whose weights a recipe draws with the deviation of the ST-GCN's code.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def reset_parameters(self) -> None:
        """Draw the weights."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return F.linear(x, self.weight, self.bias)


class Block(nn.Module):
    """Attention and a perceptron of two layers; each is normalized before, and adds to what it is given.

    Args:
        width: D.
        heads: of the attention; they divide D.
        mlp_ratio: hidden width of the perceptron, as a multiple of D.
        dropout: probability of dropping a value of what is added.
        drop_path: probability of adding nothing to a sequence (Huang et al. 2016, arXiv 1603.09382).
    """

    def __init__(self, width: int, heads: int, mlp_ratio: int, dropout: float = 0.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout, self.drop_path = heads, dropout, drop_path
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.projection = GlorotLinear(width, 3 * width), GlorotLinear(width, width)
        self.expand, self.contract = GlorotLinear(width, mlp_ratio * width), GlorotLinear(mlp_ratio * width, width)

    def forward(self, x: Tensor, dropout_seed: Seed | None = None) -> Tensor:
        """(B, L, D) to (B, L, D); a seed of None: nothing is dropped."""
        x = x + self.drop(self.attention(self.attention_norm(x)), dropout_seed, 0)
        y = self.contract(F.gelu(self.expand(self.mlp_norm(x))))
        return x + self.drop(y, dropout_seed, 2)

    def attention(self, x: Tensor) -> Tensor:
        """Each token takes from all of its sequence (Vaswani et al. 2017, arXiv 1706.03762, equation 1)."""
        count, length, width = x.shape
        query, key, value = self.query_key_value(x).view(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        added: Tensor = self.projection(mixed.transpose(1, 2).reshape(count, length, width))
        return added

    def drop(self, x: Tensor, dropout_seed: Seed | None, number: int) -> Tensor:
        """Single values, and whole sequences; `number` sets the masks of a block apart."""
        if dropout_seed is None:
            return x
        if self.dropout > 0:
            x = dropout(x, dropout_seed + number, self.dropout)
        if self.drop_path > 0:
            x = x * dropout(x.new_ones(len(x), 1, 1), dropout_seed + number + 1, self.drop_path)
        return x


class Transformer(nn.Module):
    """Maps a batch of clips to embeddings. An encoder as `ikem.encoders.declaration` describes it.

    Args:
        skeleton: gives the number of joints.
        hidden_dim: D, width of tokens and embedding.
        frames: T of the longest clip.
        segment: frames of a token.
        blocks, heads, mlp_ratio, dropout, drop_path: see `ikem.encoders.transformer.encoder`.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        hidden_dim: int = 256,
        frames: int = 120,
        segment: int = 4,
        blocks: int = 8,
        heads: int = 8,
        mlp_ratio: int = 4,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.frames, self.segment, self.drops = frames, segment, dropout > 0 or drop_path > 0
        self.of_time = nn.Parameter(torch.empty(-(-frames // segment), 1, hidden_dim))
        self.of_joint = nn.Parameter(torch.empty(skeleton.joint_count, hidden_dim))
        self.embedding = GlorotLinear(segment * AXES, hidden_dim)
        self.blocks = nn.ModuleList(
            Block(hidden_dim, heads, mlp_ratio, dropout, drop_path * number / max(1, blocks - 1))
            for number in range(blocks)
        )
        self.norm = nn.LayerNorm(hidden_dim)

    def reset_parameters(self) -> None:
        """Draw the embeddings of time and joint."""
        nn.init.trunc_normal_(self.of_time, std=0.02)
        nn.init.trunc_normal_(self.of_joint, std=0.02)

    def forward(self, x: Tensor, dropout_seed: Seed | None = None) -> Tensor:
        """Embed clips (N, M, C, T, V): the mean (N, D) over tokens and bodies, absent bodies counted."""
        return pool(self.features(x, dropout_seed), bodies=x.shape[1])

    def features(self, x: Tensor, dropout_seed: Seed | None = None) -> Tensor:
        """The tokens of each body of each clip after the last block.

        Args:
            x: (N, M, C, T, V).
            dropout_seed: fixes the masks of this call; needed in training mode unless nothing is dropped.

        Returns:
            (N * M, D, S, V).

        Raises:
            InputError: the clips have more frames than there are embeddings of time.
            ValueError: the seed is missing.
        """
        if not (self.training and self.drops):
            dropout_seed = None
        elif dropout_seed is None:
            raise ValueError("training with dropout needs a dropout_seed")
        tokens = self.tokens(x)
        encoded = self.encode(tokens.flatten(1, 2), dropout_seed)
        return encoded.view(tokens.shape).permute(0, 3, 1, 2)

    def tokens(self, x: Tensor) -> Tensor:
        """Embedded tokens with their embeddings of time and joint: (N, M, C, T, V) to (N * M, S, V, D)."""
        if x.shape[3] > self.frames:
            raise InputError(
                f"a clip has {x.shape[3]} frames, the encoder embeddings for {self.frames}",
                hint="Raise encoder.frames of the recipe, or lower prepare.frames of the dataset",
            )
        cut = patches(x.flatten(0, 1), self.segment)
        embedded: Tensor = self.embedding(cut)
        return embedded + self.of_time[: cut.shape[1]] + self.of_joint

    def encode(self, tokens: Tensor, dropout_seed: Seed | None = None) -> Tensor:
        """All blocks: (B, L, D), of any subset of a sequence's tokens, to (B, L, D)."""
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, None if dropout_seed is None else dropout_seed + 4 * number)
        normalized: Tensor = self.norm(tokens)
        return normalized
