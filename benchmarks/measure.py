"""Times of a pair, interleaved, and the memory that each side needs."""

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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

import torch

from benchmarks.pair import Call, Sizes
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
    pair = part.build(sizes, device)
    difference = pair.difference()
    factor, size, note = pair.factor, pair.size, pair.note
    del pair  # memory for the sides
    with Side(name, "plain", sizes, device, threads) as plain, Side(name, "ours", sizes, device, threads) as ours:
        times = interleaved(plain.seconds, ours.seconds, seconds, rounds)
    columns = [factor * each for each, _ in times], [each for _, each in times]
    middle = [statistics.median(column) for column in columns]
    return Row(
        name,
        str(device),
        size,
        middle[0],
        middle[1],
        middle[0] / middle[1],
        difference,
        plain.peak_mib,
        ours.peak_mib,
        *_quartiles(columns[0]),
        *_quartiles(columns[1]),
        len(times),
        threads,
        note,
    )


def interleaved(
    plain: Callable[[], float], ours: Callable[[], float], seconds: float, fewest: int = FEWEST
) -> list[tuple[float, float]]:
    """Seconds of both, in turn, until the time is up."""
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(times) < fewest or (time.perf_counter() < end and len(times) < MOST):
        times.append((plain(), ours()))
    return times


class Side:
    """One side of a part in a process of its own, set up as its users would: the plain one as Python and PyTorch come,
    ours as a job of the benchmark sets itself up (`ikem.process`). It waits while the other side is timed.

    Attributes:
        peak_mib: MiB that the first call needed at its peak beyond what was held before it.
    """

    peak_mib: float

    def __init__(self, name: str, side: str, sizes: Sizes, device: torch.device, threads: int) -> None:
        self._command = [sys.executable, "-m", "benchmarks.side", name, side, str(device), str(threads)]
        self._command.append(json.dumps(asdict(sizes)))

    def __enter__(self) -> Self:
        pipe, self._errors = subprocess.PIPE, TemporaryFile("w+")
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=self._errors, text=True
        )
        self.peak_mib = self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def seconds(self) -> float:
        """Time one more call."""
        assert self._process.stdin is not None
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{' '.join(self._command[1:])} failed:\n{self._errors.read()}")
        return float(line)


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
