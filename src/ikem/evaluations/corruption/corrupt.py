"""What corruption does to prepared clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ikem.errors import InputError
from ikem.evaluations.corruption.evaluation import BodyPart, Clean, Corruption, Jitter, RandomJoints, TimeBlock
from ikem.seeding import seed_for
from ikem.skeleton import Skeleton

_HANDS = ("tip_of_left_hand", "left_thumb", "tip_of_right_hand", "right_thumb")
_LIMBS = {
    "arm": ("shoulder", "elbow", "wrist", "hand"),
    "leg": ("hip", "knee", "ankle", "foot"),
}
PARTS: dict[str, tuple[str, ...]] = {
    **{f"{side} arm": (*(f"{side}_{joint}" for joint in _LIMBS["arm"]), f"tip_of_{side}_hand", f"{side}_thumb")
       for side in ("left", "right")},
    "two hands": _HANDS,
    "two legs": tuple(f"{side}_{joint}" for side in ("left", "right") for joint in _LIMBS["leg"]),
    "trunk": ("base_of_spine", "middle_of_spine", "neck", "head", "spine", "hip_center", "shoulder_center"),
}  # fmt: skip
"""Joints of each body part by name, whatever the skeleton; for ntu25 those of Song et al. 2021 (arXiv 2008.03791)."""


def joints_of(part: str, skeleton: Skeleton) -> list[int]:
    """Numbers of the joints of a body part.

    Raises:
        InputError: the skeleton has no joint of these names.
    """
    found = [number for number, name in enumerate(skeleton.joints) if name in PARTS[part]]
    if not found:
        raise InputError(
            f"skeleton {skeleton.name} has no joint of the {part}", hint="Leave it out of evaluations.NAME.corruptions"
        )
    return found


def corrupt(
    position: NDArray[np.float32], names: Sequence[str], corruption: Corruption, skeleton: Skeleton, seed: int
) -> NDArray[np.float32]:
    """Corrupt prepared clips: a missing joint is at the origin, as in an absent body, before modalities are generated.

    What is drawn depends on the seed, the clip's name and the kind of corruption alone: every method sees the same, and
    what is hidden with a low probability is hidden with a higher one, too. Bodies are not moved in frames in which they
    are absent (all zero).

    Args:
        position: (n, 3, T, V, M) float32, centered; not changed.
        names: of the n clips.
        corruption: what is done.
        skeleton: of the V joints.
        seed: of the run.

    Returns:
        (n, 3, T, V, M) float32.
    """
    result = position.copy()
    frames, joints, bodies = position.shape[2:]
    for clip, name in zip(result, names, strict=True):
        generator = np.random.default_rng(seed_for(seed, "corruption", corruption.kind, name))
        if isinstance(corruption, BodyPart):
            clip[:, :, joints_of(corruption.part, skeleton)] = 0
        elif isinstance(corruption, TimeBlock):
            length = max(1, round(corruption.share * frames))
            start = int(generator.random() * (frames - length + 1))
            clip[:, start : start + length] = 0
        elif isinstance(corruption, RandomJoints):
            clip[:, generator.random((frames, joints, bodies)) < corruption.probability] = 0
        elif isinstance(corruption, Jitter):
            present = clip.any(axis=(0, 2))[:, None]  # (T, 1, M)
            moved = (generator.random((frames, joints, bodies)) < corruption.probability) & present
            clip += np.where(moved, corruption.deviation * generator.standard_normal(moved.shape), 0)
        else:
            assert isinstance(corruption, Clean)
    return result
