"""Readers of archives in which a member is a clip: NTU RGB+D and Northwestern-UCLA."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from ikem.data.archives import open_archive
from ikem.data.clips import Clip, ClipError, Floats, Reject, check_body
from ikem.data.formats import ntu, nwucla
from ikem.data.formats.base import Entry, ReadingPlan, Request, Result, contents, ignore, is_hidden, reject, tasks_of
from ikem.data.number_parser import JOINTS
from ikem.errors import InputError


class ClipPerMember(ABC):
    """Base of the readers: what is in a name, and what is in a file, is up to the format."""

    suffix = ""
    joints = 0
    example = ""

    @abstractmethod
    def parse(self, stem: str) -> tuple[int, Mapping[str, int]] | str:
        """Class and columns of a clip's name, or what is wrong with it."""

    @abstractmethod
    def decode(self, data: bytes, location: str, entry: Entry, request: Request) -> Floats:
        """Coordinates of a clip."""

    def plan(self, request: Request, left_out: frozenset[str]) -> ReadingPlan:
        """See Reader. All roles but `missing_list` are archives of clips."""
        if request.joints != self.joints:
            raise InputError(
                f"the format has {self.joints} joints, the dataset's skeleton {request.joints}",
                hint="Give the dataset the skeleton that belongs to its format",
            )
        plan = ReadingPlan(0, ())
        paths = [path for role, path in request.archives.items() if role != "missing_list"]
        archives = {path: open_archive(path) for path in paths}
        entries: dict[str, Entry] = {}
        skipped = others = 0
        for path, archive in archives.items():
            for member in archive.members():
                if member.suffix != self.suffix or is_hidden(member):
                    ignore(plan, archive, member)
                    continue
                parsed = self.parse(member.stem)
                problem = member.problem or (parsed if isinstance(parsed, str) else None)
                if problem is None and member.stem in left_out:
                    skipped += 1
                    continue
                if not isinstance(parsed, str) and request.setups is not None:
                    first, last = request.setups
                    if not first <= parsed[1]["setup"] <= last:
                        others += 1
                        continue
                if problem is None and member.stem in entries:
                    other = entries[member.stem]
                    problem = f"another clip has this name: {other.archive.name}: {other.member.name}"
                if problem is not None:
                    plan.rejected.append(Reject(path.name, member.name, 0, problem))
                else:
                    entries[member.stem] = Entry(path, member, parsed)
        if skipped:
            plan.left_out["missing list"] = skipped
        if others:
            plan.left_out["other setups"] = others
            plan.notes["clips of setups that belong to another dataset"] = others
        if not entries and not plan.rejected and not skipped and not others:
            raise InputError(
                f"there is no file such as {self.example}{self.suffix}",
                location=", ".join(str(path) for path in paths),
                hint="Check that the archives are those of this dataset",
            )
        plan.total = len(entries)
        plan.size = sum(entry.member.size for entry in entries.values())
        plan.tasks = tasks_of([entries[name] for name in sorted(entries)], archives)
        return plan

    def read(self, request: Request, task: tuple[Entry, ...]) -> list[Result]:
        """See Reader."""
        result: list[Result] = []
        for entry, data in contents(task):
            try:
                if isinstance(data, ClipError):
                    raise data
                location = f"{entry.archive.name}: {entry.member.name}"
                coordinates = self.decode(data, location, entry, request)
                check_body(coordinates, location)
                label, columns = entry.note
                result.append(Clip(entry.member.stem, label, coordinates, columns))
            except ClipError as error:
                result.append(reject(entry, error))
        return result


class NtuReader(ClipPerMember):
    """`format: ntu`."""

    suffix, joints, example = ".skeleton", JOINTS, "S001C001P001R001A001"

    def parse(self, stem: str) -> tuple[int, Mapping[str, int]] | str:
        """See ClipPerMember."""
        columns = ntu.parse_name(stem)
        if columns is None:
            return f"its name is not like {self.example}"
        label = columns.pop("action") - 1
        return (label, columns) if label >= 0 else "its name says action 0; actions count from 1"

    def decode(self, data: bytes, location: str, entry: Entry, request: Request) -> Floats:
        """See ClipPerMember."""
        return ntu.read_skeleton(data, location, request.bodies)


class NwuclaReader(ClipPerMember):
    """`format: nwucla`."""

    suffix, joints, example = ".json", nwucla.JOINTS, "a01_s01_e00_v01"

    def parse(self, stem: str) -> tuple[int, Mapping[str, int]] | str:
        """See ClipPerMember."""
        columns = nwucla.parse_name(stem)
        if columns is None:
            return f"its name is not like {self.example}"
        label = nwucla.label_of(columns.pop("action"))
        return (label, columns) if label is not None else "its name has an action that the dataset has not"

    def decode(self, data: bytes, location: str, entry: Entry, request: Request) -> Floats:
        """See ClipPerMember."""
        return nwucla.read_json(data, location, entry.member.stem, entry.note[0])
