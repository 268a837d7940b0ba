"""What the next run of an unfinished job will do: resume from a checkpoint, or start again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ikem.files import digest_of
from ikem.workflow.plan import Job
from ikem.workflow.run_context import checkpoint_about, checkpoint_digest, checkpoints_of
from ikem.workflow.staleness import outputs_of


def resumption_of(job: Job) -> str:
    """What the next run of a job without a result will do, in words: its checkpoints are tested as it will."""
    inputs = {name: outputs_of(part) for name, part in job.inputs.items()}
    if any(files is None for files in inputs.values()):
        return "starts again"  # what it is built on is gone; that it comes out the same cannot be known
    digest = checkpoint_digest(job.settings, {name: files for name, files in inputs.items() if files is not None})
    found = {
        _part_of(job, path): about
        for path in checkpoints_of(job.output)
        if (about := checkpoint_about(path)) is not None
    }
    for part, about in found.items():
        if isinstance(about, dict) and about.get("digest") == digest:
            name = f" ({part.replace('.', ' ')})" if part else ""
            return f"resumes from epoch {about['progress']['epoch'] + 1} of {_epochs(job)}{name}"
    finished = [part for part, about in found.items() if about == digest_of([digest, part.removesuffix(".logits")])]
    if finished:
        return f"resumes after {', '.join(part.removesuffix('.logits').replace('.', ' ') for part in finished)}"
    return "starts again"


def _epochs(job: Job) -> int:
    """The last epoch of a training job, or of each training of a fine-tuning."""
    settings: dict[str, Any] = job.settings
    return int(settings["last_epoch"] if "last_epoch" in settings else settings["options"]["schedule"]["epochs"])


def _part_of(job: Job, path: Path) -> str:
    return path.name.removeprefix(f".{job.output.name}.").removesuffix("checkpoint").removesuffix(".")
