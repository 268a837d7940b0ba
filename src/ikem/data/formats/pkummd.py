"""PKU-MMD I and II: videos as text, cut into clips by label files, split by lists of videos.

Roles: `skeletons` and `labels`, each a 7z, a zip or a folder; `cross_subject` and `cross_view`, text files, each where
a protocol needs it. A skeleton file has a line a frame, 150 numbers: two bodies x 25 joints x xyz. A label file has a
line an instance: class, first frame, last frame (from 1), confidence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ikem.data.archives import Member, open_archive, read_text
from ikem.data.clips import BODIES, Clip, ClipError, Dropped, Floats, Reject, check_body
from ikem.data.formats.base import Job, Plan, Request, Result, contents, is_hidden, reject, tasks_of
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


@dataclass(frozen=True)
class Instance:
    """A line of a label file.

    Attributes:
        number: its place in the file, from 0; it names the clip.
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
    """Coordinates of a skeleton file: (T, M=2, V=25, 3) float32, metres; absent bodies are zero.

    Raises:
        ClipError: the file is not as the format says.
    """
    problem = encoding_problem(data)
    if problem:
        raise ClipError(problem, location=location, line=1)
    data = without_mark(data)
    report = np.zeros((1, 5), np.int64)
    values, later = scan_table(np.frombuffer(data, np.uint8), NUMBERS, report)
    status, line, place, got, _ = report[0].tolist()
    if status == NUMBER:
        raise ClipError(bad_number(data, place), location=location, line=line)
    if status == MANY:
        raise ClipError(f"has more than {got} frames, which is no video", location=location, line=line)
    if status != OK:
        raise ClipError(f"a frame has {got} numbers, expected {NUMBERS}", location=location, line=line)
    fill_later(data, values.reshape(-1), later, location)
    return values.reshape(-1, BODIES, JOINTS, 3)


def read_labels(data: bytes, location: str) -> list[Instance]:
    """Instances of a label file, in file order.

    Raises:
        ClipError: the file is not as the format says.
    """
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ClipError("is not plain text", location=location, line=data[: error.start].count(b"\n") + 1) from error
    instances: list[Instance] = []
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        fields = [field.strip() for field in text.split(",")]
        if len(fields) not in (3, 4) or not all(re.fullmatch(r"[0-9]{1,9}", field) for field in fields[:3]):
            raise ClipError(f"{text[:40]!r} is not class,first,last,confidence", location=location, line=line)
        action, first, last = map(int, fields[:3])
        if not 1 <= action <= CLASSES:
            raise ClipError(f"class {action} is not one of 1 to {CLASSES}", location=location, line=line)
        instances.append(Instance(len(instances), action - 1, first - 1, last, line))
    return instances


