"""Names of entries that would collide, in the results folder, with what the workflow writes there itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ikem.errors import InputError
from ikem.settings.benchmark import Config
from ikem.workflow.job_types import JOB_TYPES

NEXT_TO_DATASETS = ("figures", "logs", "plan.json", "report.html", "tables")
"""What a results folder has besides a folder for each dataset."""

NEXT_TO_PROTOCOLS = tuple(
    sorted({part for kind in JOB_TYPES.values() if not (part := kind.output.split("/")[1]).startswith("{")})
)
"""What the folder of a dataset has besides a folder for each protocol."""

NEXT_TO_EVALUATIONS = ("comparisons", "data", "results")
"""The table of each evaluation is `tables/NAME.csv` and `.md`; `tables/` also has these."""

RECORD = ".json.run"
"""The record of `NAME.json` is `NAME.json.run.json`."""


def check_names(config: Config) -> None:
    """Raise InputError if the name of an entry is reserved; upper case and lower case are one to some file systems."""
    faults = [
        *_reserved("datasets", config.datasets, NEXT_TO_DATASETS),
        *_reserved("evaluations", config.evaluations, NEXT_TO_EVALUATIONS),
    ]
    for name, dataset in config.datasets.items():
        faults += _reserved(f"datasets.{name}.protocols", dataset.protocols, NEXT_TO_PROTOCOLS)
        faults += _reserved(f"datasets.{name}.archives", dataset.archives, ())
    if faults:
        raise InputError("\n".join(faults), hint="Give it another name")


def _reserved(key: str, names: Iterable[str], reserved: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if name.lower() in reserved or name.lower().endswith(RECORD):
            never = ", ".join((*reserved, f"names that end in {RECORD}"))
            yield f"{key}.{name}: this name is the workflow's own in the results folder, as are {never}"
