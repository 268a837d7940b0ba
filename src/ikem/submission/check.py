"""Checking a submission: every figure recomputed from the scores of single clips, every record compared with the plan.

It finds claims that do not follow from the scores, settings other than those of the config, and files that were
exchanged. It cannot find out whether the scores came from the encoders that are named: that takes training again, for
which config, seed, commit and versions are in the records.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ikem.errors import InputError
from ikem.evaluations.metrics import classification
from ikem.evaluations.scores import Scores, read_scores, row_key, scores_path
from ikem.files import canonical_json, digest_of
from ikem.registry import JobName
from ikem.report.labels import Naming, naming_of
from ikem.report.results import Row, read_rows
from ikem.settings.loading import build_config
from ikem.skeleton import Skeleton, build_skeleton, given_skeletons
from ikem.submission.archive import PLAN, RESULTS, SKELETONS, Claim, Submission, opened
from ikem.workflow.plan import Job, Plan

TOLERANCE = 1e-6
"""Of a percentage: metrics are computed from the scores as they are kept."""


@dataclass(frozen=True)
class Figure:
    """A figure that is claimed, and what its scores give; None where they give none (the best test epoch)."""

    row: Row
    metric: str
    claimed: float
    recomputed: float | None

    @property
    def agrees(self) -> bool:
        """Whether the claim follows from the scores."""
        return self.recomputed is not None and abs(self.claimed - self.recomputed) <= TOLERANCE


@dataclass
class Verdict:
    """What checking found.

    Attributes:
        claim: of the submission.
        naming: what the entries of its config are called.
        figures: every figure.
        problems: what is wrong besides, in words.
        clips: digest of the names and labels of the test clips, by dataset, protocol and evaluation.
    """

    claim: Claim
    naming: Naming
    figures: list[Figure] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    clips: dict[tuple[str, str, str], str] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether every figure that scores give agrees, and nothing else is wrong."""
        return not self.problems and all(each.agrees for each in self.figures if each.recomputed is not None)


def check(path: Path) -> Verdict:
    """Recompute the figures of a submission.

    Raises:
        InputError: it cannot be read, or is not in form.
    """
    with opened(path) as submission, given_skeletons(_skeletons(submission)):
        plan, options = _plan(submission)
        verdict = Verdict(submission.claim, naming_of(plan.config))
        jobs = {
            (keys["dataset"], keys["protocol"], keys["method"], evaluation, int(keys["seed"])): job
            for evaluation, keys, job in plan.cells()
        }
        rows: dict[tuple[str, str, str, str, int], list[Row]] = {}
        for row in submission.claim.rows:
            rows.setdefault((row.dataset, row.protocol, row.method, row.evaluation, row.seed), []).append(row)
        if not rows:
            verdict.problems.append("no figure is claimed")
        tested: dict[tuple[str, str, str], tuple[str, Scores]] = {}
        checked: set[JobName] = set()
        for name, claimed in rows.items():
            words = " ".join(map(str, name))
            if name not in jobs:
                verdict.problems.append(f"{words}: the config does not ask for it")
                continue
            verdict.problems += _records(submission, plan, options, jobs[name], checked)
            with submission.file(_member(plan, jobs[name].output)) as path:
                if read_rows(path) != claimed:
                    verdict.problems.append(f"{words}: the claim is not what {path.name} says")
            scores = _scores(submission, plan, jobs[name])
            verdict.figures += _figures(claimed, scores, verdict.problems)
            first = tested.setdefault((name[0], name[1], name[3]), (words, scores))
            verdict.clips[name[0], name[1], name[3]] = digest_of([first[1].names, first[1].labels.tolist()])
            if first[1].names != scores.names or not np.array_equal(first[1].labels, scores.labels):
                verdict.problems.append(f"{words}: tested on other clips than {first[0]}")
    return verdict


