"""From archives to decoded clips: several processes read, one writes, and the bytes do not depend on how many read."""

from __future__ import annotations

import collections
import json
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ikem.data.arrayfile import ArrayWriter, RowReader, staging
from ikem.data.clips import BODIES, Clip, Dropped, Floats, Reject, body_count, read_name_list
from ikem.data.formats.base import ReadingPlan, Request, Result, opened
from ikem.data.formats.registry import FORMATS, reader_of
from ikem.data.progress import progress
from ikem.data.rejected import Rejected, write_rejected
from ikem.data.store import write_samples
from ikem.errors import InputError
from ikem.settings.data import Decode
from ikem.skeleton import load_skeleton

if TYPE_CHECKING:
    from ikem.running_job import RunningJob

logger = logging.getLogger("ikem")

COLUMNS = ("name", "label", "subject", "camera", "setup", "replication", "frames", "bodies", "start")
FILES = ("coordinates.npy", "rejected.csv", "decode.json", "samples.csv")

LARGEST_GROWTH = 100
"""Times the size of the raw files that arrays may have, beyond 64 MiB. Recordings have half their archive's size."""

_WORTH_PROCESSES = 256 << 20
"""Fewer bytes than this are read sooner than another process has started."""


def decode_job(job: RunningJob, inputs: Mapping[str, Path], processes: int) -> list[Path]:
    """Run a `decode` job: inputs are what `acquire` wrote for each role."""
    from ikem.data.fingerprint import located

    archives = {role: located(path) for role, path in inputs.items()}
    settings = job.settings
    decode(
        settings["format"],
        settings["skeleton"],
        archives,
        job.output.parent,
        Decode(**settings["decode"]),
        settings["missing_list"],
        processes,
        job.leave_if_asked,
    )
    return [job.output.with_name(name) for name in FILES[:-1]]


