"""Packing a submission from a results folder."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ikem.errors import InputError
from ikem.evaluations.scores import scores_path
from ikem.files import atomic, canonical_json
from ikem.registry import JobName, nearest
from ikem.report.results import Row, read_rows
from ikem.skeleton import definition_of, known_skeletons, load_skeleton
from ikem.submission.archive import CLAIM, PLAN, RESULTS, SKELETONS, Claim
from ikem.workflow.plan import Job, Plan
from ikem.workflow.plan_file import read_plan
from ikem.workflow.staleness import fault_of

_DATE = (1980, 1, 1, 0, 0, 0)
"""Of all members: the same results give the same bytes."""


def pack(
    plan_path: Path,
    methods: Sequence[str],
    output: Path,
    title: str,
    authors: str,
    link: str = "",
    comment: str = "",
    evaluations: Sequence[str] = (),
) -> Claim:
    """Write the rows of some methods, and all that they can be recomputed from, to a zip; nothing is computed.

    Args:
        plan_path: plan.json of the results folder.
        methods: entries of `methods` of the config.
        output: the zip.
        title, authors, link, comment: see `Claim`.
        evaluations: entries of `evaluations` of the config; none: all.

    Raises:
        InputError: title or authors are empty or too long, a method or an evaluation is not in the plan, or a result is
            missing, stale or damaged.
    """
    for name, value in (("title", title), ("authors", authors)):
        if not 1 <= len(value) <= 200:
            raise InputError("must have 1 to 200 characters", location=f"--{name}")
    plan = read_plan(plan_path)
    _known("method", methods, [keys["method"] for _, keys, _ in plan.cells()])
    cells = [cell for cell in plan.cells() if cell[1]["method"] in methods]
    for method in methods:
        _known(
            "evaluation", evaluations, [each for each, keys, _ in cells if keys["method"] == method], f" of {method}"
        )
    jobs = {job.name: job for evaluation, _, job in cells if not evaluations or evaluation in evaluations}
    for job in jobs.values():
        fault = fault_of(job)
        if fault is not None:
            raise InputError(fault, location=str(job.output), hint="Run the config again, then submit")
    root = Path(plan.config.results)
    rows: list[Row] = []
    files = [job.record for job in _history(jobs.values())]
    for job in jobs.values():
        rows += read_rows(job.output)
        files += [job.output, scores_path(job.output)]
    claim = Claim(title=title, authors=authors, link=link, comment=comment, rows=tuple(rows))
    with atomic(output) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, CLAIM, claim.model_dump_json(indent=2).encode())
        _add(archive, PLAN, plan_path.read_bytes())
        if own := {name: definition_of(load_skeleton(name)) for name in _own_skeletons(plan)}:
            _add(archive, SKELETONS, canonical_json(own).encode())
        for path in sorted(set(files)):
            _add(archive, RESULTS + path.relative_to(root).as_posix(), _content(path))
    return claim


def _known(kind: str, asked: Iterable[str], planned: Iterable[str], whose: str = "") -> None:
    """Refuse what the plan does not have."""
    known = list(dict.fromkeys(planned))
    for name in asked:
        if name not in known:
            allowed = ", ".join(known)
            raise InputError(f"{kind} {name!r}{whose} is not in the plan{nearest(name, known)}; there are {allowed}")


def _history(jobs: Iterable[Job]) -> Iterator[Job]:
    """Jobs and all that they build on, each once."""
    seen: set[JobName] = set()
    waiting = list(jobs)
    while waiting:
        job = waiting.pop()
        if job.name not in seen:
            seen.add(job.name)
            yield job
            waiting += job.inputs.values()


def _own_skeletons(plan: Plan) -> list[str]:
    """Paths of the skeletons that do not come with the package: whoever checks needs the whole plan."""
    names = {str(job.settings["skeleton"]) for job in plan.all_jobs() if "skeleton" in job.settings}
    return sorted(names - set(known_skeletons()))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "Run the config again, then submit"
        raise InputError(error.strerror or "cannot be read", location=str(path), hint=hint) from error


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)
