"""Nothing lets anyone in: no pickles, no shell, no paths from data."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from ikem.data.fingerprint import write_record
from ikem.errors import InputError
from ikem.settings.loading import build_config, load_config
from job_support import LONGER, ROOT, Workshop, snakemake_environment, write_config

SOURCES = [*(ROOT / "src").rglob("*.py"), ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
IMPORTS_YAML = ("yaml_loading.py", "page.py", "hub.py")  # the last two only write
EVIL = "; touch x"


def calls(name: str) -> list[tuple[Path, str]]:
    """Every call of a function in the sources, with its arguments as far as a line or a bracket goes."""
    pattern = re.compile(rf"(?<![\w.]){name}\(((?:[^()]|\([^()]*\))*)\)")
    return [(path, found) for path in SOURCES for found in pattern.findall(path.read_text())]


def test_nothing_is_unpickled() -> None:
    assert len(calls(r"np\.load")) >= 3
    for path, arguments in calls(r"(?:np|numpy)\.load"):
        assert "allow_pickle=False" in arguments, path
    for path, arguments in calls(r"torch\.load"):
        assert "weights_only=True" in arguments, path
    for path in SOURCES:
        text = path.read_text()
        assert not re.search(r"^\s*(import|from) (pickle|joblib|dill|shelve|marshal|cloudpickle)\b", text, re.M), path
        assert not re.search(r"allow_pickle=True|read_pickle|weights_only=False", text), path


def test_yaml_is_safe(tmp_path: Path) -> None:
    for path in SOURCES:
        found = re.findall(r"yaml\.\w*load\w*\(|Loader=(?!yaml\.CSafeLoader\b)|import yaml|from yaml", path.read_text())
        assert found == (["import yaml"] if path.name in IMPORTS_YAML else []), path
    evil = tmp_path / "evil.yaml"
    evil.write_text(f"results: !!python/object/apply:os.system ['touch {tmp_path}/x']\n")
    with pytest.raises(InputError, match=r"the tag 'tag:yaml\.org,2002:python/object/apply:os\.system' is not allowed"):
        load_config(evil)
    assert not (tmp_path / "x").exists()


def test_no_shell_and_no_evaluated_text() -> None:
    for path in SOURCES:
        text = path.read_text()
        assert not re.search(r"shell=True|os\.system|os\.popen|(?<![\w.])(eval|exec)\(", text), path


def test_rules_quote_what_they_hand_over() -> None:
    """In a shell command every value in braces is quoted, or is one of a few that the schema limits to safe words."""
    safe = {"RUN", "quoted(PLAN.config.data)", "params.digest"}
    safe |= {f"COMPUTE.{name}" for name in ("device", "cuda_graph", "checkpoint_minutes", "processes")}
    for path in (ROOT / "rules").glob("*.smk"):
        for line in path.read_text().splitlines():
            if "python -m ikem" in line or "{RUN}" in line:
                for value in re.findall(r"\{([^{}]+)\}", line):
                    assert value.endswith(":q") or value in safe, f"{path}: {value}"


@pytest.mark.parametrize(
    "name", [EVIL, "../../x", "$(touch x)", "`touch x`", "a b", "-rf", "", "a\nb", "x" * 65, "a/b"]
)
def test_names_of_a_config_are_plain(name: str) -> None:
    tiny = yaml.safe_load((ROOT / "tests" / "configs" / "tiny.yaml").read_text())
    for section in ("datasets", "recipes", "methods", "evaluations"):
        some = next(iter(tiny[section].values()))
        with pytest.raises(InputError, match="not a name"):
            build_config(tiny | {section: {**tiny[section], name: some}})
    protocols = tiny["datasets"]["tiny"] | {"protocols": {name: {"column": "subject", "train": [1]}}}
    with pytest.raises(InputError, match="not a name"):
        build_config(tiny | {"datasets": {"tiny": protocols}})


@pytest.mark.parametrize("key", ["results", "data"])
@pytest.mark.parametrize("folder", ["a{b}", "a*", "a?", "a\nb", ""])
def test_folders_that_would_be_read_as_patterns(key: str, folder: str) -> None:
    tiny = yaml.safe_load((ROOT / "tests" / "configs" / "tiny.yaml").read_text())
    with pytest.raises(InputError, match=key):
        build_config(tiny | {key: folder})


def test_folders_with_odd_names(tmp_path: Path) -> None:
    """Results and data in folders that a shell would stumble over: a real run from archives to a split."""
    project = tmp_path / "it's a $(touch x) place"
    project.mkdir()
    shutil.copy(ROOT / "Snakefile", project)
    shutil.copytree(ROOT / "rules", project / "rules")
    config = load_config(write_config(project, LONGER)).model_dump(mode="json")
    folders = {"results": f"my 'results' \" & {EVIL}", "data": f"raw 'data' \" & {EVIL}"}
    (project / "odd; touch x.yaml").write_text(yaml.safe_dump(config | folders))
    target = f"{folders['results']}/tiny/splits/xsub.json"
    ran = subprocess.run(
        ["snakemake", "--cores", "1", "--configfile", "odd; touch x.yaml", "--", target],
        cwd=project,
        env=snakemake_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert (project / target).is_file()
    assert not list(tmp_path.rglob("x"))
    assert not list(Path.cwd().glob("x"))


def test_an_archive_with_evil_members(workshop: Workshop, tmp_path: Path) -> None:
    """Members named like commands and paths are rejected or passed over; nothing is written, nothing run."""
    import json

    job = workshop.job("decode")
    inputs = {name: part.output for name, part in job.inputs.items()}
    archive = Path(json.loads(inputs["skeletons"].read_text())["path"])
    evil = tmp_path / "archive" / "skeletons.zip"
    evil.parent.mkdir()
    shutil.copy(archive, evil)
    with zipfile.ZipFile(evil, "a") as file:
        clip = file.read(file.namelist()[0])
        for name in (
            "S001C001P001R001A001; touch x.skeleton",
            "$(touch x).skeleton",
            "../../x",
            "../../S001C001P001R001A003.skeleton",
            "/tmp/ikem-x.skeleton",
            "`touch x`/S001C001P001R001A002.skeleton",
        ):
            file.writestr(name, clip)
    found = tmp_path / "found" / "skeletons.json"
    write_record(found, evil)
    settings = job.settings | {"upstream": {}, "decode": job.settings["decode"] | {"max_rejected": 1.0}}
    inputs["skeletons"] = found
    output = tmp_path / "decoded" / "samples.csv"
    process = workshop.start_with(settings, inputs, output)
    process.wait()
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert written <= {"archive", "found", "decoded"}
    assert not Path("/tmp/ikem-x.skeleton").exists()
    assert not list(tmp_path.rglob("x"))
    assert not (workshop.folder / "x").exists()
    if process.status == 0:
        names = output.read_text()
        assert "touch" not in names
    else:
        assert process.status == 2, process.printed
        assert "error: " in process.printed


def test_the_job_command_runs_no_shell(workshop: Workshop, tmp_path: Path) -> None:
    job = workshop.job("split")
    output = tmp_path / f"a {EVIL}" / "$(touch x).json"
    process = workshop.start(job, output, log=tmp_path / "`touch x`.log")
    assert process.wait() == 0, process.printed
    assert output.is_file()
    assert not list(tmp_path.rglob("x"))
