"""The schema of a config: every key, its default, its meaning, its allowed values. This module alone knows defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ikem.synthetic.settings import SyntheticSettings

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Names become folder names and words of a command line: letters, digits, '_', '.', '-'."""

ModalityName = Literal["joint", "motion", "bone", "acceleration", "rotation_axis", "angular_velocity"]


class Settings(BaseModel):
    """Base of all sections: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


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
    """Which bodies are kept: the first two of each frame in file order (as published), or, followed by body id, the two that move most."""
    on_bad_clip: Literal["reject", "stop"] = "reject"
    """What to do with a clip that cannot be used: list it in rejected.csv, or stop."""
    max_rejected: float = Field(0.02, ge=0, le=1)
    """Largest share of rejected clips; more stops the run."""


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
    """Reader of the raw files: an entry of `ikem.data.readers.READERS`."""
    skeleton: str
    """Skeleton: a name known to the package, or the path of a YAML file."""
    archives: dict[Name, Archive] = Field(default_factory=dict)
    """Raw files by role; none for a synthetic dataset."""
    synthetic: SyntheticSettings | None = None
    """If given, the raw files are made by the benchmark itself with these settings, in the raw form of `format`."""
    missing_list: str | None = None
    """Samples to leave out: a list that comes with the package, by name."""
    class_names: tuple[str, ...] = Field((), strict=False)
    """Names of the classes, in order of their label; empty: the labels' numbers."""
    protocols: dict[Name, Protocol] = Field(min_length=1)
    """Splits."""
    decode: Decode = Decode()
    prepare: Prepare = Prepare()
    partial: bool = False
    """Go on with a part of the data: counts other than the published ones are marked in the tables and stop nothing."""

    @model_validator(mode="after")
    def _raw_files(self) -> Dataset:
        if bool(self.archives) == (self.synthetic is not None):
            raise ValueError("archives or synthetic must be given, and not both")
        return self


class Schedule(Settings):
    """Stochastic gradient descent and how long it runs."""

    epochs: int = Field(ge=1)
    """Passes over the training clips."""
    decay_after: int | None = Field(None, ge=1)
    """The learning rate is a tenth from the epoch after this one; null: never."""
    batch_size: int = Field(128, ge=2)
    """Clips of a step."""
    learning_rate: float = Field(gt=0)
    """Learning rate of the first epochs."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum (not Nesterov's)."""
    weight_decay: float = Field(1e-4, ge=0)
    """L2 penalty."""


class Encoder(Settings):
    """The ST-GCN and its projection head."""

    hidden_channels: int = Field(16, ge=1)
    """Channels of the first blocks; later ones have two and four times as many."""
    hidden_dim: int = Field(256, ge=2)
    """Width of the embedding."""
    feature_dim: int = Field(128, ge=2)
    """Width of the contrasted feature."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of activations dropped in each block but the first."""
    graph_distances: Literal["one-hop", "true"] = "one-hop"
    """Distances from the centre joint: known up to one hop as in the published code, or true ones."""


class Contrast(Settings):
    """Momentum contrast."""

    queue_size: int = Field(32768, ge=1)
    """Keys kept as negatives."""
    key_momentum: float = Field(0.999, ge=0, le=1)
    """Share of the key encoder that stays in a step."""
    temperature: float = Field(0.07, ge=0.025, le=10)
    """Temperature of the softmax."""


class Recipe(Settings):
    """How stage 1 is trained. Methods that name the same recipe share its stage-1 states."""

    encoder: Encoder = Encoder()
    contrast: Contrast = Contrast()
    schedule: Schedule = Schedule(epochs=300, decay_after=250, learning_rate=0.1)
    exchange_after: int = Field(150, ge=1)
    """Stage 1 ends after this epoch; SkeletonCLR runs on, the exchanging methods begin."""
    drop_last: bool = True
    """Leave out the last, smaller batch of an epoch."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the encoders."""

    @model_validator(mode="after")
    def _stages(self) -> Recipe:
        if self.exchange_after >= self.schedule.epochs:
            raise ValueError(f"exchange_after must be less than schedule.epochs ({self.schedule.epochs})")
        return self


