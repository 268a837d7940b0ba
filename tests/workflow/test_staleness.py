"""Results that are not those of the config are found and named; `status` shows how every job stands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from config_support import files_of
from ikem.settings.loading import load_config
from ikem.workflow.plan import Job, Plan
from ikem.workflow.plan_file import write_plan
from ikem.workflow.staleness import fault_of
from ikem.workflow.status import state_of
from ikem.workflow.tables_record import fault_of_tables
from job_support import LONGER, ROOT, Workshop, snakemake_environment, until, write_config


@pytest.fixture
def project(workshop: Workshop, tmp_path: Path) -> Path:
    """A copy of the results, with times as they were."""
    shutil.copytree(workshop.results, tmp_path / "results", symlinks=True)
    return tmp_path


def plan_at(folder: Path, *over: dict) -> Plan:
    plan = Plan(load_config(write_config(folder, LONGER, *over)))
    write_plan(plan)
    return plan


def job_of(plan: Plan, kind: str, **keys: str) -> Job:
    return next(job for job in plan.all_jobs() if job.name.kind == kind and keys.items() <= dict(job.name.keys).items())


def gather(workshop: Workshop, folder: Path, *arguments: str) -> tuple[int, str]:
    results = folder / "results"
    process = workshop.warm.start("gather", str(results / "plan.json"), str(results / "tables"), *arguments)
    return process.wait(), process.printed


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def test_copied_results_are_as_good_as_the_first(workshop: Workshop, project: Path) -> None:
    plan = plan_at(project)
    assert all(fault_of(job) is None for job in plan.all_jobs())
    before = (project / "results" / "tables" / "results.csv").read_bytes()
    (project / "results" / "tables" / "results.csv").unlink()
    status, printed = gather(workshop, project)
    assert status == 0, printed
    assert (project / "results" / "tables" / "results.csv").read_bytes() == before


def test_results_of_another_version_of_the_code_are_reported(workshop: Workshop, project: Path) -> None:
    assert "version of the code" not in gather(workshop, project)[1]
    record = job_of(plan_at(project), "embed").record
    held = json.loads(record.read_text())
    record.write_text(json.dumps(held | {"code": "0123456789abcdef"}))
    status, printed = gather(workshop, project)
    assert status == 0
    assert "computed by another version of the code than this one: embed (1 job)" in printed
    report = (project / "results" / "report.html").read_text()
    assert "Computed by another version of the code" in report and "embed (1 job)" in report


def test_a_changed_config_is_refused(workshop: Workshop, project: Path) -> None:
    plan = plan_at(project, {"evaluations": {"linear": {"schedule": {"learning_rate": 0.25}}}})
    status, printed = gather(workshop, project)
    assert status == 2
    for method in ("skeletonclr", "ikem-3", "student", "supervised"):
        path = job_of(plan, "linear", method=method).output
        assert f"{path}: was computed under other settings (options.schedule.learning_rate)" in printed
    assert "finetune" not in printed
    assert "Delete them and run snakemake again" in printed


def test_a_change_far_upstream_is_refused(workshop: Workshop, project: Path) -> None:
    plan_at(project, {"datasets": {"tiny": {"prepare": {"align_shoulders": "none"}}}})
    status, printed = gather(workshop, project)
    assert status == 2
    assert "prepared/position.npy: was computed under other settings (prepare.align_shoulders)" in printed
    assert "linear.json: was computed under other settings (upstream: embeddings" in printed


def test_results_from_elsewhere_are_refused(workshop: Workshop, project: Path) -> None:
    """One method's evaluation, copied from a run with another seed of the made data: the rest fits, this does not."""
    other = project / "other"
    other.mkdir()
    plan_at(other, {"datasets": {"tiny": {"synthetic": {"seed": 5}}}})
    foreign = json.loads((other / "results" / "plan.json").read_text())["digest"]
    plan = plan_at(project)
    assert foreign != plan.digest
    job = job_of(plan, "linear", method="student")
    record = json.loads(job.record.read_text())
    record["digest"] = "0" * 64
    record["settings"]["upstream"]["prepared"] = "0" * 64
    job.record.write_text(json.dumps(record))
    status, printed = gather(workshop, project)
    assert status == 2
    assert "1 results are not what the config asks for" in printed
    assert f"{job.output}: was computed under other settings (upstream: prepared)" in printed


