"""Sections on data: archives, decoding, preparation, protocols."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ikem.schema import Name, Settings
from ikem.synthetic.settings import SyntheticSettings


class Archive(Settings):
    """One raw file, or an extracted folder, as its owner hands it out."""

    file: str
    """Name of the file or folder inside the `data` folder."""
    url: str | None = None
    """Where to download it: an http(s) address or the path of a file."""
    google_drive: str | None = None
    """Google Drive id to download it from."""
    md5: str | None = Field(None, pattern="^[0-9a-f]{32}$")
    """Expected MD5 of the file."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Expected SHA-256 of the file."""
    terms: str | None = None
    """Where the owner's terms stand; a licensed file is downloaded only when `terms_accepted` is set."""
    terms_accepted: bool = False
    """True: you have agreed with the owner to the terms of this file."""


class Counts(Settings):
    """Published numbers of clips of a protocol."""

    train: int = Field(ge=1)
    """Clips to train on."""
    test: int = Field(ge=1)
    """Clips to test on."""


class Protocol(Settings):
    """A split of a dataset: which values of one column of samples.csv train, and which test."""

    column: str
    """Column of samples.csv that decides."""
    train: tuple[int | str, ...] = Field(min_length=1, strict=False)
    """Values of the column that train."""
    test: tuple[int | str, ...] | None = Field(None, strict=False)
    """Values of the column that test; by default all others."""
    counts: Counts | None = None
    """Published numbers of clips; other numbers are an error unless the dataset says `partial`."""


class Decode(Settings):
    """From archives to clips."""

    bodies: Literal["first-two", "most-active"] = "first-two"
    """Which bodies are kept: the first two of each frame in file order (as published), or, followed by body id, the two
    that move most."""
    on_bad_clip: Literal["reject", "stop"] = "reject"
    """What to do with a clip that cannot be used: list it in rejected.csv, or stop."""
    max_rejected: float = Field(0.02, ge=0, le=1)
    """Largest share of rejected clips; more stops the run."""
    trim_empty: bool = False
    """Remove the frames before the first and after the last that has a body; as published, they are kept."""
    setups: tuple[int, int] | None = Field(None, strict=False)
    """First and last setup of the dataset (format ntu). Clips of other setups belong to another dataset: they are
    counted and not used."""


class Prepare(Settings):
    """From clips to arrays of one size."""

    frames: int = Field(50, ge=8, le=1000)
    """Frames T that each clip is resized to."""
    turn: bool = True
    """Turn each body about the vertical axis until its shoulders lie along x."""


class Dataset(Settings):
    """A dataset: its raw files, its reader, its skeleton, its protocols."""

    title: str
    """Name as tables show it."""
    format: Name
    """Reader of the raw files: an entry of `ikem.data.formats.registry.READERS`."""
    skeleton: str
    """Skeleton: a name known to the package, or the path of a YAML file."""
    archives: dict[Name, Archive] = Field(default_factory=dict)
    """Raw files by role; none for a synthetic dataset."""
    synthetic: SyntheticSettings | None = None
    """If given, the raw files are made by the benchmark itself with these settings, in the raw form of `format`."""
    missing_list: str | None = None
    """Samples to leave out: a list that comes with the package, by name."""
    class_names: tuple[str, ...] = Field((), strict=False, max_length=1000)
    """Names of the classes, in order of their label; empty: the labels' numbers."""
    protocols: dict[Name, Protocol] = Field(min_length=1)
    """Splits."""
    decode: Decode = Decode()
    """From archives to clips: which bodies are kept, and how many clips may be unusable."""
    prepare: Prepare = Prepare()
    """From clips to arrays of one size: how many frames, and which way bodies face."""
    partial: bool = False
    """Go on with a part of the data: counts other than the published ones are marked in the tables and stop nothing."""

    @model_validator(mode="after")
    def _raw_files(self) -> Dataset:
        if self.synthetic is not None and self.format not in ("ntu", "pkummd"):
            raise ValueError(f"format {self.format!r} cannot be made: synthetic is for ntu and pkummd")
        if self.decode.setups is not None and (self.format != "ntu" or self.decode.setups[0] > self.decode.setups[1]):
            raise ValueError("decode.setups is the first and the last setup, and for format ntu only")
        if bool(self.archives) == (self.synthetic is not None):
            raise ValueError("archives or synthetic must be given, and not both")
        return self