class _Method(Settings):
    title: str | None = None
    """Name as tables show it; by default the entry's name."""
    published_as: str | None = None
    """Name under which the tables look for published results of this very method."""
    modalities: tuple[ModalityName, ...] = Field(min_length=1, strict=False)
    """Modalities with an encoder each; results are given for each and for their fusion."""
    recipe: Name = "published"
    """Recipe of the encoders and of stage 1."""

    @model_validator(mode="after")
    def _different(self) -> _Method:
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError("modalities must differ from one another")
        return self


class SkeletonCLR(_Method):
    """Momentum contrast of each modality alone: stage 1 run on to the last epoch."""

    kind: Literal["skeletonclr"]


class _Exchange(_Method):
    top_k: int = Field(1, ge=1)
    """Positives mined for each clip by each other modality."""

    @model_validator(mode="after")
    def _several(self) -> _Exchange:
        if len(self.modalities) < 2:
            raise ValueError("modalities must be two or more: there is nothing to exchange")
        return self


class CrosSCLR(_Exchange):
    """Stage 2 with the explicit exchange (mined positives) alone."""

    kind: Literal["crossclr"]
    follow: tuple[ModalityName, ...] | None = Field(None, strict=False)
    """Modalities whose key encoder goes on following in stage 2; null: all."""


class IKEM(_Exchange):
    """Stage 2 with the implicit knowledge exchange module."""

    kind: Literal["ikem"]
    follow: tuple[ModalityName, ...] = Field(("motion", "acceleration", "angular_velocity"), strict=False)
    """Modalities whose key encoder goes on following in stage 2."""
    explicit: bool = True
    """Exchange of mined positives."""
    implicit: bool = True
    """Exchange by the second head and the joint queue of all modalities."""

    @model_validator(mode="after")
    def _some(self) -> IKEM:
        if not (self.explicit or self.implicit):
            raise ValueError("explicit or implicit must be true: without both nothing is exchanged")
        return self


class Student(_Method):
    """Relational distillation of a teacher's modalities into fewer encoders."""

    kind: Literal["student"]
    teacher: Name
    """Method whose encoders teach: an exchanging method or skeletonclr."""
    top_k: int = Field(1, ge=1)
    """Positives mined for each clip by each teacher modality."""
    contrast: Contrast = Contrast()
    schedule: Schedule = Schedule(epochs=150, decay_after=125, learning_rate=0.1)
    mining_queue: Literal["corrected", "published"] = "corrected"
    """Queue that angular velocity mines in: its own, or the bone queue as in the published code."""
    teacher_mode: Literal["evaluation", "published"] = "evaluation"
    """BatchNorm and dropout of the frozen teacher: evaluation mode, or training mode as in the published code."""


class Random(_Method):
    """The untrained encoder: the floor."""

    kind: Literal["random"]
    initialisation: Literal["pytorch", "published"] = "pytorch"
    """How parameters are drawn."""


class Supervised(_Method):
    """The encoder trained with all labels: the ceiling."""

    kind: Literal["supervised"]
    schedule: Schedule = Schedule(epochs=100, decay_after=80, learning_rate=0.1)


Method = Annotated[SkeletonCLR | CrosSCLR | IKEM | Student | Random | Supervised, Field(discriminator="kind")]


class Linear(Settings):
    """A linear classifier on frozen embeddings, each modality alone and all on their mean logits."""

    kind: Literal["linear"]
    schedule: Schedule = Schedule(epochs=100, decay_after=80, learning_rate=3.0, weight_decay=0.0)


class Knn(Settings):
    """Nearest neighbours by cosine similarity of frozen embeddings."""

    kind: Literal["knn"]
    k: int = Field(1, ge=1)
    """Neighbours that vote; ties go to the class of the nearest of them."""


class _Tuned(Settings):
    schedule: Schedule = Schedule(epochs=100, decay_after=80, learning_rate=0.1)
    augment: bool = True
    """Crop and shear the training clips."""


class Finetune(_Tuned):
    """Encoder and classifier trained on all training labels; fusion is the mean of the modalities' logits."""

    kind: Literal["finetune"]


