"""Sections on data: archives, decoding, preparation, protocols."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from ikem.data.formats.registry import FORMATS
from ikem.registry import Source, nearest
from ikem.schema import Name, Settings, Title, path_of
from ikem.synthetic.settings import SyntheticSettings

Text = Annotated[str, StringConstraints(min_length=1, max_length=4000)]


def _without_password(address: str) -> str:
    if "@" in urlsplit(address).netloc:
        raise ValueError(
            "an address with a user's name or password would be stored with the results and shown in the report; "
            "put them into the file ~/.netrc (machine HOST login USER password PASSWORD), where downloads find them"
        )
    if urlsplit(address).scheme not in ("http", "https"):
        path_of(address)
    return address


Address = Annotated[Text, AfterValidator(_without_password)]
"""An http(s) address or the path of a file; one that `urlsplit` cannot read is refused, too."""


def _text_or_whole_number(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError("text or a whole number is needed; put it into quotes as it is in the table of clips")


SplitValue = Annotated[
    Annotated[int, Field(ge=-(10**18), le=10**18)] | Annotated[str, StringConstraints(max_length=4000)],
    BeforeValidator(_text_or_whole_number),
]
"""A value of a column. In a file it is text as written: 010 is "010", 1.10 is "1.10"."""


ColumnValues = dict[Text, Annotated[tuple[SplitValue, ...], Field(min_length=1, max_length=100_000, strict=False)]]
"""Values of columns, by column."""


class Archive(Settings):
    """One raw file, or an extracted folder, as its owner hands it out."""

    file: Annotated[Text, AfterValidator(path_of)]
    """Name of the file or folder inside the `data` folder."""
    url: Address | None = None
    """Where to download it: an http(s) address or the path of a file. A password belongs into ~/.netrc."""
    google_drive: Text | None = None
    """Google Drive id to download it from."""
    md5: str | None = Field(None, pattern="^[0-9a-f]{32}$")
    """Expected MD5 of the file."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Expected SHA-256 of the file."""
    terms: Address | None = None
    """The owner's terms; a licensed file is downloaded only when `terms_accepted` is set."""
    terms_accepted: bool = False
    """True: you have agreed with the owner to the terms of this file."""

    @model_validator(mode="after")
    def _inside(self) -> Archive:
        """What is downloaded is written inside the data folder."""
        path = PurePath(self.file)
        if (self.url or self.google_drive) and (path.is_absolute() or ".." in path.parts or not path.parts):
            raise ValueError(f"file: {self.file!r} is outside the data folder, into which it would be downloaded")
        return self


class Counts(Settings):
    """Published numbers of clips of a protocol."""

    train: int = Field(ge=1, le=10**9)
    """Clips to train on."""
    test: int = Field(ge=1, le=10**9)
    """Clips to test on."""


class Protocol(Settings):
    """A split of a dataset: which values of one column of samples.csv train, and which test."""

    column: Text
    """Column of samples.csv that decides."""
    train: tuple[SplitValue, ...] = Field(min_length=1, max_length=100_000, strict=False)
    """Values of the column that train."""
    test: tuple[SplitValue, ...] | None = Field(None, max_length=100_000, strict=False)
    """Values of the column that test; by default all others."""
    within: ColumnValues = Field(default_factory=dict)
    """Values of other columns: only clips that have them train or test. Choices are made so on training clips alone:
    `{column: subject, train: [1, 2], test: [3], within: {camera: [1, 2]}}` leaves the clips of the third camera out."""
    train_within: ColumnValues = Field(default_factory=dict)
    """The same for the clips that train only: with `train_within: {camera: [1]}` and `test_within: {camera: [2]}`,
    other subjects in another camera test."""
    test_within: ColumnValues = Field(default_factory=dict)
    """The same for the clips that test only."""
    counts: Counts | None = None
    """Published numbers of clips; other numbers are an error unless the dataset says `partial`."""

    def job_settings(self) -> dict[str, Any]:
        """The protocol as settings of a job. Keys added later than others are left out while they are empty, so that
        results from before them keep their digests."""
        empty = {key for key in ("train_within", "test_within") if not getattr(self, key)}
        return self.model_dump(exclude=empty)


