"""Drawing initial parameters from a seed, without touching the global random state."""

from __future__ import annotations

import torch
from torch import nn

from ikem.settings.encoders import Initialization


def initialize(module: nn.Module, seed: int, kind: Initialization) -> None:
    """Draw all parameters of `module` again, in the order of its submodules; they are expected on the CPU.

    Every submodule that has parameters of its own must have PyTorch's method `reset_parameters`, as PyTorch's layers
    do; it must set all of them, and may draw from PyTorch's default generator, which starts from the seed.

    Args:
        module: any.
        seed: the same seed gives the same bits.
        kind: "published": weights N(0, 0.02) and biases 0 of linear and convolution layers, weights N(1, 0.02) and
            biases 0 of BatchNorm; "pytorch": what PyTorch draws for a new layer. Other layers: `reset_parameters`.

    Raises:
        TypeError: a submodule has parameters that do not follow the seed.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        for name, layer in module.named_modules():
            parameters = dict(layer.named_parameters(recurse=False))
            for parameter in parameters.values():
                parameter.fill_(torch.nan)
            if kind == "published" and isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
                _draw(layer, 0.0)
            elif kind == "published" and isinstance(layer, nn.modules.batchnorm._BatchNorm):
                _draw(layer, 1.0)
            elif parameters and hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
            unset = [each for each, parameter in parameters.items() if bool(parameter.isnan().any())]
            if unset:
                raise TypeError(
                    f"{type(layer).__name__} {name or 'itself'}: its parameters {', '.join(unset)} do not follow the "
                    "seed; set them in its method reset_parameters"
                )


def _draw(layer: nn.Module, mean: float) -> None:
    """The published deviation of 0.02."""
    for name, parameter in layer.named_parameters(recurse=False):
        if name == "bias":
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, mean, 0.02)
