"""Bidirectional GRU over the frames of a clip (Cho et al. 2014, arXiv 1406.1078), as in Mao et al. 2022 (CMD, arXiv
2208.12448). Shapes: N clips of M bodies, C channels, T frames, V joints.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ikem.encoders.dropout import Seed
from ikem.skeleton import Skeleton


class XavierGRU(nn.GRU):
    """`nn.GRU` whose weight matrices are drawn as by Glorot and Bengio 2010 (PMLR 9, equation 16)."""

    def reset_parameters(self) -> None:
        """Biases as PyTorch draws them."""
        super().reset_parameters()
        for parameter in self.parameters(recurse=False):
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)


class BiGRU(nn.Module):
    """Maps a batch of clips to embeddings. An encoder as `ikem.encoders.declaration` describes it.

    Args:
        skeleton: gives the number of joints.
        hidden_dim: D, width of the embedding: half of it are units of each direction.
        layers: number of layers.
        bodies: how many bodies enter together; the embedding is the mean over these groups of bodies. A group that
            lacks bodies is filled with absent ones (all zero).
    """

    def __init__(self, skeleton: Skeleton, hidden_dim: int = 2048, layers: int = 3, bodies: int = 1) -> None:
        super().__init__()
        inputs = bodies * 3 * skeleton.joint_count
        self.bodies_together, self.joints = bodies, skeleton.joint_count
        self.input_norm = nn.BatchNorm1d(inputs)
        self.gru = XavierGRU(inputs, hidden_dim // 2, layers, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, dropout_seed: Seed | None = None) -> Tensor:
        """Embed clips (N, M, C, T, V): (N, D), the mean over groups of bodies."""
        return self._last_outputs(x).view(x.shape[0], -1, 2 * self.gru.hidden_size).mean(dim=1)

    def features(self, x: Tensor, dropout_seed: Seed | None = None) -> Tensor:
        """What `forward` gives for each group of bodies: (N * groups, D, 1, V), the same for every joint.

        The recurrent layers keep neither frames nor joints apart.
        """
        return self._last_outputs(x)[:, :, None, None].expand(-1, -1, 1, self.joints)

    def _last_outputs(self, x: Tensor) -> Tensor:
        """Output of both directions at the last frame: (N * groups, D)."""
        bodies, axes, frames, joints = x.shape[1:]
        x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, -bodies % self.bodies_together))
        groups = x.reshape(-1, self.bodies_together, axes, frames, joints).transpose(2, 3)
        sequences = groups.transpose(1, 2).flatten(2)  # (N * groups, T, inputs)
        normalized = self.input_norm(sequences.transpose(1, 2)).transpose(1, 2)
        outputs: Tensor = self.gru(normalized)[0]
        return outputs[:, -1]
