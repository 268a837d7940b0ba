"""Drawing initial parameters from a seed, without touching the global random state."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

Initialization = Literal["published", "pytorch"]


def initialize(module: nn.Module, seed: int, kind: Initialization) -> None:
    """Draw all parameters of `module` anew, in the order of its submodules; they are expected on the CPU.

    Args:
        module: made of linear and convolution layers and BatchNorms.
        seed: the same seed gives the same bits.
        kind: "published": weights N(0, 0.02) and biases 0, BatchNorm weights N(1, 0.02) and biases 0; "pytorch": what
            PyTorch draws for a new layer. Edge importance is 1 in both.
    """
    generator = torch.Generator().manual_seed(seed)
    if kind == "published":
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
                nn.init.normal_(layer.weight, 0.0, 0.02, generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
                nn.init.normal_(layer.weight, 1.0, 0.02, generator=generator)
                nn.init.zeros_(layer.bias)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.set_state(generator.get_state())
            for layer in module.modules():
                if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd | nn.modules.batchnorm._BatchNorm):
                    layer.reset_parameters()
    for name, parameter in module.named_parameters():
        if name.endswith("edge_importance"):
            nn.init.ones_(parameter)