def decode(
    format_name: str,
    skeleton: str,
    archives: Mapping[str, Path],
    output: Path,
    settings: Decode | None = None,
    missing_list: str | None = None,
    processes: int = 1,
    leave_if_asked: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Read archives into `output`: coordinates.npy, samples.csv, rejected.csv and decode.json (a summary).

    Args:
        format_name: an entry of FORMATS.
        skeleton: name or path of the dataset's skeleton.
        archives: raw files by role; the role `missing_list` is a list of clips to leave out.
        output: folder; its files change only if all goes well, all of them.
        settings: which bodies are kept, and what to do with clips that cannot be used.
        missing_list: list of clips to leave out that comes with the package, by name.
        processes: processes that read.
        leave_if_asked: called now and then; may raise.

    Returns:
        The summary.

    Raises:
        InputError: an archive cannot be used, or too many clips cannot.
    """
    settings = settings or Decode()
    if format_name not in FORMATS:
        raise InputError(f"unknown format {format_name!r}", hint=f"Known are {', '.join(sorted(FORMATS))}")
    joints = load_skeleton(skeleton).joint_count
    request = Request(dict(archives), joints, settings.bodies, settings.setups)
    left_out = _left_out(archives, missing_list)
    opened.cache_clear()
    plan = reader_of(format_name).plan(request, left_out)
    rejected = Rejected(plan.rejected, settings, plan.total + sum(reject.clips for reject in plan.rejected))
    for note, count in plan.notes.items():
        logger.warning("%s: %d", note, count)
    largest = LARGEST_GROWTH * sum(_size(path) for path in archives.values()) + (64 << 20)
    rows: list[dict[str, int | str]] = []
    with staging(output, FILES) as scratch:
        with (
            ArrayWriter(scratch / "coordinates.npy", (BODIES, joints, 3)) as writer,
            progress("decode", plan.total) as show,
        ):
            done = 0
            for result in _results(format_name, request, plan, processes):
                done += sum(clip.clips if isinstance(clip, Reject) else 1 for clip in result)
                show(done)
                for clip in result:
                    if isinstance(clip, Reject):
                        rejected.add(clip)
                        continue
                    if isinstance(clip, Dropped):
                        plan.left_out[clip.reason] = plan.left_out.get(clip.reason, 0) + 1
                        continue
                    coordinates = trimmed(clip.coordinates) if settings.trim_empty else clip.coordinates
                    rows.append(_row(clip, coordinates, writer.rows))
                    writer.append(coordinates)
                    if writer.rows * coordinates[0].nbytes > largest:
                        raise InputError(
                            f"{len(rows)} clips unpack to {writer.rows * coordinates[0].nbytes >> 20} MiB of arrays, "
                            f"{LARGEST_GROWTH} times the size of their files; they look like an archive bomb",
                            location=", ".join(str(path) for path in archives.values()),
                            hint="Get them again from their owner",
                        )
                leave_if_asked()
        rejected.check(len(rows))
        samples = _arrange(rows, scratch / "coordinates.npy")
        write_samples(scratch / "samples.csv", samples)
        write_rejected(scratch / "rejected.csv", sorted(rejected.found, key=lambda r: (r.archive, r.member, r.line)))
        summary = {
            "clips": len(rows),
            "frames": writer.rows,
            "classes": int(samples["label"].nunique()),
            "rejected": rejected.clips,
            "rejected_by_reason": rejected.by_reason(),
            "left_out": dict(sorted(plan.left_out.items())),
            "notes": dict(sorted(plan.notes.items())),
            "files_ignored": plan.ignored,
            "bodies": settings.bodies,
            "trim_empty": settings.trim_empty,
        }
        (scratch / "decode.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    logger.info(
        "decoded %s", ", ".join(f"{key} {value}" for key, value in summary.items() if key != "rejected_by_reason")
    )
    return summary


def _left_out(archives: Mapping[str, Path], missing_list: str | None) -> frozenset[str]:
    names: frozenset[str] = frozenset()
    if "missing_list" in archives:
        names |= read_name_list(archives["missing_list"])
    if missing_list is not None:
        entry = resources.files("ikem") / "datasets" / f"{missing_list}.csv"
        with resources.as_file(entry) as path:
            if not path.is_file():
                raise InputError(f"there is no list {missing_list!r} in the package", location="missing_list")
            names |= read_name_list(path)
    return names


def trimmed(coordinates: Floats) -> Floats:
    """The frames from the first to the last in which a body is: (T', M, V, 3) of (T, M, V, 3); not all may be empty."""
    present = np.flatnonzero(coordinates.any(axis=(1, 2, 3)))
    return coordinates[present[0] : present[-1] + 1]


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _row(clip: Clip, coordinates: Floats, start: int) -> dict[str, int | str]:
    unknown = dict.fromkeys(("subject", "camera", "setup", "replication"), -1)
    measured = {"frames": len(coordinates), "bodies": body_count(coordinates), "start": start}
    return {"name": clip.name, "label": clip.label, **unknown, **clip.columns, **measured}


def _arrange(rows: list[dict[str, int | str]], path: Path) -> pd.DataFrame:
    """The samples table sorted by name; the array is rewritten if its clips came in another order."""
    samples = pd.DataFrame(rows)
    samples = samples[[*COLUMNS, *(name for name in samples.columns if name not in COLUMNS)]]
    order = np.array(sorted(range(len(rows)), key=lambda row: str(rows[row]["name"])))
    if (np.diff(order) == 1).all():
        return samples
    samples = samples.iloc[order].reset_index(drop=True)
    starts, frames = samples["start"].to_numpy(np.int64), samples["frames"].to_numpy(np.int64)
    ordered = path.with_suffix(".ordered")
    with RowReader(path) as unordered, ArrayWriter(ordered, unordered.shape[1:]) as writer:
        for start, count in zip(starts.tolist(), frames.tolist(), strict=True):
            writer.append(unordered.rows(start, start + count))
    ordered.replace(path)
    samples["start"] = np.cumsum(frames) - frames
    return samples


def _read(format_name: str, request: Request, task: Any) -> list[Result]:
    return reader_of(format_name).read(request, task)


def _follow_parent() -> None:
    """In a reading process: leave Ctrl-C to the main process, and go when that is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _results(format_name: str, request: Request, plan: ReadingPlan, processes: int) -> Iterator[list[Result]]:
    """Results of the tasks in their order, at most a few tasks ahead of who takes them."""
    tasks = iter(plan.tasks)
    for task in tasks:
        yield _read(format_name, request, task)
        if processes > 1 and plan.size > _WORTH_PROCESSES:
            break  # the compiled code is on disk now, and the other processes will find it
    else:
        return
    waiting: collections.deque[Future[list[Result]]] = collections.deque()
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_follow_parent)
    try:
        for task in tasks:
            waiting.append(pool.submit(_read, format_name, request, task))
            if len(waiting) > processes + 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            "a process that read archives was killed, probably for want of memory",
            hint="Set compute.processes to 1, or give the job more memory",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