def _plan(submission: Submission) -> tuple[Plan, set[str]]:
    """The plan, and the names of all options of its config as it was packed."""
    try:
        content = json.loads(submission.read(PLAN))
        config = content["config"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise submission.error(f"{PLAN} is not in form ({error})") from error
    return Plan(build_config(config, location=f"{submission.path}: {PLAN}")), set(_names(config))


def _skeletons(submission: Submission) -> dict[str, Skeleton]:
    """Skeletons of its own, by the paths that its config names; paths that somebody else wrote are not opened."""
    if SKELETONS not in submission.names:
        return {}
    location = f"{submission.path}: {SKELETONS}"
    try:
        definitions = json.loads(submission.read(SKELETONS))
        return {str(name): build_skeleton(definition, location) for name, definition in dict(definitions).items()}
    except (ValueError, TypeError, RecursionError) as error:
        raise submission.error(f"{SKELETONS} is not in form ({error})") from error


def _names(value: Any) -> Iterator[str]:
    """The keys of a mapping, of those in it, and of those in lists."""
    if isinstance(value, dict):
        yield from value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names(part)


def _member(plan: Plan, path: Path) -> str:
    return RESULTS + path.relative_to(plan.config.results).as_posix()


def _records(submission: Submission, plan: Plan, options: set[str], job: Job, checked: set[JobName]) -> Iterator[str]:
    """What is wrong with the run.json of a job and of those it builds on."""
    waiting = [job]
    while waiting:
        job = waiting.pop()
        if job.name in checked:
            continue
        checked.add(job.name)
        waiting += job.inputs.values()
        try:
            record = json.loads(submission.read(_member(plan, job.record)))
            outputs, others = dict(record["outputs"]), _other_settings(submission, plan, options, job, record)
            inputs = {name: dict(files) for name, files in record["inputs"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            yield f"{job.title}: its run.json is not in form ({error})"
            continue
        except InputError as error:
            yield f"{job.title}: {error.message}"
            continue
        if others:
            yield f"{job.title}: was computed under other settings than the config asks for"
        for name in (job.output, scores_path(job.output)):
            member = _member(plan, name)
            if member in submission.names and outputs.get(name.name) != _digest(submission.read(member)):
                yield f"{job.title}: {name.name} is not the file that its run.json records"
        for needed in job.inputs:
            yield from _other_input(submission, plan, job, needed, inputs.get(needed))


def _other_settings(submission: Submission, plan: Plan, options: set[str], job: Job, record: dict[str, Any]) -> bool:
    """Whether a job was computed under other settings than the plan's. An option that the version of then did not have
    yet, so that it is none of the `options` of the packed config, is at its default in the plan, and no difference.
    """
    settings = record["settings"]
    if record["digest"] == job.digest:
        return False
    if record["digest"] != digest_of(settings):
        return True
    records = {name: json.loads(submission.read(_member(plan, part.record))) for name, part in job.inputs.items()}
    upstream = {name: found["digest"] for name, found in records.items()}
    asked = json.loads(canonical_json({**job.settings, "upstream": upstream}))
    return bool(_known(asked, settings, options) != settings)


def _known(asked: Any, recorded: Any, options: set[str]) -> Any:
    """What is asked for, without what a record does not have if it is none of the `options`."""
    if isinstance(asked, dict) and isinstance(recorded, dict):
        return {
            name: _known(value, recorded.get(name), options)
            for name, value in asked.items()
            if name in recorded or name in options
        }
    if isinstance(asked, list) and isinstance(recorded, list) and len(asked) == len(recorded):
        return [_known(*pair, options) for pair in zip(asked, recorded, strict=True)]
    return asked


def _other_input(
    submission: Submission, plan: Plan, job: Job, name: str, files: dict[str, str] | None
) -> Iterator[str]:
    """Whether an input is what the job before it says that it wrote."""
    try:
        written = json.loads(submission.read(_member(plan, job.inputs[name].record)))["outputs"]
    except (InputError, ValueError, KeyError, TypeError, RecursionError):
        return  # reported with that job
    if written != files:
        yield f"{job.title}: its input {name} is not what {job.inputs[name].title} wrote"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _scores(submission: Submission, plan: Plan, job: Job) -> Scores:
    with submission.file(_member(plan, scores_path(job.output))) as path:
        return read_scores(path)


def _figures(rows: list[Row], scores: Scores, problems: list[str]) -> Iterator[Figure]:
    for row in rows:
        key = row_key(row.streams, row.label_subset, row.condition)
        words = f"{row.dataset} {row.protocol} {row.method} {row.evaluation} {key}"
        if key not in scores.scores:
            problems.append(f"{words}: there are no scores of it")
            continue
        if row.test_clips != len(scores.names) or len(set(scores.names)) != len(scores.names):
            problems.append(f"{words}: {row.test_clips} test clips are claimed, there are {len(set(scores.names))}")
        found = classification(scores.scores[key], scores.labels)
        for metric, claimed in row.metrics.items():
            yield Figure(row, metric, claimed, found.get(metric))
