"""Write the locks from pyproject.toml: exact versions with hashes, for every system (`make lock`).

requirements.txt            what a run needs: the package and Snakemake, but for PyTorch
requirements-dev.txt        the same, and what tests, linters, exports and the documentation site need
requirements-torch.txt      PyTorch as PyPI has it, for Linux with CUDA's libraries
requirements-torch-cpu.txt  PyTorch for Linux without CUDA, which PyPI has not

Versions stay as they are in these files, as far as pyproject.toml allows; `--upgrade` takes the newest ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = "3.11.2"  # the oldest one that the locked versions run on: that of Debian 12
HEADER = f"# {{}}\n# Written by `make lock` for Python {PYTHON} or later.\n"
CPU = "requirements-torch-cpu.txt"
TITLES = {
    "requirements.txt": "The package and Snakemake, but for PyTorch.",
    "requirements-dev.txt": "Tests, linters, exports and the documentation site.",
    "requirements-torch.txt": "PyTorch as PyPI has it, for Linux with CUDA's libraries.",
    CPU: "PyTorch for x86-64 Linux without CUDA, from PyTorch's own index.",
}
TORCH = re.compile(r"torch==|triton==|nvidia-|cuda-")
TORCH_CPU = {
    "2.13.0": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
}  # of the file for CPython 3.11


def packages(lock: str) -> list[str]:
    """The entries of a lock, each with its hashes and the packages that ask for it."""
    return [entry.strip() for entry in re.split(r"\n(?=\S)", "\n" + lock) if "==" in entry]


def resolve(output: Path, *options: str) -> list[str]:
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON, "--generate-hashes"]
    command += ["--no-header", "--no-emit-package", "pip", "--extra", "workflow", "--output-file", str(output)]
    subprocess.run([*command, *options, "pyproject.toml"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return packages(output.read_text())


def cpu_build(entries: list[str]) -> str:
    (version,) = re.findall(r"^torch==(\S+)", "\n".join(entries), re.MULTILINE)
    if version not in TORCH_CPU:
        sys.exit(f"error: .ci/lock.py: TORCH_CPU has no hash of the CPU build of torch {version}; add it")
    return f"torch=={version}+cpu --hash=sha256:{TORCH_CPU[version]}"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        everything, run = Path(folder, "all.txt"), Path(folder, "run.txt")
        if "--upgrade" not in sys.argv:  # uv keeps the versions that it finds in its output file
            locked = [entry for name in TITLES if name != CPU for entry in packages((ROOT / name).read_text())]
            everything.write_text("\n".join(locked))
        entries = resolve(everything, "--group", "dev", "--extra", "export")
        needed = {entry.split("==")[0] for entry in resolve(run, "--constraint", str(everything))}
    locks: dict[str, list[str]] = {name: [] for name in TITLES}
    for entry in entries:
        name = entry.split("==")[0]
        lock = "-torch" if TORCH.match(entry) else "" if name in needed else "-dev"
        locks[f"requirements{lock}.txt"].append(entry)
    locks[CPU].append(cpu_build(entries))
    locks["requirements-dev.txt"].insert(0, "--requirement requirements.txt")
    for name, lines in locks.items():
        (ROOT / name).write_text("\n".join([HEADER.format(TITLES[name]).strip(), *lines]) + "\n")


if __name__ == "__main__":
    main()