def read_split_file(path: Path) -> dict[str, str]:
    """Which videos train and which test: a header, names with commas, a header, names with commas.

    Returns:
        "train" or "test" for each video.

    Raises:
        InputError: the file cannot be read, has not two parts, or has a video in both.
    """
    parts: list[set[str]] = []
    after_header = True
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = [word for word in re.split(r"[,\s]+", line.rpartition(":")[2]) if word]
        names = [word.removesuffix(".txt") for word in words]
        if not words or not all(VIDEO.fullmatch(name) for name in names):
            if any(VIDEO.fullmatch(name) for name in names):
                wrong = next(name for name in names if not VIDEO.fullmatch(name))
                raise InputError(f"{wrong[:40]!r} is no name of a video", location=f"{path}, line {number}")
            after_header = after_header or bool(line.strip())
            continue
        if after_header or ":" in line:
            parts.append(set())
        parts[-1].update(names)
        after_header = False
    if len(parts) != 2:
        raise InputError(
            f"has {len(parts)} lists of videos, expected two: those that train and those that test",
            location=str(path),
            hint="Get it anew from the dataset's owner",
        )
    both = sorted(parts[0] & parts[1])
    if both:
        raise InputError(f"has {len(both)} videos in both lists, such as {both[0]}", location=str(path))
    return {name: part for part, names in zip(("train", "test"), parts, strict=True) for name in names}


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

    def plan(self, request: Request, left_out: frozenset[str]) -> Plan:
        """See Reader."""
        if request.joints != JOINTS:
            raise InputError(f"the format has {JOINTS} joints, the dataset's skeleton {request.joints}")
        splits = {role: read_split_file(request.archives[role]) for role in SPLITS if role in request.archives}
        plan = Plan(0, ())
        path = request.archive("skeletons")
        archive = open_archive(path)
        videos = _videos(path, archive.members(), plan)
        labels = _labels(request.archive("labels"), plan)
        for name in sorted(set(labels) - set(videos)):
            plan.rejected.append(Reject(path.name, name, 0, "there is no skeleton file of this labelled video"))
        jobs = []
        for name, member in sorted(videos.items()):
            if name not in labels:
                plan.rejected.append(Reject(path.name, member.name, 0, "there is no label file of this video"))
                continue
            instances = [one for one in labels[name] if _clip_name(name, one) not in left_out]
            if len(instances) < len(labels[name]):
                more = len(labels[name]) - len(instances)
                plan.left_out["missing list"] = plan.left_out.get("missing list", 0) + more
            columns = {role: parts.get(name, "") for role, parts in splits.items()}
            jobs.append(Job(path, member, (name, tuple(instances), columns)))
            plan.total += len(instances)
            plan.size += member.size
        if not jobs and not plan.rejected:
            raise InputError("there is no video such as 0002-L.txt", location=str(path))
        plan.tasks = tasks_of(jobs, {path: archive})
        return plan

    def read(self, request: Request, task: tuple[Job, ...]) -> list[Result]:
        """See Reader."""
        result: list[Result] = []
        for job, data in contents(task):
            try:
                if isinstance(data, ClipError):
                    raise data
                video = read_video(data, f"{job.archive.name}: {job.member.name}")
            except ClipError as error:
                result.append(reject(job, error))
                continue
            result += _clips(job, video)
        return result


def _clips(job: Job, video: Floats) -> list[Result]:
    name, instances, columns = job.note
    result: list[Result] = []
    for instance in instances:
        location = f"{job.archive.name}: {job.member.name}"
        try:
            clip = cut_instance(video, instance, location)
            if clip is None:
                result.append(Dropped("empty instances"))
                continue
            check_body(clip, location)
        except ClipError as error:
            reason = f"{error.message} (line {instance.line} of its label file)"
            result.append(Reject(job.archive.name, job.member.name, 0, reason))
            continue
        more: Mapping[str, int | str] = {"camera": VIEWS[name[-1]], "replication": instance.number, **columns}
        result.append(Clip(_clip_name(name, instance), instance.label, clip, more))
    return result


def _clip_name(video: str, instance: Instance) -> str:
    return f"{video}_{instance.number:03}"


def _videos(path: Path, members: list[Member], plan: Plan) -> dict[str, Member]:
    """Members by name of the video; what cannot be one goes into the plan."""
    videos: dict[str, Member] = {}
    for member in members:
        if member.suffix != ".txt" or is_hidden(member):
            plan.ignored += 1
            continue
        problem = member.problem
        if problem is None and not VIDEO.fullmatch(member.stem):
            problem = "its name is not like 0002-L or A01N01-L"
        if problem is None and member.stem in videos:
            problem = f"another file has this name: {videos[member.stem].name}"
        if problem is not None:
            plan.rejected.append(Reject(path.name, member.name, 0, problem))
        else:
            videos[member.stem] = member
    return videos


def _labels(path: Path, plan: Plan) -> dict[str, list[Instance]]:
    archive = open_archive(path)
    members = _videos(path, archive.members(), plan)
    labels = {}
    for member, data in archive.read(list(members.values())):
        try:
            if isinstance(data, ClipError):
                raise data
            labels[member.stem] = read_labels(data, f"{path.name}: {member.name}")
        except ClipError as error:
            plan.rejected.append(Reject(path.name, member.name, error.line, error.message))
    return labels
