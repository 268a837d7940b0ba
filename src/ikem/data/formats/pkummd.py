"""PKU-MMD I and II: videos as text, cut into clips by label files, split by lists of videos.

Roles: `skeletons` and `labels`, each a 7z, a zip or a folder; `cross_subject` and `cross_view`, text files, each where
a protocol needs it. A skeleton file has a line a frame, 150 numbers: two bodies x 25 joints x xyz. A label file has a
line an instance: class, first frame, last frame (from 1), confidence. All four fields are required, so that a file that
was cut inside a number is noticed; of a skeleton file the last number must be followed by white space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ikem.data.archives import Archive, Member, open_archive, read_text
from ikem.data.clips import BODIES, Clip, ClipError, Dropped, Floats, Reject, check_body
from ikem.data.formats.base import Entry, ReadingPlan, Request, Result, contents, ignore, is_hidden, reject, tasks_of
from ikem.data.number_parser import JOINTS, MANY, NUMBER, OK, scan_table
from ikem.data.text_parsing import bad_number, encoding_problem, fill_later, without_mark
from ikem.errors import InputError

NUMBERS = BODIES * JOINTS * 3
LONGEST = 300
CLASSES = 51
VIEWS = {"L": 1, "M": 2, "R": 3}
SPLITS = ("cross_subject", "cross_view")

VIDEO = re.compile(r"(?:(\d{4})|A(\d{2})N(\d{2}))-([LMR])", re.ASCII)
"""Part I: number and view; part II: two numbers and view."""

_HEADER = re.compile(r"\s*(train|test|val)[a-z]*(?:[ _-]+[a-z]+)?\s*(?::|$)", re.ASCII | re.IGNORECASE)
"""The owner's files spell it "Validataion videos:"."""


@dataclass(frozen=True)
class Instance:
    """A line of a label file.

    Attributes:
        number: its index in the file, from 0; it names the clip.
        label: class, from 0.
        begin, end: frames of the video, from 0, end exclusive.
        line: line of the label file.
    """

    number: int
    label: int
    begin: int
    end: int
    line: int


def read_video(data: bytes, location: str) -> Floats:
    """Coordinates of a skeleton file: (T, M=2, V=25, 3) float32, meters; absent bodies are zero.

    Raises:
        ClipError: the file is not as the format says.
    """
    problem = encoding_problem(data)
    if problem:
        raise ClipError(problem, location=location, line=1)
    data = without_mark(data)
    report = np.zeros((1, 5), np.int64)
    values: Floats
    values, later = scan_table(np.frombuffer(data, np.uint8), NUMBERS, report)
    status, line, offset, got, _ = report[0].tolist()
    if status == NUMBER:
        raise ClipError(bad_number(data, offset), location=location, line=line)
    if status == MANY:
        raise ClipError(f"has more than {got} frames, which is no video", location=location, line=line)
    if status != OK:
        raise ClipError(f"a frame has {got} numbers, expected {NUMBERS}", location=location, line=line)
    if data[-1:].strip():
        line = data.count(b"\n") + 1
        raise ClipError("ends within a line; it may be cut off", location=location, line=line)
    fill_later(data, values.reshape(-1), later, location)
    return values.reshape(-1, BODIES, JOINTS, 3)


