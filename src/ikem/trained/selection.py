"""Which trained method, and which classifier of it, a user means: a path of the results, and options that narrow it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from ikem.errors import InputError
from ikem.evaluations.linear.evaluation import CLASSIFIERS
from ikem.evaluations.registry import EVALUATIONS
from ikem.evaluations.rows import kept_path
from ikem.evaluations.scores import scores_path
from ikem.registry import nearest
from ikem.workflow.plan import Job, Plan
from ikem.workflow.plan_file import read_plan

Found = TypeVar("Found")

_MOST = 20
"""Results that a message lists."""

_WITH_CLASSIFIERS = [kind for kind, evaluation in EVALUATIONS.items() if CLASSIFIERS in evaluation.keeps]


@dataclass(frozen=True)
class Options:
    """What narrows a path: entries of the config, as tables and paths show them; None: any."""

    dataset: str | None = None
    protocol: str | None = None
    seed: str | None = None
    method: str | None = None
    evaluation: str | None = None


@dataclass(frozen=True)
class Run:
    """A trained method: what one seed gave on one split.

    Attributes:
        plan: of the results folder.
        keys: dataset, protocol, seed, method.
        evaluations: the jobs that evaluate it, by entry.
    """

    plan: Plan
    keys: Mapping[str, str]
    evaluations: Mapping[str, Job]

    @cached_property
    def embed(self) -> Job:
        """The job that embeds all clips; its inputs are the states."""
        return self.plan.job("embed", self.keys)

    @cached_property
    def states(self) -> dict[str, Job]:
        """For each modality the job whose state holds its encoder."""
        prefix = "state_"
        return {name.removeprefix(prefix): job for name, job in self.embed.inputs.items() if name.startswith(prefix)}

    @property
    def classifiers(self) -> dict[str, Job]:
        """The evaluations that kept classifiers, by entry."""
        return {
            entry: job
            for entry, job in self.evaluations.items()
            if job.name.kind in _WITH_CLASSIFIERS and kept_path(job.output, CLASSIFIERS).exists()
        }


def select_run(path: Path, options: Options) -> Run:
    """The one trained method that is meant.

    Args:
        path: the results folder, or anything in it that belongs to the method: a folder, a state, a file of results.
        options: what narrows it.

    Raises:
        InputError: there is no such method, or there are several; the message lists them.
    """
    found = list(_runs(path, options))
    return _only(found, [run.keys for run in found], path)


def select_classifier(path: Path, options: Options) -> tuple[Run, Job]:
    """The one trained method and evaluation with kept classifiers that are meant; see `select_run`.

    Raises:
        InputError: there is no such evaluation, or there are several; the message lists them.
    """
    runs = list(_runs(path, options))
    found = [(run, job) for run in runs for job in _classifiers(run, path, options)]
    if runs and not found:
        kinds = ", ".join(_WITH_CLASSIFIERS)
        raise InputError(
            "there is no result of an evaluation that keeps its classifiers",
            location=str(path),
            hint=f"Evaluations of the kind {kinds} keep them; run one, or name its file, such as .../linear.json",
        )
    return _only(found, [{**run.keys, "evaluation": evaluation_of(job)} for run, job in found], path)


def classifiers_of(run: Run, path: Path, options: Options) -> list[Job]:
    """The evaluations of a run that kept classifiers and are meant; of several, those of the run's own dataset."""
    found = _classifiers(run, path, options)
    own = [job for job in found if run.plan.config.evaluations[evaluation_of(job)].target is None]
    return found if len(found) == 1 else own


def _classifiers(run: Run, path: Path, options: Options) -> list[Job]:
    """A file of an evaluation means this one; any other path all that kept classifiers."""
    named = [entry for entry, job in run.evaluations.items() if path.is_file() and _belongs(path, job)]
    return [
        job
        for entry, job in run.classifiers.items()
        if options.evaluation in (None, entry) and (not named or entry in named)
    ]


def evaluation_of(job: Job) -> str:
    """The entry of an evaluation job."""
    return dict(job.name.keys)["evaluation"]


def results_folder(path: Path) -> Path:
    """The results folder that a path is, or lies in.

    Raises:
        InputError: there is none.
    """
    if not path.exists():
        raise InputError("does not exist", location=str(path))
    for folder in (_absolute(path), *_absolute(path).parents):
        if (folder / "plan.json").is_file():
            return folder
    raise InputError(
        "is neither in a results folder (no plan.json there) nor an exported encoder (no config.json there)",
        location=str(path),
        hint="Name the results folder, such as results, or a folder or file in it",
    )


def _absolute(path: Path) -> Path:
    """The path from the root, without "..", and with the links that it has: results may be linked to."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _runs(path: Path, options: Options) -> Iterator[Run]:
    """The trained methods that are meant, those of them whose states are there.

    Raises:
        InputError: there is none.
    """
    root = results_folder(path)
    plan = read_plan(root / "plan.json")
    plan = Plan(plan.config.model_copy(update={"results": str(root)}))  # it may have been moved
    grouped: dict[tuple[tuple[str, str], ...], dict[str, Job]] = {}
    for entry, keys, job in plan.cells():
        grouped.setdefault(tuple(keys.items()), {})[entry] = job
    runs = [Run(plan, dict(keys), evaluations) for keys, evaluations in grouped.items()]
    for name, value in asdict(options).items():
        known = [entry for run in runs for entry in (run.evaluations if name == "evaluation" else [run.keys[name]])]
        if value is not None and value not in known:
            raise InputError(
                f"there is no {name} {value!r}{nearest(value, known)}; there are {', '.join(dict.fromkeys(known))}",
                location=str(root / "plan.json"),
            )
    given = {name: value for name, value in asdict(options).items() if value is not None}
    entry = given.pop("evaluation", None)
    meant = [
        run
        for run in runs
        if given.items() <= run.keys.items()
        and (entry is None or entry in run.evaluations)
        and _within(path, root, run)
    ]
    there = [run for run in meant if all(job.output.exists() for job in run.states.values())]
    if not there:
        what = "the states of what is meant are not there" if meant else "nothing trained is meant by this"
        words = "; ".join(_words(run.keys) for run in (meant or runs)[:_MOST])
        raise InputError(what, location=str(path), hint=f"{'Needed' if meant else 'There'} are the states of: {words}")
    yield from there


def _within(path: Path, root: Path, run: Run) -> bool:
    """Whether a file of the run is what the path names, or is in it; or the path is a file next to it."""
    if _absolute(path) == root:
        return True
    return any(_belongs(path, job) for job in (run.embed, *run.states.values(), *run.evaluations.values()))


def _belongs(path: Path, job: Job) -> bool:
    output = _absolute(job.output)
    beside = (output, _absolute(job.record), scores_path(output), kept_path(output, CLASSIFIERS))
    return _absolute(path) in (*beside, *output.parents)


def _only(found: list[Found], keys: list[Mapping[str, str]], path: Path) -> Found:
    if len(found) == 1:
        return found[0]
    differing = [name for name in keys[0] if len({each.get(name) for each in keys}) > 1]
    lines = ["  " + _words({name: each[name] for name in differing}) for each in keys[:_MOST]]
    lines += [f"  and {len(found) - _MOST} more"] if len(found) > _MOST else []
    raise InputError(
        f"{len(found)} results are meant by this",
        location=str(path),
        hint="\n".join(["Choose one of them:", *lines]),
    )


def _words(keys: Mapping[str, str]) -> str:
    return " ".join(f"--{name} {value}" for name, value in keys.items())
