"""Programs that run as on another processor.

A library can be asked for the instructions of an older processor. What compiled code writes out of bounds may stay
unseen, so each program runs in a process of its own, whose C library fills and checks the memory that it hands out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROCESSORS = {
    "SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "AVX-512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "this one": {},
}
"""Environment in which oneDNN and PyTorch compute as on a processor with these instructions at most."""

CHECKED_MEMORY = {
    "MALLOC_PERTURB_": "165",
    "MALLOC_CHECK_": "3",
    # All from one heap, so that a block's neighbor is another block, and no time goes into asking for pages.
    "GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.mmap_threshold=268435456:"
    "glibc.malloc.trim_threshold=4294967296",
    "LD_PRELOAD": "libc_malloc_debug.so.0",  # needed since glibc 2.34; without it, older ones check all the same
}


def _avx512_without_bfloat16() -> bool:
    """Whether this processor has AVX-512, but no bfloat16 instructions: it computes as "AVX-512" does."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return "avx512f" in flags and "avx512_bf16" not in flags


if _avx512_without_bfloat16():
    del PROCESSORS["AVX-512"]  # the same as "this one"

processors = pytest.mark.parametrize("processor", PROCESSORS)


def run(processor: str, *command: str, threads: int = 2, **environment: str) -> str:
    """What a Python program prints on such a processor; it must end well, and in time."""
    count = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    result = subprocess.run(
        [sys.executable, *command],
        env=os.environ | PROCESSORS[processor] | count | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, f"status {result.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    return result.stdout
