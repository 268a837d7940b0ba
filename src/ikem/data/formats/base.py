"""How reading is cut into tasks: a reader plans in the main process, and reads task by task in any process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from ikem.data.archives import Archive, Member, open_archive
from ikem.data.clips import Clip, ClipError, Dropped, Reject
from ikem.data.formats.ntu import BodyRule
from ikem.errors import InputError

Result = Clip | Reject | Dropped

TASK_MEMBERS = 64
TASK_BYTES = 24 << 20


@dataclass(frozen=True)
class Request:
    """What is to be read.

    Attributes:
        archives: the raw files by role.
        joints: V of the dataset's skeleton.
        bodies: which bodies are kept.
        setups: first and last setup that belongs to the dataset; None: all.
    """

    archives: dict[str, Path]
    joints: int
    bodies: BodyRule = "first-two"
    setups: tuple[int, int] | None = None

    def archive(self, role: str) -> Path:
        """The raw file of a role.

        Raises:
            InputError: the dataset has none.
        """
        if role not in self.archives:
            raise InputError(f"archives must have the role {role!r}", hint="Add it to the dataset's archives")
        return self.archives[role]


@dataclass(frozen=True)
class Job:
    """A member to read, with what the plan knows of it (`note`), and its bytes if the archive allows one pass only."""

    archive: Path
    member: Member
    note: Any = None
    data: bytes | None = None


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        total: number of clips in all tasks.
        tasks: the tasks, in order; each can be pickled.
        size: bytes to read, as far as known; small plans are not worth processes.
        rejected: what is rejected already.
        left_out: clips left out on purpose, by reason.
        ignored: number of files that are nothing to this reader.
        notes: what the user should know though nothing is rejected, with its count.
    """

    total: int
    tasks: Iterable[Any]
    rejected: list[Reject] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    ignored: int = 0
    size: int = 0
    notes: dict[str, int] = field(default_factory=dict)


class Reader(Protocol):
    """A format."""

    def plan(self, request: Request, left_out: frozenset[str]) -> Plan:
        """Find out what there is to read, without the clips in `left_out`.

        Raises:
            InputError: an archive is missing, broken or encrypted.
        """

    def read(self, request: Request, task: Any) -> list[Result]:
        """Read a task. Of a clip that cannot be used the reason is returned; other errors are InputErrors."""


@lru_cache(maxsize=8)
def opened(path: Path) -> Archive:
    """The archive, opened once in each process. What plans a run clears this, so that a changed file is seen."""
    return open_archive(path)


def cut(jobs: Iterable[Job]) -> Iterator[tuple[Job, ...]]:
    """Tasks of a bounded number of members and bytes, in order."""
    batch: list[Job] = []
    size = 0
    for job in jobs:
        if batch and (len(batch) == TASK_MEMBERS or size + job.member.size > TASK_BYTES):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(job)
        size += job.member.size
    if batch:
        yield tuple(batch)


def tasks_of(jobs: list[Job], archives: dict[Path, Archive]) -> Iterator[tuple[Job, ...]]:
    """Tasks in order of the jobs; jobs of an archive that allows one pass only come in its order, with their bytes."""

    def loaded() -> Iterator[Job]:
        for path, archive in archives.items():
            mine = {job.member.number: job for job in jobs if job.archive == path} if not archive.random_access else {}
            for member, data in archive.read([job.member for job in mine.values()]) if mine else ():
                if isinstance(data, ClipError):  # not known to happen: such archives fail as a whole
                    raise data
                yield replace(mine[member.number], data=data)

    yield from cut(job for job in jobs if archives[job.archive].random_access)
    yield from cut(loaded())


def contents(task: tuple[Job, ...]) -> Iterator[tuple[Job, bytes | ClipError]]:
    """The bytes of each member of a task, or why it cannot be read."""
    for job in task:
        if job.data is not None:
            yield job, job.data
        else:
            yield from ((job, data) for _, data in opened(job.archive).read([job.member]))


def reject(job: Job, error: ClipError, clips: int = 1) -> Reject:
    """The row of rejected.csv for an error in a member that holds a number of clips."""
    return Reject(job.archive.name, job.member.name, error.line, error.message, clips)


def ignore(plan: Plan, archive: Archive, member: Member) -> None:
    """Count a member whose name says that it is nothing to the reader; if its name may be another one, reject it."""
    problem = archive.name_problem(member)
    if problem is None:
        plan.ignored += 1
    else:
        plan.rejected.append(Reject(archive.path.name, member.name, 0, problem))


def is_hidden(member: Member) -> bool:
    """Whether a member is what operating systems add to archives: resource forks, desktop settings."""
    parts = member.name.split("/")
    return "__MACOSX" in parts or parts[-1].startswith(".")