Setup = Annotated[int, Field(ge=0, le=999)]


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
    setups: tuple[Setup, Setup] | None = Field(None, strict=False)
    """First and last setup of the dataset (format ntu). Clips of other setups belong to another dataset: they are
    counted and not used."""


Center = Literal["frame", "first-frame"]
AlignShoulders = Literal["frame", "first-frame", "none"]
Scale = Literal["none", "unit-range", "unit-range-axes"]


class Prepare(Settings):
    """From clips to arrays of one size."""

    frames: int = Field(50, ge=8, le=1000)
    """Frames T that each clip is resized to."""
    center: Center = "frame"
    """What lies at the origin: each body's center joint in each frame (as published), or that of the first body in the
    first frame, which keeps how bodies move through the room (Chen et al. 2021, CTR-GCN, arXiv 2107.12213)."""
    align_shoulders: AlignShoulders = "frame"
    """Turn each body about the vertical axis until its shoulders are along x: in each frame (as published); all of a
    clip by the angle of the first body in the first frame, which keeps how bodies turn; or not."""
    scale: Scale = "none"
    """Leave meters (as published); or move and scale a clip into [-1, 1], by the largest range of its axes, which keeps
    the shape of bodies, or each axis by its own (CTR-GCN)."""


class Paper(Settings):
    """Where a dataset was published."""

    authors: Text
    """Family names, with commas between them."""
    title: Text
    """Title of the paper."""
    venue: Text
    """Journal or conference."""
    year: int = Field(ge=1900, le=2200)
    """Year of publication."""
    arxiv: Text | None = None
    """arXiv id."""
    doi: Text | None = None
    """DOI of the paper."""


class Dataset(Settings):
    """A dataset: its raw files, its reader, its skeleton, its protocols."""

    title: Title
    """Name as tables show it."""
    source: Paper | None = None
    """Where it was published: tables cite it."""
    format: Name
    """Reader of the raw files: an entry of `ikem.data.formats.registry.FORMATS`."""
    skeleton: Text
    """Skeleton: a name known to the package, or the path of a YAML file."""
    archives: dict[Name, Archive] = Field(default_factory=dict)
    """Raw files by role; none for a synthetic dataset."""
    synthetic: SyntheticSettings | None = None
    """If given, the raw files are generated with these settings, in the raw form of `format`."""
    missing_list: Name | None = None
    """Samples to leave out: a list that comes with the package, by name."""
    class_names: tuple[Title, ...] = Field((), strict=False, max_length=1000)
    """Names of the classes, in order of their label; empty: the labels' numbers."""
    absent_classes: int = Field(0, ge=0, le=1000)
    """How many of the named classes may have no clip: PKU-MMD II has 41 of the 51 of PKU-MMD I, under their labels."""
    protocols: dict[Name, Protocol] = Field(min_length=1)
    """Splits."""
    decode: Decode = Decode()
    """From archives to clips: which bodies are kept, and how many clips may be unusable."""
    prepare: Prepare = Prepare()
    """From clips to arrays of one size: how many frames, and which way bodies face."""
    partial: bool = False
    """Go on with a part of the data: counts other than the published ones are marked in the tables and stop nothing."""

    @property
    def cited(self) -> Source | None:
        """The paper of the dataset."""
        return None if self.source is None else Source(**self.source.model_dump(exclude_none=True))

    @model_validator(mode="after")
    def _raw_files(self) -> Dataset:
        if self.format not in FORMATS:
            known = f"{nearest(self.format, FORMATS)}; allowed are {', '.join(FORMATS)}"
            raise ValueError(f"format: {self.format!r} is not known{known}")
        if self.synthetic is not None and self.format not in ("ntu", "pkummd"):
            raise ValueError(f"format: {self.format!r} cannot be generated; synthetic is for ntu and pkummd")
        if self.decode.setups is not None and (self.format != "ntu" or self.decode.setups[0] > self.decode.setups[1]):
            raise ValueError("decode.setups: it is the first and the last setup, and for format ntu only")
        if bool(self.archives) == (self.synthetic is not None):
            raise ValueError("archives: this or synthetic must be given, and not both")
        return self