def test_results_of_other_inputs_are_refused(workshop: Workshop, project: Path) -> None:
    """Embeddings of the same settings from another machine, where the last bits differ, under old evaluations."""
    plan = plan_at(project)
    job = job_of(plan, "embed", method="student")
    content = bytearray(job.output.read_bytes())
    content[-1] ^= 1
    job.output.write_bytes(content)
    import hashlib

    record = json.loads(job.record.read_text())
    record["outputs"][job.output.name] = hashlib.sha256(content).hexdigest()
    job.record.write_text(json.dumps(record))
    status, printed = gather(workshop, project)
    assert status == 2
    assert f"linear.json: was computed from another {job.output} than is there now" in printed


@pytest.mark.parametrize(
    "name, before, after",
    [
        ("linear/ikem-3/linear.json", '"top1": ', '"top1": 1'),
        ("finetune/ikem-3/finetune.json", '"top5": ', '"top5": 1'),
    ],
)
def test_an_edited_result_is_refused(workshop: Workshop, project: Path, name: str, before: str, after: str) -> None:
    plan_at(project)
    path = project / "results" / "tiny" / "xsub" / "seed0" / name
    times = path.stat()
    edit(path, before, after)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    status, printed = gather(workshop, project)
    assert status == 2
    assert f"{path}: has changed since it was written" in printed


def test_results_without_a_record_are_refused(workshop: Workshop, project: Path) -> None:
    plan = plan_at(project)
    one, other = job_of(plan, "linear", method="student"), job_of(plan, "linear", method="ikem-3")
    one.record.unlink()
    other.record.write_text("{")
    status, printed = gather(workshop, project)
    assert status == 2
    assert f"{one.output}: has no run.json next to it" in printed
    assert f"{other.output}: has a run.json that cannot be read" in printed


def test_a_missing_result_is_refused_or_an_empty_cell(workshop: Workshop, project: Path) -> None:
    plan = plan_at(project)
    job_of(plan, "linear", method="student").output.unlink()
    status, printed = gather(workshop, project)
    assert status == 2
    assert "linear/student/linear.json: is missing" in printed
    assert gather(workshop, project, "--partial")[0] == 0
    table = (project / "results" / "tables" / "results.csv").read_text()
    assert "not run yet" in next(line for line in table.splitlines() if ",student," in line and ",linear," in line)


def test_what_was_only_built_on_may_be_gone(workshop: Workshop, project: Path) -> None:
    """States and arrays can be deleted to make room; the tables stand on their own."""
    plan_at(project)
    for path in [*project.rglob("modalities/*.npy"), *project.rglob("state.safetensors")]:
        path.unlink()
    shutil.rmtree(project / "results" / "tiny" / "decoded")
    status, printed = gather(workshop, project)
    assert status == 0, printed


