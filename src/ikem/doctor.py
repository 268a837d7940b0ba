"""Whether a machine and a config are ready for a run: a line for each thing that is looked at, and how to mend it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ikem.errors import InputError
from ikem.settings.benchmark import Config

NEEDED_DISK = 5 * 2**30
"""Free bytes without a problem where no config says how many are needed: the environment and the demo."""
NEEDED_MEMORY = 5 * 2**29
"""Free bytes of memory without a problem: two jobs of the demo side by side, and Snakemake."""
NVIDIA = Path("/proc/driver/nvidia/version")
"""There where the driver of an NVIDIA GPU is."""


@dataclass(frozen=True)
class Check:
    """What was looked at: its name, what was found, and, if that is a problem, what to do."""

    name: str
    found: str
    fix: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is no problem."""
        return not self.fix


def examine(paths: Sequence[Path]) -> list[Check]:
    """Look at Python, PyTorch, devices, memory and disk, and, with config files, at the config, its disk and its raw
    files.
    """
    checks, config = [_python(), _torch()], None
    if paths:
        check, config = _config(paths)
        checks.append(check)
    checks += [_devices(config), _memory(), _disk(config)]
    return checks + (list(_data(config)) if config else [])


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    fix = "" if sys.version_info >= (3, 11) else "Install Python 3.11 or later, then: make PYTHON=python3.11"
    return Check("Python", f"{version} ({sys.executable})", fix)


def _torch() -> Check:
    try:
        import torch
    except Exception as error:  # a broken library raises OSError, RuntimeError, ...
        reason = " ".join(str(error).split())[:200]
        return Check("PyTorch", f"cannot be imported ({reason})", "Set up the environment again: make clean test")
    return Check("PyTorch", f"{torch.__version__}, {torch.get_num_threads()} threads by default")


def _devices(config: Config | None) -> Check:
    wanted = config.compute.device if config else "auto"
    cores = f"{os.cpu_count()} CPU cores"
    if importlib.util.find_spec("torch") is None:
        return Check("devices", cores, "PyTorch finds GPUs; install it first")
    try:
        import torch

        from ikem.workflow.device import usable_devices

        names = usable_devices() if wanted != "cpu" else []
        titles = [torch.cuda.get_device_name(index) for index in range(min(len(names), torch.cuda.device_count()))]
    except Exception as error:
        return Check("devices", f"cannot be listed ({' '.join(str(error).split())[:200]})", "See the line on PyTorch")
    if names:
        return Check("devices", f"{cores}, {len(names)} GPUs ({', '.join(dict.fromkeys(titles))})")
    if wanted == "cuda":
        return Check("devices", f"{cores}, no GPU", "Set compute.device to auto or cpu, or run where there is a GPU")
    if wanted == "auto" and NVIDIA.exists() and torch.version.cuda is None:
        return Check("devices", f"{cores}; an NVIDIA driver, but a CPU build of PyTorch",
                     "pip install --force-reinstall --no-deps --require-hashes --requirement requirements-torch.txt, "
                     "or set compute.device to cpu")  # fmt: skip
    return Check("devices", f"{cores}, no GPU: computing on the CPU")


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free; "
    found += f"the demo needs {NEEDED_MEMORY / 2**30:.1f}, `ikem estimate CONFIG` says what each job of a config needs"
    fix = "End other programs, or run fewer jobs side by side: snakemake --cores 1"
    return Check("memory", found, "" if memory.available >= NEEDED_MEMORY else fix)


def _config(paths: Sequence[Path]) -> tuple[Check, Config | None]:
    from ikem.settings.loading import load_config
    from ikem.workflow.plan import Plan

    names = ", ".join(map(str, paths))
    try:
        config = load_config(*paths)
        count = len(Plan(config).all_jobs())
    except InputError as error:
        return Check("config", str(error), f"Correct {names}; `python -m ikem schema` prints every key"), None
    return Check("config", f"{names}: valid, {count} jobs"), config


def _disk(config: Config | None) -> Check:
    folder = Path(config.results if config else ".").absolute()
    while not folder.exists():
        folder = folder.parent
    free, needed, source = shutil.disk_usage(folder).free, float(NEEDED_DISK), "the environment and the demo need"
    if config is not None:
        from ikem.estimate.data import disk_of_data
        from ikem.workflow.plan import Plan

        needed, source = disk_of_data(Plan(config)), "the arrays need about"
    found = f"{free / 2**30:.1f} GiB free in {folder}; {source} {needed / 2**30:.1f}"
    if not os.access(folder, os.W_OK):
        return Check("disk", f"{folder} cannot be written to", "Name another folder: results: FOLDER in the config")
    return Check("disk", found, "" if free >= needed else "Free space, or name another folder as `results`")


def _data(config: Config) -> Iterator[Check]:
    """A check for each dataset that the config runs and does not generate."""
    from ikem.data.acquire import find, ways

    for name in dict.fromkeys(block.dataset for block in config.benchmark):
        archives = config.datasets[name].archives
        if not archives:
            yield Check(f"data of {name}", "is generated")
            continue
        absent = [entry.file for entry in archives.values() if find(entry, Path(config.data)) is None]
        found = f"{len(archives) - len(absent)} of {len(archives)} raw files in {config.data}"
        fix = ways(archives, Path(config.data)).replace("datasets.NAME.", f"datasets.{name}.") if absent else ""
        if absent and not fix:
            found += f"; to be downloaded: {', '.join(absent)}"
        yield Check(f"data of {name}", found, fix)


def show(checks: Sequence[Check]) -> None:
    """Print a line for each check, and how to mend a problem below it."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{'ok' if check.ok else 'problem':<8} {check.name:<{width}}  {check.found}")
        if not check.ok:
            print(f"{'':<8} {'':<{width}}  {check.fix}")
