"""Stage 2: modalities exchange knowledge (IKEM, CrosSCLR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ikem.methods.skeletonclr.trainer import MomentumContrastTrainer
from ikem.seeding import StepSeeds


class ExchangeTrainer(MomentumContrastTrainer):
    """Momentum contrast of several modalities with an exchange between them; the losses differ from stage 1."""

    replayable = True

    def losses(
        self, views: Sequence[Mapping[str, Tensor]], epoch: int, dropout_seed: int | StepSeeds, clips: Tensor
    ) -> dict[str, Tensor]:
        """See the base class."""
        (query, key), settings = views, self.settings
        return self.model.losses(
            query,
            key,
            "exchange",
            settings["momentum_modalities"],
            settings["explicit"],
            settings["implicit"],
            dropout_seed,
            clips,
        )
