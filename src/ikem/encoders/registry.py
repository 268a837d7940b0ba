"""All encoders by name. To add one: a folder with `encoder.py` and its network, and an entry in a recipe.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ikem import encoders as package
from ikem.encoders.declaration import Encoder, network_options
from ikem.registry import declarations, load
from ikem.schema import default_kind
from ikem.settings.encoders import EncoderOptions
from ikem.skeleton import Skeleton

if TYPE_CHECKING:
    from torch import nn

ENCODERS: dict[str, Encoder] = {name: module.ENCODER for name, module in declarations(package, "encoder")}
"""Every encoder, by the name of its folder: the `kind` of a recipe's `encoder`."""

if TYPE_CHECKING:
    EncoderEntry = Any
else:
    EncoderEntry = Annotated[
        Annotated[reduce(or_, (encoder.options for encoder in ENCODERS.values())), Field(discriminator="kind")],
        default_kind("stgcn"),
    ]
    """The options of one of the encoders: `encoder` of a recipe."""


def encoder_options(settings: Mapping[str, Any]) -> EncoderOptions:
    """The section of an encoder from its dump in the settings of a job."""
    return ENCODERS[settings["kind"]].options(**settings)


def build_encoder(options: EncoderOptions, skeleton: Skeleton) -> nn.Module:
    """The network of an encoder's section, its parameters not yet drawn."""
    network: nn.Module = load(ENCODERS[options.kind].network)(skeleton, **network_options(options))
    return network
