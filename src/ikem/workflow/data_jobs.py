"""Jobs that make or read data: from settings and inputs to the functions of `ikem.data` and `ikem.synthetic`.

Every function imports what it needs when it runs: a job that needs no torch does not wait for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ikem.workflow.run_context import RunContext

if TYPE_CHECKING:
    from ikem.workflow.execute import Inputs, Options


def make_ntu(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Write synthetic recordings in the raw form of NTU RGB+D."""
    from ikem.synthetic.ntu import write_ntu
    from ikem.synthetic.settings import RAW_FILES, SyntheticSettings

    missing = job.output.with_name(RAW_FILES["ntu"]["missing_list"])
    write_ntu(SyntheticSettings(**job.settings["synthetic"]), job.output, missing)
    return [missing]


def make_pkummd(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Write synthetic recordings in the raw form of PKU-MMD."""
    from ikem.synthetic.pkummd import write_pkummd
    from ikem.synthetic.settings import RAW_FILES, SyntheticSettings

    files = [job.output.with_name(name) for role, name in RAW_FILES["pkummd"].items() if role != "skeletons"]
    write_pkummd(SyntheticSettings(**job.settings["synthetic"]), job.output, *files)
    return files


def acquire(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Locate or download a raw file."""
    from ikem.data.acquire import acquire

    acquire(job, inputs, options.data)
    return []


def decode(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Read the clips of all archives."""
    from ikem.data.decode import decode_job

    return decode_job(job, inputs, options.processes)


def prepare(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Center, resize and align all clips."""
    from ikem.data.store import prepare_job

    return prepare_job(job, inputs["decoded"])


def modality(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Generate the array of a modality."""
    from ikem.data.store import modality_job

    modality_job(job, inputs["prepared"])
    return []


def split(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Split a dataset by a protocol."""
    from ikem.data.splits import split_job

    split_job(job, inputs["prepared"])
    return []


def label_subset(job: RunContext, inputs: Inputs, options: Options) -> list[Path]:
    """Draw the labeled clips of a semi-supervised evaluation."""
    from ikem.data.splits import label_subset_job

    label_subset_job(job, inputs["split"])
    return []
