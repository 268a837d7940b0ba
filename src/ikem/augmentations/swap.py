"""Swap of left and right."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ikem.augmentations.declaration import Augmentation
from ikem.errors import InputError
from ikem.modalities import joint_indices
from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton

_OTHER = {"left": "right", "right": "left"}


class Swap(Settings):
    """Swap of left and right: the joints of each side take the coordinates of the other side's.

    Guo et al. 2022 (AimCLR, arXiv 2112.03590), "spatial flip".
    """

    kind: Literal["swap"] = "swap"
    probability: float = Field(0.5, ge=0, le=1)
    """Share of clips that are swapped."""
    negate_x: bool = False
    """Whether x, the axis of the shoulders, changes its sign too, which makes the swap a reflection. In the published
    code it does not."""


def other_side(joint: str) -> str:
    """The name of the joint on the other side: `tip_of_left_hand` gives `tip_of_right_hand`; `neck` gives `neck`."""
    return "_".join(_OTHER.get(word, word) for word in joint.split("_"))


@functools.lru_cache(maxsize=16)
def mirrored_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """For each joint the number of that on the other side; its own if it has no side.

    Raises:
        InputError: a joint has no counterpart, or none of the names has a side.
    """
    number = {name: index for index, name in enumerate(skeleton.joints)}
    for name in skeleton.joints:
        if other_side(name) not in number:
            raise InputError(
                f"skeleton {skeleton.name}: {name} has no counterpart {other_side(name)}",
                hint="Add the joint, or leave the augmentation swap out",
            )
    mirrored = tuple(number[other_side(name)] for name in skeleton.joints)
    if mirrored == tuple(range(len(mirrored))):
        raise InputError(
            f"skeleton {skeleton.name}: no name of a joint has the word left or right",
            hint="Name the joints such as left_hand, right_hand, or leave the augmentation swap out",
        )
    return mirrored


def random_swap(position: Tensor, uniform: Tensor, options: Swap, skeleton: Skeleton) -> Tensor:
    """Clips (N, M, C, T, V) whose number (N, 1) is below the probability with left and right swapped."""
    swapped = position.index_select(-1, joint_indices(mirrored_joints(skeleton), position.device))
    if options.negate_x:
        swapped[:, :, 0].neg_()
    return swapped.where(uniform.view(-1, 1, 1, 1, 1) < options.probability, position)


AUGMENTATION = Augmentation(Swap, 1, random_swap)