def read_labels(data: bytes, location: str) -> list[Instance]:
    """Instances of a label file, in file order.

    Raises:
        ClipError: the file is not as the format says.
    """
    try:
        lines = re.split("\r\n|\n|\r", data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ClipError("is not plain text", location=location, line=data[: error.start].count(b"\n") + 1) from error
    instances: list[Instance] = []
    for line, text in enumerate(lines, start=1):
        if not text.strip(" \t"):
            continue
        fields = [field.strip(" \t") for field in text.split(",")]
        whole = all(re.fullmatch(r"[0-9]{1,9}", field) for field in fields[:3])
        if len(fields) != 4 or not whole or not re.fullmatch(r"[0-9.]{1,9}", fields[3]):
            raise ClipError(f"{text[:40]!r} is not class,first,last,confidence", location=location, line=line)
        action, first, last = map(int, fields[:3])
        if not 1 <= action <= CLASSES:
            raise ClipError(f"class {action} is not one of 1 to {CLASSES}", location=location, line=line)
        instances.append(Instance(len(instances), action - 1, first - 1, last, line))
    return instances


def read_split_file(path: Path) -> dict[str, str]:
    """Which videos train and which test: for each of the two lists a header, then names with commas or spaces.

    A header begins with "train", "test" or "val" and may end with a colon, after which names may follow. The lists may
    come in either order.

    Returns:
        "train" or "test" for each video.

    Raises:
        InputError: the file cannot be read, has a line that is neither header nor names, or not both lists.
    """
    parts: dict[str, set[str]] = {}
    names: set[str] | None = None
    for number, line in enumerate(re.split("\r\n|\n|\r", read_text(path)), start=1):
        location = f"{path}, line {number}"
        header = _HEADER.match(line)
        if header is not None:
            part = "train" if header[1].lower() == "train" else "test"
            if part in parts:
                raise InputError(f"begins the list of videos that {part} a second time", location=location)
            names = parts[part] = set()
            line = line[header.end() :]
        for word in re.split(r"[,\s]+", line):
            if not word:
                continue
            name = word.removesuffix(".txt")
            if not VIDEO.fullmatch(name):
                raise InputError(f"{word[:40]!r} is neither the name of a video nor a header", location=location)
            if names is None:
                raise InputError(f"{name} stands before the first header", location=location)
            names.add(name)
    if any(not parts.get(part) for part in ("train", "test")):
        found = ", ".join(f"{len(names)} that {part}" for part, names in parts.items())
        raise InputError(
            f"needs a list of videos that train and one of videos that test; it has {found or 'none'}",
            location=str(path),
            hint="Get it again from the dataset's owner",
        )
    both = sorted(parts["train"] & parts["test"])
    if both:
        raise InputError(f"has {len(both)} videos in both lists, such as {both[0]}", location=str(path))
    return {name: part for part in ("train", "test") for name in parts[part]}


def cut_instance(video: Floats, instance: Instance, location: str) -> Floats | None:
    """Frames of an instance: at most the middle 300; None where all is zero.

    An instance that ends beyond the video ends with it.

    Raises:
        ClipError: no frame of it is in the video.
    """
    begin, end = instance.begin, min(instance.end, len(video))
    if begin < 0 or end <= begin:
        raise ClipError(
            f"an instance has the frames {begin + 1} to {instance.end}, the video {len(video)}",
            location=location,
            line=instance.line,
        )
    if end - begin > LONGEST:
        begin += (end - begin - LONGEST) // 2
        end = begin + LONGEST
    clip = video[begin:end]
    return clip if clip.any() else None


class PkummdReader:
    """`format: pkummd`."""

    def plan(self, request: Request, left_out: frozenset[str]) -> ReadingPlan:
        """See Reader."""
        if request.joints != JOINTS:
            raise InputError(f"the format has {JOINTS} joints, the dataset's skeleton {request.joints}")
        splits = {role: read_split_file(request.archives[role]) for role in SPLITS if role in request.archives}
        plan = ReadingPlan(0, ())
        path = request.archive("skeletons")
        archive = open_archive(path)
        videos, unusable = _videos(path, archive, plan)
        labels, unreadable = _labels(request.archive("labels"), plan)
        for name in sorted(labels.keys() - videos.keys() - unusable.keys()):
            unusable[name] = Reject(path.name, name, 0, "there is no skeleton file of this labeled video")
        for name in sorted(videos.keys() - labels.keys() - unreadable.keys()):
            unusable[name] = Reject(path.name, videos[name].name, 0, "there is no label file of this video")
        # How many clips a video has is in its label file; without that it is taken to have as many as others.
        usual = max(1, round(sum(map(len, labels.values())) / max(1, len(labels))))
        for name, fault in (unreadable | unusable).items():
            plan.rejected.append(replace(fault, clips=len(labels[name]) if name in labels else usual))
        for role, parts in splits.items():
            _count(plan.notes, f"videos in neither list of {role}", len(videos.keys() - parts.keys()))
            _count(plan.notes, f"videos in a list of {role} that are not there", len(parts.keys() - videos.keys()))
        entries = []
        for name in sorted(videos.keys() & labels.keys()):
            member = videos[name]
            instances = [one for one in labels[name] if _clip_name(name, one) not in left_out]
            _count(plan.left_out, "missing list", len(labels[name]) - len(instances))
            columns = {role: parts.get(name, "") for role, parts in splits.items()}
            entries.append(Entry(path, member, (name, tuple(instances), columns)))
            plan.total += len(instances)
            plan.size += member.size
        if not entries and not plan.rejected:
            raise InputError("there is no video such as 0002-L.txt", location=str(path))
        plan.tasks = tasks_of(entries, {path: archive})
        return plan

    def read(self, request: Request, task: tuple[Entry, ...]) -> list[Result]:
        """See Reader."""
        result: list[Result] = []
        for entry, data in contents(task):
            try:
                if isinstance(data, ClipError):
                    raise data
                video = read_video(data, f"{entry.archive.name}: {entry.member.name}")
            except ClipError as error:
                result.append(reject(entry, error, clips=len(entry.note[1])))
                continue
            result += _clips(entry, video)
        return result


def _clips(entry: Entry, video: Floats) -> list[Result]:
    name, instances, columns = entry.note
    result: list[Result] = []
    for instance in instances:
        location = f"{entry.archive.name}: {entry.member.name}"
        try:
            clip = cut_instance(video, instance, location)
            if clip is None:
                result.append(Dropped("empty instances"))
                continue
            check_body(clip, location)
        except ClipError as error:
            reason = f"{error.message} (line {instance.line} of its label file)"
            result.append(Reject(entry.archive.name, entry.member.name, 0, reason))
            continue
        more: Mapping[str, int | str] = {"camera": VIEWS[name[-1]], "replication": instance.number, **columns}
        result.append(Clip(_clip_name(name, instance), instance.label, clip, more))
    return result


def _clip_name(video: str, instance: Instance) -> str:
    return f"{video}_{instance.number:03}"


def _count(counts: dict[str, int], reason: str, count: int) -> None:
    if count:
        counts[reason] = counts.get(reason, 0) + count


def _videos(path: Path, archive: Archive, plan: ReadingPlan) -> tuple[dict[str, Member], dict[str, Reject]]:
    """Members by name of the video, and by their name those that cannot be used."""
    videos: dict[str, Member] = {}
    faults: dict[str, Reject] = {}
    for member in archive.members():
        if member.suffix != ".txt" or is_hidden(member):
            ignore(plan, archive, member)
            continue
        name, problem = member.stem, member.problem
        if problem is None and not VIDEO.fullmatch(name):
            problem = "its name is not like 0002-L or A01N01-L"
        if problem is None and name in videos:
            problem = f"another file has this name: {videos[name].name}"
        if problem is not None:
            faults[name if name not in faults else member.name] = Reject(path.name, member.name, 0, problem)
        else:
            videos[name] = member
    return videos, faults


def _labels(path: Path, plan: ReadingPlan) -> tuple[dict[str, list[Instance]], dict[str, Reject]]:
    """Instances by name of the video, and by their name the files that cannot be used."""
    archive = open_archive(path)
    members, faults = _videos(path, archive, plan)
    labels = {}
    for member, data in archive.read(list(members.values())):
        try:
            if isinstance(data, ClipError):
                raise data
            labels[member.stem] = read_labels(data, f"{path.name}: {member.name}")
        except ClipError as error:
            faults[member.stem] = Reject(path.name, member.name, error.line, error.message)
    return labels, faults
