"""Stage 2: modalities exchange knowledge (IKEM, CrosSCLR)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ikem.methods.skeletonclr.trainer import MomentumContrastTrainer


class ExchangeTrainer(MomentumContrastTrainer):
    """Momentum contrast of several modalities with an exchange between them; the losses differ from stage 1."""

    def losses(
        self, query: Mapping[str, Tensor], key: Mapping[str, Tensor], dropout_seed: int, clips: Tensor
    ) -> dict[str, Tensor]:
        """The loss of each modality, from two views of a batch."""
        settings = self.settings
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
