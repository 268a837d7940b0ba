"""The energy-based attention-guided drop module (EADM) of AimCLR."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

_LAMBDA = 1e-4


def attention(features: Tensor) -> Tensor:
    """How far each value stands out of its channel: (N, D, T, V) to the same shape, 0.622 or more, float32 at least.

    With mu the mean and s^2 the variance of a channel over frames and joints,

        a = sigmoid((x - mu)^2 / (4 (s^2 + 1e-4)) + 1/2),

    the inverse of the minimal energy of a neuron: Yang et al. 2021 (SimAM, ICML, equation 5); Guo et al. 2022 (AimCLR,
    arXiv 2112.03590).
    """
    x = features.float() if features.dtype.itemsize < 4 else features
    squared = (x - x.mean(dim=(2, 3), keepdim=True)).square()
    variance = squared.sum(dim=(2, 3), keepdim=True) / max(1, x.shape[2] * x.shape[3] - 1)
    return (squared / (4 * (variance + _LAMBDA)) + 0.5).sigmoid()


def drop_attended(
    features: Tensor, joint_threshold: float, time_threshold: float, time_drop: Literal["values", "frames"]
) -> Tensor:
    """Set to zero what has much attention, so that the rest must do.

    First joints whose mean attention over channels and frames reaches a threshold; then values, or frames by their mean
    attention over channels and joints, that reach another. After each the rest is scaled up by all / kept, counted in
    the whole batch. Nothing is random. Guo et al. 2022 (AimCLR, arXiv 2112.03590).

    Args:
        features: (N, D, T, V), N bodies of clips.
        joint_threshold, time_threshold: see above.
        time_drop: "values", as in the published code; "frames", as its name says.

    Returns:
        (N, D, T, V). The gradient passes what is kept; the attention is a constant.
    """
    every = attention(features.detach())
    joints = every.mean(dim=(1, 2), keepdim=True) < joint_threshold
    times = (every.mean(dim=(1, 3), keepdim=True) if time_drop == "frames" else every) < time_threshold
    for kept in (joints, times):
        features = features * kept * (kept.numel() / kept.sum().clamp_min(1).double()).to(features.dtype)
    return features
