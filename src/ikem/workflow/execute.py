"""The work of each kind of job: from its settings and inputs to its output. The one place where kinds meet code.

Every function imports what it needs when it runs: a job that needs no torch does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ikem.process import use_threads
from ikem.workflow.run_context import Job, running

Inputs = Mapping[str, Path]


@dataclass(frozen=True)
class Options:
    """What a job may do differently without another result."""

    device: str = "auto"
    checkpoint_minutes: float = 5.0
    processes: int = 1
    data: Path = Path("data")


def run_job(
    settings: Mapping[str, object], inputs: Inputs, output: Path, options: Options, log: Path | None = None
) -> None:
    """Run one job from its settings, as a rule hands them over; `settings["kind"]` says which.

    Raises:
        InputError: something given cannot be used.
        Interrupted: a signal asked to leave; what had to be saved was.
    """
    use_threads(int(str(settings.get("threads", 1))))
    with running(settings, output, inputs, log) as job:
        job.others.extend(JOBS[str(settings["kind"])](job, inputs, options))


def _make_ntu(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.synthetic.ntu import write_ntu
    from ikem.synthetic.settings import SyntheticSettings
    from ikem.workflow.job_types import MADE

    missing = job.output.with_name(MADE["ntu"]["missing_list"])
    write_ntu(SyntheticSettings(**job.settings["synthetic"]), job.output, missing)
    return [missing]


def _make_pkummd(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.synthetic.pkummd import write_pkummd
    from ikem.synthetic.settings import SyntheticSettings
    from ikem.workflow.job_types import MADE

    files = [job.output.with_name(name) for role, name in MADE["pkummd"].items() if role != "skeletons"]
    write_pkummd(SyntheticSettings(**job.settings["synthetic"]), job.output, *files)
    return files


def _acquire(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.data.acquire import acquire

    acquire(job, inputs, options.data)
    return []


def _decode(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.data.decode import decode_job

    return decode_job(job, inputs, options.processes)


def _prepare(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.data.store import prepare_job

    return prepare_job(job, inputs["decoded"])


def _modality(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.data.store import modality_job

    modality_job(job, inputs["prepared"])
    return []


def _split(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.data.splits import split_job

    split_job(job, inputs["prepared"])
    return []


def _draw(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.data.splits import draw_job

    draw_job(job, inputs["split"])
    return []


def _pretrain(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.training.pretrain import pretrain

    states = [inputs[name] for name in job.settings["modalities"] if name in inputs]
    pretrain(job, inputs["prepared"], inputs["split"], states, options.device, options.checkpoint_minutes)
    return [job.output.with_name("metrics.csv")]


def _student(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.training.distil import distil

    teacher = {name: inputs[f"teacher_{name}"] for name in job.settings["teacher_modalities"]}
    distil(job, inputs["prepared"], inputs["split"], teacher, options.device, options.checkpoint_minutes)
    return [job.output.with_name("metrics.csv")]


def _supervised(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.training.classify import supervise

    supervise(job, inputs["prepared"], inputs["split"], options.device, options.checkpoint_minutes)
    return [job.output.with_name("metrics.csv")]


def _random(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.training.classify import draw_untrained

    draw_untrained(job)
    return []


def _of_modalities(job: Job, inputs: Inputs, prefix: str) -> dict[str, Path]:
    return {name: inputs[f"{prefix}_{name}"] for name in job.settings["modalities"]}


def _embed(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.evaluations.embed import embed

    states = _of_modalities(job, inputs, "state")
    embed(job, _of_modalities(job, inputs, "modality"), states, inputs.get("split"), options.device)
    return []


def _frozen(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.evaluations.frozen import evaluate_frozen

    return evaluate_frozen(job, inputs["embeddings"], inputs["prepared"], inputs["split"], options.device)


def _tuned(job: Job, inputs: Inputs, options: Options) -> list[Path]:
    from ikem.evaluations.tuned import evaluate_tuned

    states = _of_modalities(job, inputs, "state")
    place = inputs["prepared"], inputs["split"]
    return evaluate_tuned(job, *place, states, inputs.get("draw"), options.device, options.checkpoint_minutes)


JOBS: dict[str, Callable[[Job, Inputs, Options], list[Path]]] = {
    "make_ntu": _make_ntu,
    "make_pkummd": _make_pkummd,
    "acquire": _acquire,
    "decode": _decode,
    "prepare": _prepare,
    "modality": _modality,
    "split": _split,
    "draw": _draw,
    "stage1": _pretrain,
    "skeletonclr": _pretrain,
    "exchange": _pretrain,
    "student": _student,
    "supervised": _supervised,
    "random": _random,
    "embed": _embed,
    "frozen": _frozen,
    "tuned": _tuned,
}
"""The function that does the work of each kind of job; it returns what it wrote beside the output."""
