"""`python -m benchmarks.archives`: made archives as large as wished, written, inflated, and read to prepared arrays.

Each step runs in a process of its own, so that its memory is its own; inflating is what any reader must at least do.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tabulate import tabulate

from ikem.data.decode import decode
from ikem.data.store import prepare
from ikem.settings.data import Decode, Prepare
from ikem.skeleton import load_skeleton
from ikem.synthetic.settings import RAW_FILES, SyntheticSettings

ROOT = Path(__file__).resolve().parents[1]
SKELETON, FRAMES = "ntu25", 50
VISITS, CAMERAS, REPLICATIONS = 2, 3, 2


def recordings(clips: int, videos: int) -> SyntheticSettings:
    """About so many clips; each 85 frames long on average, as those of NTU RGB+D are."""
    actions = len(SyntheticSettings().actions)
    performers = max(2, round(clips / (actions * VISITS * CAMERAS * REPLICATIONS)))
    return SyntheticSettings(
        performers=tuple(range(1, performers + 1)),
        visits=VISITS,
        cameras=CAMERAS,
        replications=REPLICATIONS,
        frames=(40, 130),
        videos=videos,
        missing_rate=0,
    )


def write(form: str, folder: Path, clips: int, videos: int) -> int:
    """Make the raw files of a format; returns how many clips or videos."""
    settings = recordings(clips, videos)
    files = [folder / name for name in RAW_FILES[form].values()]
    if form == "ntu":
        from ikem.synthetic.ntu import write_ntu

        write_ntu(settings, *files)
        return settings.clip_count
    from ikem.synthetic.pkummd import write_pkummd

    write_pkummd(settings, *files)
    return 3 * videos


def inflate(form: str, folder: Path) -> int:
    """Unpack every member and throw it away; returns the bytes of text."""
    archive = folder / RAW_FILES[form]["skeletons"]
    if form == "ntu":
        total = 0
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                total += len(opened.read(member))
        return total
    import py7zr

    with py7zr.SevenZipFile(archive) as opened:
        if opened.testzip() is not None:
            raise RuntimeError(f"{archive} is damaged")
        return sum(member.uncompressed for member in opened.list())


def read(form: str, folder: Path, processes: int) -> int:
    """From the archive to prepared arrays; returns the clips."""
    archives = {role: folder / name for role, name in RAW_FILES[form].items()}
    output = folder / f"read-{processes}"
    summary = decode(form, SKELETON, archives, output / "decoded", Decode(max_rejected=1.0), None, processes)
    prepare(output / "decoded", output / "prepared", load_skeleton(SKELETON), Prepare(frames=FRAMES))
    return int(summary["clips"])


STEPS: dict[str, Callable[[str, Path, int, int], int]] = {
    "write": write,
    "inflate": lambda form, folder, clips, videos: inflate(form, folder),
    "read, 1 process": lambda form, folder, clips, videos: read(form, folder, 1),
    "read, 2 processes": lambda form, folder, clips, videos: read(form, folder, 2),
}


def measured(step: str, form: str, folder: Path, clips: int, videos: int) -> tuple[float, float, int]:
    """Seconds, MiB at the peak (of the largest process), and what the step returned; in this process."""
    began = time.perf_counter()
    made = STEPS[step](form, folder, clips, videos)
    seconds = time.perf_counter() - began
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return seconds, peak / 1024, made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every step of both formats and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archives", description=__doc__)
    parser.add_argument("--clips", type=int, default=6048, help="of the NTU RGB+D archive, about")
    parser.add_argument("--videos", type=int, default=140, help="of the PKU-MMD archive, each in three views")
    parser.add_argument("--step", nargs=3, metavar=("STEP", "FORMAT", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.step:
        step, form, folder = chosen.step
        print(json.dumps(measured(step, form, Path(folder), chosen.clips, chosen.videos)))
        return
    rows = []
    for form in RAW_FILES:
        with TemporaryDirectory() as folder:
            for step in STEPS:
                command = [sys.executable, "-m", "benchmarks.archives", "--step", step, form, folder]
                command += ["--clips", str(chosen.clips), "--videos", str(chosen.videos)]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise RuntimeError(f"{step} of {form}:\n{done.stderr}")
                seconds, peak, made = json.loads(done.stdout.splitlines()[-1])
                what = {"write": "files", "inflate": "MB of text"}.get(step, "clips")
                count = round(made / 1e6) if step == "inflate" else made
                rows.append([form, step, f"{seconds:.1f} s", f"{peak:.0f} MiB", f"{count:,} {what}"])
                print(f"{form}, {step}: {seconds:.1f} s", flush=True)
            size = (Path(folder) / RAW_FILES[form]["skeletons"]).stat().st_size
            frames = np.load(Path(folder) / "read-1" / "decoded" / "coordinates.npy", mmap_mode="r").shape[0]
            rows.append([form, "archive", "", "", f"{size / 1e6:,.0f} MB, {frames:,} frames"])
    print(
        "\n"
        + tabulate(rows, ["format", "step", "time", "peak", ""], colalign=("left", "left", "right", "right", "left"))
    )


if __name__ == "__main__":
    main()
