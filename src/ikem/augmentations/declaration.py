"""What an augmentation declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ikem.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from ikem.skeleton import Skeleton


@dataclass(frozen=True)
class Augmentation:
    """A registered augmentation.

    Attributes:
        options: its section of a config; `kind` is its name.
        numbers: how many random numbers it needs for a clip.
        apply: from (position (N, M, C, T, V), random numbers (N, numbers), options, skeleton) to (N, M, C, T, V); the
            numbers are float64, uniform in [0, 1).
    """

    options: type[Settings]
    numbers: int
    apply: Callable[[Tensor, Tensor, Any, Skeleton], Tensor]
