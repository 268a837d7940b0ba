"""Times of a pair, interleaved, and the memory that each side needs, in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.pair import TINY, Call, Pair, Sizes
from benchmarks.parts import PARTS

FEWEST, MOST = 3, 100
"""Rounds of a pair."""

MIB = 1 << 20
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    """A row of the table; the fields are its columns. Times are medians, in seconds; peaks are what a call adds."""

    part: str
    device: str
    size: str
    plain_s: float
    ours_s: float
    ratio: float
    max_abs_difference: float
    plain_peak_mib: float
    ours_peak_mib: float
    plain_quartile1_s: float
    plain_quartile3_s: float
    ours_quartile1_s: float
    ours_quartile3_s: float
    rounds: int
    threads: int
    note: str


def measure(name: str, sizes: Sizes, device: torch.device, threads: int, seconds: float, rounds: int = FEWEST) -> Row:
    """Measure one part.

    Args:
        name: a key of PARTS.
        sizes: how large it is.
        device: where it is computed.
        threads: of the CPU.
        seconds: within which rounds are added to the fewest.
        rounds: the fewest.
    """
    part = PARTS[name]
    if part.one_core:
        device, threads = torch.device("cpu"), 1
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    peaks = [peak_in_child(name, side, sizes, device, threads) for side in ("plain", "ours")]
    pair = part.build(sizes, device)
    difference = pair.difference()
    times = interleaved(pair, device, seconds, rounds)
    plain = [pair.factor * each for each, _ in times]
    ours = [each for _, each in times]
    spread = [*_quartiles(plain), *_quartiles(ours)]
    middle = statistics.median(plain), statistics.median(ours)
    return Row(
        name,
        str(device),
        pair.size,
        *middle,
        middle[0] / middle[1],
        difference,
        *peaks,
        *spread,
        len(times),
        threads,
        pair.note,
    )


def interleaved(pair: Pair, device: torch.device, seconds: float, fewest: int = FEWEST) -> list[tuple[float, float]]:
    """Seconds of both, in turn; a first call of each is not counted."""
    for call in (pair.plain, pair.ours):
        timed(call, device)
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(times) < fewest or (time.perf_counter() < end and len(times) < MOST):
        times.append((timed(pair.plain, device), timed(pair.ours, device)))
    return times


def timed(call: Call, device: torch.device) -> float:
    """Seconds of a call; what others left behind is collected before."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def _quartiles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def peak_in_child(name: str, side: str, sizes: Sizes, device: torch.device, threads: int) -> float:
    """MiB that one call of a side needs beyond what was held before it; measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.measure", name, side, str(device), str(threads)]
    done = subprocess.run([*command, json.dumps(asdict(sizes))], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def peak(name: str, side: str, sizes: Sizes, device: torch.device) -> float:
    """As above, in this process."""
    part = PARTS[name]

    def chosen(pair: Pair) -> Call:
        return pair.plain if side == "plain" else pair.ours

    chosen(part.build(TINY, device))()  # compiled code is loaded
    call = chosen(part.build(sizes, device))
    return seconds_and_peak(call, device)[1]


def seconds_and_peak(call: Call, device: torch.device) -> tuple[float, float]:
    """Seconds of a call, and the MiB it needs at its peak beyond what this process held before it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        seconds = timed(call, device)
        return seconds, (torch.cuda.max_memory_allocated(device) - before) / MIB
    _trim()
    # Linux forgets the highest resident size when this is written; where it cannot be, the process's own highest
    # counts, and what setting up needed hides what the call needs.
    clear = Path("/proc/self/clear_refs")
    if os.access(clear, os.W_OK):
        clear.write_text("5")
    before = _resident("VmRSS")
    seconds = timed(call, device)
    return seconds, max(_resident("VmHWM") - before, 0) / MIB


def _trim() -> None:
    """Give free memory back, or the call would be served from it unseen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident(field: str) -> int:
    found = re.search(rf"^{field}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"no {field} in /proc/self/status")
    return 1024 * int(found[1])


if __name__ == "__main__":
    _, _name, _side, _device, _threads, _sizes = sys.argv
    torch.set_num_threads(int(_threads))
    torch.manual_seed(0)
    print(peak(_name, _side, Sizes(**json.loads(_sizes)), torch.device(_device)))
