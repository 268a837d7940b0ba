"""Which tokens are hidden, what is predicted of them, and how well: Mao et al. 2023 (MAMP, arXiv 2308.07092).

A sequence of one body is cut into S segments of V joints: L = S V tokens of P numbers each, see
`ikem.encoders.transformer.network.patches`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ikem.encoders.dropout import random_words
from ikem.losses.precision import full_precision

_GUARD = 1e-10  # added to the divisor of intensities, which is 0 for a body that does not move
_LEAST_VARIANCE = 1e-6


def motion(x: Tensor) -> Tensor:
    """Difference to the next frame, in the last frame 0: (B, C, T, V) to (B, C, T, V)."""
    return torch.cat([x[:, :, 1:] - x[:, :, :-1], torch.zeros_like(x[:, :, :1])], dim=2)


def intensity(tokens: Tensor) -> Tensor:
    """How much each token moves: the mean of the absolute differences to the joint's token of the segment before.

    I[t, v] = mean over p of |x[t, v, p] - x[t - 1, v, p]|, and I[0, v] = I[1, v]; 0 if there is one segment only.

    Args:
        tokens: (B, S, V, P).

    Returns:
        (B, S, V), not negative.
    """
    if tokens.shape[1] == 1:
        return torch.zeros_like(tokens[..., 0])
    differences = (tokens[:, 1:] - tokens[:, :-1]).abs().mean(dim=-1)
    return torch.cat([differences[:, :1], differences], dim=1)


def gumbel_noise(shape: torch.Size, seed: int, device: torch.device) -> Tensor:
    """-log(-log u) with u uniform in (0, 1), float64: a function of seed and index alone, the same on every device."""
    words = random_words(torch.full((1,), seed, device=device), shape.numel())
    uniform = ((words >> 12).double() + (2**51 + 0.5)) / 2**52  # neither 0 nor 1
    return -(-uniform.log()).log().view(shape)


def visible_count(tokens: int, mask_ratio: float) -> int:
    """How many of the tokens are seen: the whole part of tokens (1 - mask_ratio) in floating point, at least one.

    That is how 750 tokens and a ratio of 0.9 give 74: 1 - 0.9 is a little less than 0.1.
    """
    return max(1, int(tokens * (1 - mask_ratio)))


def order_by_motion(moved: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Tokens in an order whose first are seen and whose others are hidden.

    Hidden tokens are a sample without replacement, token l with the weight

        pi_l = softmax(I_l / (t max I)) :

    those with the largest log pi_l + g_l, where g is Gumbel noise (Mao et al. 2023, section on motion-aware masking;
    Kool et al. 2019, arXiv 1903.06059, for why). So one with small log pi_l + g_l comes first.

    Args:
        moved: (B, L) intensities I.
        noise: (B, L) g.
        temperature: t.

    Returns:
        (B, L) int64: in each row a permutation of the tokens.
    """
    scaled = moved.double() / (moved.double().amax(dim=1, keepdim=True) * temperature + _GUARD)
    return (scaled.log_softmax(dim=1) + noise).argsort(dim=1, stable=True)


def standardized(tokens: Tensor) -> Tensor:
    """The numbers of each token with mean 0 and variance 1 (n - 1 in the divisor, 1e-6 added): (..., P) to (..., P).

    He et al. 2022 (arXiv 2111.06377) predict patches in this form.
    """
    variance, mean = torch.var_mean(tokens, dim=-1, keepdim=True)
    return (tokens - mean) / (variance + _LEAST_VARIANCE).sqrt()


@full_precision
def hidden_loss(prediction: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Mean square error over the hidden tokens.

    loss = mean over b, over hidden l, and over p of (prediction - target)^2.

    Args:
        prediction: (B, L, P).
        target: (B, L, P), a constant.
        hidden: (B, H) int64, the hidden tokens of each sequence.

    Returns:
        (), float32 at least. The gradient reaches hidden tokens of `prediction` only.
    """
    error = (prediction - target.detach()).square().mean(dim=-1)
    return error.gather(1, hidden).mean()
