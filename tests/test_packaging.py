"""What an installed package, an environment and an image consist of."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ikem

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.txt"))


def tracked(folder: str = ".") -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository")
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def entries(lock: str) -> list[tuple[Requirement, int]]:
    """Each requirement of a lock, and how many hashes it has."""
    lines = (ROOT / lock).read_text().replace("\\\n", "").splitlines()
    parts = [line.split("--hash=sha256:") for line in lines if re.match(r"\w", line)]
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest.strip()) for _, *digests in parts for digest in digests)
    return [(Requirement(requirement), len(digests)) for requirement, *digests in parts]


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_pin_and_hash(lock: str) -> None:
    for requirement, hashes in entries(lock):
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
        assert hashes, requirement


def test_locks_hold_what_the_project_asks_for() -> None:
    """After a change of pyproject.toml: make lock."""
    run = {canonicalize_name(item.name): item for lock in LOCKS if "dev" not in lock for item, _ in entries(lock)}
    everything = run | {canonicalize_name(item.name): item for item, _ in entries("requirements-dev.txt")}
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["workflow"]]
    tools = [tool for group in groups.values() for tool in group if isinstance(tool, str)]
    tools += project["optional-dependencies"]["export"]
    for names, locked in ((needed, run), (tools, everything)):
        for wanted in map(Requirement, names):
            (pin,) = locked[canonicalize_name(wanted.name)].specifier
            assert pin.version in wanted.specifier, wanted
    assert {group["include-group"] for group in groups["dev"]} == groups.keys() - {"dev"}


def test_the_two_builds_of_torch_have_one_version() -> None:
    (cpu,) = entries("requirements-torch-cpu.txt")
    (pypi,) = [item for item, _ in entries("requirements-torch.txt") if item.name == "torch"]
    assert str(cpu[0].specifier) == f"{pypi.specifier}+cpu"


def test_the_wheel_has_every_file(tmp_path: Path) -> None:
    """Data and the mark of a typed package included; built from what git has."""
    for name in {"pyproject.toml", "README.md", "LICENSE"} | tracked("src"):
        target = tmp_path / "tree" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", tmp_path, tmp_path / "tree"], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {f"src/{name}" for name in archive.namelist() if name.startswith("ikem/")}
    assert "src/ikem/py.typed" in packed
    assert packed == tracked("src")


def test_versions_agree() -> None:
    """Package, citation, and the image of the Kubernetes profile."""
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == ikem.__version__
    job = yaml.safe_load((ROOT / "profiles" / "kubernetes" / "job.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(f"/ikem-bench:{ikem.__version__}")


def test_the_pod_is_that_of_the_container_file() -> None:
    lines = (ROOT / "Containerfile").read_text().splitlines()
    pod = yaml.safe_load((ROOT / "profiles" / "kubernetes" / "job.yaml").read_text())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,) = container["volumeMounts"]
    assert [line for line in lines if line.startswith("WORKDIR")][-1] == f"WORKDIR {container['workingDir']}"
    assert f"USER {pod['securityContext']['runAsUser']}" in lines
    assert f"VOLUME {mount['mountPath']}" in lines
    assert container["command"][container["command"].index("--directory") + 1] == mount["mountPath"]
    assert len({line.split()[1] for line in lines if line.startswith("FROM")}) == 1


def test_the_image_has_every_file() -> None:
    """An image without one would name its commit as changed: nothing that git has is left out."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    for name in tracked() - kept:
        parents = [name, *map(str, Path(name).parents)]
        assert not [rule for rule in rules for parent in parents if fnmatch.fnmatch(parent, rule)], name


def test_hooks_are_the_checks_of_lint() -> None:
    """None is fetched, so they run without a network; each is a tool that `make lint` runs, too."""
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = {re.sub(r"^\.venv/bin/", "", hook["entry"]).split()[0] for hook in repositories[0]["hooks"]}
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert hooks == {line.split()[0] for line in recipe[1].splitlines()}
