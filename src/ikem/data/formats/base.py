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
class Entry:
    """A member to read, with what the plan knows of it (`note`), and its bytes if the archive allows one pass only."""

    archive: Path
    member: Member
    note: Any = None
    data: bytes | None = None


@dataclass
class ReadingPlan:
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

    def plan(self, request: Request, left_out: frozenset[str]) -> ReadingPlan:
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


def cut(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    """Tasks of a bounded number of members and bytes, in order."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) == TASK_MEMBERS or size + entry.member.size > TASK_BYTES):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(entry)
        size += entry.member.size
    if batch:
        yield tuple(batch)


def tasks_of(entries: list[Entry], archives: dict[Path, Archive]) -> Iterator[tuple[Entry, ...]]:
    """Tasks in order of the entries; those of an archive that allows one pass only in its order, with their bytes."""

    def loaded() -> Iterator[Entry]:
        for path, archive in archives.items():
            mine = {entry.member.number: entry for entry in entries if entry.archive == path}
            if archive.random_access or not mine:
                continue
            for member, data in archive.read([entry.member for entry in mine.values()]):
                if isinstance(data, ClipError):  # not known to happen: such archives fail as a whole
                    raise data
                yield replace(mine[member.number], data=data)

    yield from cut(entry for entry in entries if archives[entry.archive].random_access)
    yield from cut(loaded())


def contents(task: tuple[Entry, ...]) -> Iterator[tuple[Entry, bytes | ClipError]]:
    """The bytes of each member of a task, or why it cannot be read."""
    for entry in task:
        if entry.data is not None:
            yield entry, entry.data
        else:
            yield from ((entry, data) for _, data in opened(entry.archive).read([entry.member]))


def reject(entry: Entry, error: ClipError, clips: int = 1) -> Reject:
    """The row of rejected.csv for an error in a member that holds a number of clips."""
    return Reject(entry.archive.name, entry.member.name, error.line, error.message, clips)


def ignore(plan: ReadingPlan, archive: Archive, member: Member) -> None:
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