def test_snakemake_that_has_forgotten_everything(workshop: Workshop, project: Path) -> None:
    """`.snakemake` gone and the config changed: what was computed under other settings is found by its records."""
    shutil.copytree(ROOT / "rules", project / "rules")
    shutil.copy(ROOT / "Snakefile", project)
    changed = write_config(project, LONGER, {"evaluations": {"linear": {"schedule": {"learning_rate": 0.25}}}})
    ran = subprocess.run(
        ["snakemake", "--cores", "1", "--configfile", str(changed)],
        cwd=project,
        env=snakemake_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    printed = ran.stdout + ran.stderr
    assert ran.returncode == 0, printed[-3000:]
    assert "was computed under other settings (options.schedule.learning_rate)" in printed
    assert all(fault_of(job) is None for job in Plan(load_config(changed)).all_jobs())


def test_an_edited_digit_of_a_table_does_not_survive(workshop: Workshop, project: Path) -> None:
    """Issue 10, number 24."""
    shutil.copytree(ROOT / "rules", project / "rules")
    shutil.copy(ROOT / "Snakefile", project)
    config = write_config(project, LONGER)
    command = ["snakemake", "--cores", "1", "--configfile", str(config)]
    table = project / "results" / "tables" / "results.csv"
    before = table.read_bytes()
    for state in ("copied", "done", "edited", "done"):  # the report shows the config, whose results are elsewhere now
        if state == "edited":
            table.write_bytes(before.replace(b"0", b"1"))
            assert "results.csv has changed since it was written" in str(fault_of_tables(Plan(load_config(config))))
        ran = subprocess.run(
            command, cwd=project, env=snakemake_environment(), capture_output=True, text=True, timeout=300
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        assert ("Nothing to be done" in ran.stderr) == (state == "done")
        assert table.read_bytes() == before


def test_status_shows_every_state(workshop: Workshop, project: Path) -> None:
    config = write_config(project, LONGER)
    plan = Plan(load_config(config))
    assert {state_of(job).word for job in plan.all_jobs()} == {"done"}
    running, killed = job_of(plan, "skeletonclr"), job_of(plan, "relational_distillation")
    failed, stale = job_of(plan, "supervised"), job_of(plan, "linear", method="ikem-3")
    missing, left = job_of(plan, "embed", method="student"), job_of(plan, "finetune")
    for job in (running, killed, failed, missing, left):
        job.output.unlink()
        job.log.unlink(missing_ok=True)
    stale.output.write_text("{}")

    def start(job: Job, **settings: object):
        inputs = {name: part.output for name, part in job.inputs.items()}
        return workshop.start_with(job.settings | settings, inputs, job.output, log=job.log)

    process = start(killed)
    assert until(lambda: list(killed.output.parent.glob(".*checkpoint")))
    process.send(signal.SIGKILL)
    process.wait()
    assert start(failed, schedule=failed.settings["schedule"] | {"learning_rate": 1e30}).wait() == 2
    process = start(left)
    assert until(lambda: left.log.exists() and "epoch 2/" in left.log.read_text())
    process.send(signal.SIGTERM)
    assert process.wait() == 75
    process = start(running)
    assert until(lambda: running.log.exists() and "left" in running.log.read_text())
    process.send(signal.SIGSTOP)
    shown = workshop.warm.start("status", str(config), COLUMNS="400")
    assert shown.wait() == 0
    process.send(signal.SIGCONT)
    assert process.wait() == 0
    lines = [[cell.strip() for cell in line.split("│")[1:4]] for line in shown.printed.splitlines() if "│" in line]
    printed = {job: (word, remark) for word, job, remark in lines}
    assert printed[missing.title] == ("missing", "")
    assert printed[stale.title] == ("stale", "has changed since it was written")
    word, remark = printed[running.title]
    assert word == "running"
    assert remark.startswith("epoch ")
    assert remark.endswith(" left")
    word, remark = printed[killed.title]
    assert word == "interrupted"
    assert "killed by SIGKILL after epoch" in remark
    assert "memory" in remark
    assert "; resumes from epoch " in remark
    word, remark = printed[failed.title]
    assert word == "failed"
    assert "the loss of joint is" in remark or "not finite" in remark
    word, remark = printed[left.title]
    assert word == "interrupted"
    assert "as asked; resumes from epoch " in remark
    assert printed[job_of(plan, "prepare").title][0] == "done"
    assert "1 running, 2 stale, 2 interrupted, 1 failed, 1 missing" in shown.printed


def test_status_of_a_folder_that_is_not_there(tmp_path: Path, workshop: Workshop) -> None:
    config = write_config(tmp_path, LONGER)
    shown = workshop.warm.start("status", str(config), COLUMNS="200")
    assert shown.wait() == 0
    assert "missing" in shown.printed
    assert not (tmp_path / "results").exists()


def test_a_config_says_what_its_plan_says(tmp_path: Path) -> None:
    """Whatever the spelling of a number, settings have one digest: written and read again, the plan is the same."""
    for path in [*(ROOT / "config").glob("*.yaml"), ROOT / "tests" / "configs" / "tiny.yaml"]:
        config = load_config(*files_of(path))
        again = tmp_path / "again.yaml"
        again.write_text(yaml.safe_dump(json.loads(config.model_dump_json())))
        assert Plan(config).digest == Plan(load_config(again)).digest, path
