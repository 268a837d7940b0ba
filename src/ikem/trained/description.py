"""What must be known of a trained method to use it elsewhere: the config.json of an exported encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from ikem.data.formats.ntu import BodyRule
from ikem.encoders.registry import EncoderEntry
from ikem.errors import InputError
from ikem.files import read_json, write_text
from ikem.schema import ModalityName, Name, Settings
from ikem.settings.data import Prepare
from ikem.skeleton import Skeleton, build_skeleton

CONFIG = "config.json"

Text = str


class Figure(Settings):
    """A figure of the results."""

    evaluation: Text
    """Title of the evaluation."""
    condition: Text
    """Under which of its conditions was tested; empty where it has none."""
    streams: Text
    """One modality, or those that are fused."""
    top1: float
    """Top-1 in percent, of the last epoch."""
    complete: bool
    """Whether the data were the published number of clips."""


class Provenance(Settings):
    """Where a trained method comes from; the model card says it."""

    title: Text
    """Title of the method."""
    dataset_title: Text
    """Title of the dataset."""
    synthetic: bool
    """Whether the benchmark generated the recordings."""
    terms: tuple[Text, ...]
    """Addresses of the owner's terms of the recordings."""
    sources: tuple[Text, ...]
    """Works to cite: method, encoder, dataset."""
    commit: Text
    """Commit of the code that trained."""
    versions: dict[Text, Text]
    """Versions of the packages that trained."""
    figures: tuple[Figure, ...]
    """What the results say of the frozen encoders."""


class Description(Settings):
    """A trained method, apart from its tensors."""

    model_type: Literal["ikem-bench"] = "ikem-bench"
    """Whose format this is."""
    version: Literal[1] = 1
    """Of the format."""
    dataset: Name
    """Entry of the dataset that was trained on."""
    protocol: Name
    """Its split."""
    seed: int
    """Seed of the run."""
    method: Name
    """Entry of the method."""
    modalities: tuple[ModalityName, ...] = Field(min_length=1)
    """Those that have an encoder, in the order of the embedding's parts."""
    encoder: EncoderEntry
    """Options of the encoder."""
    precision: Literal["float32", "tf32", "bfloat16"]
    """How encoders compute."""
    skeleton: dict[str, Any]
    """Definition of the skeleton."""
    bodies: int = Field(ge=1, le=2)
    """M: bodies of a clip, absent ones counted."""
    body_rule: BodyRule
    """Which bodies of a recording are kept."""
    trim_empty: bool
    """Whether frames without a body are removed at both ends."""
    prepare: Prepare
    """From clips to arrays of one size."""
    standardized: bool
    """Whether embeddings are standardized."""
    evaluation: Text = ""
    """Entry of the evaluation whose classifiers are included; empty: none are."""
    classes: tuple[Text, ...] = ()
    """Names of the classes that these tell apart."""
    provenance: Provenance
    """Where it comes from."""

    def built_skeleton(self) -> Skeleton:
        """The skeleton.

        Raises:
            InputError: its definition contradicts itself.
        """
        return build_skeleton(self.skeleton, f"{CONFIG}: skeleton")


def write_description(folder: Path, description: Description) -> None:
    """Write config.json."""
    write_text(folder / CONFIG, description.model_dump_json(indent=2) + "\n")


def read_description(folder: Path) -> Description:
    """Read config.json.

    Raises:
        InputError: it is missing, or is no description.
    """
    path = folder / CONFIG
    read_json(path)  # says what is wrong with a file that is no JSON
    try:
        return Description.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "it"
        raise InputError(
            f"is no description of a trained encoder ({key}: {first['msg']})",
            location=str(path),
            hint="Export the encoder again with this version of the benchmark",
        ) from None