class Semi(_Tuned):
    """Encoder and classifier trained on a part of the training labels."""

    kind: Literal["semi"]
    fraction: float = Field(gt=0, lt=1)
    """Share of the training labels."""
    draws: tuple[int, ...] = Field((0,), min_length=1, strict=False)
    """Numbers of the draws; each is a file of clip names."""
    sampling: Literal["per-class", "uniform"] = "per-class"
    """round(fraction x clips) of each class, at least one; or the whole number drawn uniformly."""


Evaluation = Annotated[Linear | Knn | Finetune | Semi, Field(discriminator="kind")]


class Block(Settings):
    """A part of the benchmark: every combination of what it lists."""

    dataset: Name
    """Dataset entry."""
    protocols: tuple[Name, ...] = Field(min_length=1, strict=False)
    """Protocols of the dataset."""
    methods: tuple[Name, ...] = Field(min_length=1, strict=False)
    """Method entries."""
    evaluations: tuple[Name, ...] = Field(min_length=1, strict=False)
    """Evaluation entries."""
    seeds: tuple[int, ...] | None = Field(None, min_length=1, strict=False)
    """Seeds; by default those of the config."""


class Resources(Settings):
    """What a job asks of a scheduler."""

    gpu: int = Field(0, ge=0)
    """Devices."""
    mem_mb: int = Field(2000, ge=100)
    """Memory, MiB."""
    runtime: int = Field(60, ge=1)
    """Wall time, minutes."""


class Compute(Settings):
    """Where and how jobs compute."""

    threads: int = Field(1, ge=1)
    """Numeric threads of a job. They shape the last bits of a result, so they are part of what a result is."""
    processes: int = Field(2, ge=1)
    """Processes that read archives."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of training and embedding; auto: a GPU where there is one."""
    checkpoint_minutes: float = Field(5.0, ge=0)
    """Minutes between checkpoints; one is also written when a signal asks the job to leave."""
    data: Resources = Resources(mem_mb=2000, runtime=120)
    pretrain: Resources = Resources(gpu=1, mem_mb=16000, runtime=1440)
    evaluate: Resources = Resources(gpu=1, mem_mb=8000, runtime=240)
    report: Resources = Resources(mem_mb=2000, runtime=20)


class Config(Settings):
    """A whole benchmark."""

    data: str = "data"
    """Folder of the raw files."""
    results: str = "results"
    """Folder of all that is generated."""
    seeds: tuple[int, ...] = Field((0,), min_length=1, strict=False)
    """Seeds of the runs."""
    datasets: dict[Name, Dataset] = Field(default_factory=dict)
    recipes: dict[Name, Recipe] = Field(default_factory=dict)
    methods: dict[Name, Method] = Field(default_factory=dict)
    evaluations: dict[Name, Evaluation] = Field(default_factory=dict)
    benchmark: tuple[Block, ...] = Field(min_length=1, strict=False)
    """What is to be run."""
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _references(self) -> Config:
        for name, method in self.methods.items():
            _require(f"methods.{name}.recipe", method.recipe, self.recipes)
            if isinstance(method, Student):
                teachers = [key for key, other in self.methods.items() if other.kind in ("skeletonclr", "crossclr", "ikem")]
                _require(f"methods.{name}.teacher", method.teacher, teachers)
        for number, block in enumerate(self.benchmark):
            key = f"benchmark.{number}"
            _require(f"{key}.dataset", block.dataset, self.datasets)
            for part, known in (
                ("protocols", self.datasets[block.dataset].protocols),
                ("methods", self.methods),
                ("evaluations", self.evaluations),
            ):
                for value in getattr(block, part):
                    _require(f"{key}.{part}", value, known)
        for name, dataset in self.datasets.items():
            for protocol, split in dataset.protocols.items():
                both = set(split.train) & set(split.test or ())
                if both:
                    raise ValueError(
                        f"datasets.{name}.protocols.{protocol}.test: {sorted(both, key=str)} trains already; allowed are values not in train"
                    )
        return self


def _require(key: str, value: str, known: Mapping[str, Any] | list[str] | tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{key}: {value!r} is not known; allowed are {', '.join(sorted(known))}")
