"""Preparation clip by clip, frame by frame where published code turns a body."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ikem.skeleton import Skeleton

Float32 = NDArray[np.float32]


def prepare(clip: Float32, skeleton: Skeleton, target_frames: int) -> Float32:
    """One clip (C, L, V, M) to (C, T, V, M)."""
    length = int((clip[:, :, 0, 0] != 0).any(axis=0).sum())
    centered = clip - clip[:, :, skeleton.center : skeleton.center + 1]
    channels, _, joints, bodies = clip.shape
    values = torch.from_numpy(np.ascontiguousarray(centered[:, :length].transpose(0, 2, 3, 1)))
    values = values.reshape(1, channels * joints * bodies, length)
    resized = F.interpolate(values, size=target_frames, mode="linear", align_corners=False)
    result = resized.view(channels, joints, bodies, target_frames).permute(0, 3, 1, 2).contiguous().numpy()
    left, right = skeleton.shoulders
    for body in range(bodies):
        line = result[:, :, right, body] - result[:, :, left, body]
        line[1] = 0
        angle = np.arccos(line[0] / (np.linalg.norm(line, axis=0) + 1e-4))
        if line[2].sum() >= 0:
            angle = -angle
        for frame in range(target_frames):
            cosine, sine = np.cos(angle[frame]), np.sin(angle[frame])
            matrix = np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
            result[:, frame, :, body] = matrix @ result[:, frame, :, body]
    return result


def prepare_all(clips: list[Float32], skeleton: Skeleton, target_frames: int) -> Float32:
    """Clips (C, L, V, M) of any length to (N, C, T, V, M)."""
    return np.stack([prepare(clip, skeleton, target_frames) for clip in clips])
