"""A run.json against the plan: what is compared, and what is not a difference. No job runs here."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ikem.data.fingerprint import write_record
from ikem.settings.loading import load_config
from ikem.workflow.plan import Job, Plan
from ikem.workflow.staleness import Redo, announcement, fault_of
from ikem.workflow.status import State, state_of, state_of_tables
from ikem.workflow.tables_record import fault_of_tables, write_tables_record
from job_support import write_config
from record_support import finished, job_of, run_all


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(load_config(write_config(tmp_path)))


def test_only_what_differs_is_named(plan: Plan, tmp_path: Path) -> None:
    """Issue 10, number 46: a tuple of the settings is a list in the record, which is no difference."""
    other = Plan(load_config(write_config(tmp_path, {"datasets": {"tiny": {"partial": True}}}, name="other.yaml")))
    split = finished(job_of(plan, "split"))
    assert fault_of(split) is None
    assert isinstance(job_of(other, "split").settings["protocol"]["train"], tuple)
    assert str(fault_of(job_of(other, "split"))) == "was computed under other settings (partial)"


def test_everything_built_on_changed_raw_data_is_stale(plan: Plan) -> None:
    """Issue 10, numbers 2 and 35."""
    run_all(plan)
    assert Redo().jobs(plan) == []
    acquire = job_of(plan, "acquire", role="skeletons")
    raw = acquire.output.with_suffix(".raw")
    times = raw.stat()
    raw.write_text("1 2 4")
    os.utime(raw, ns=(times.st_atime_ns, times.st_mtime_ns))
    redo = Redo()
    again = redo.jobs(plan)
    made = [job for job in plan.all_jobs() if job.name.kind in ("make_ntu", "acquire") and job is not acquire]
    assert again == [job for job in plan.all_jobs() if job not in made]
    fault = f"is not of the raw file that is there now (the content of {raw} has changed)"
    assert str(redo.reason(acquire)) == fault
    table = plan.evaluation_jobs()[0]
    assert str(redo.reason(table)) == f"is built on acquire tiny skeletons, which {fault}"
    assert {state_of(job, redo).word for job in again} == {"stale"}
    write_record(acquire.output, raw)
    finished(acquire)
    assert fault_of(job_of(plan, "decode")) == f"was computed from another {acquire.output} than is there now"


def test_every_output_of_an_input_is_compared(plan: Plan) -> None:
    """Issue 10, number 3: new samples.csv next to the same position.npy under an old split."""
    run_all(plan)
    prepare, split = job_of(plan, "prepare"), job_of(plan, "split")
    samples = prepare.output.with_name("samples.csv")
    samples.write_text("others")
    finished(prepare, "samples.csv")
    assert fault_of(prepare) is None
    assert fault_of(split) == f"was computed from another {samples} than is there now"
    finished(prepare, "samples.csv", "more.csv")
    finished(split)
    assert fault_of(split) is None
    record = json.loads(split.record.read_text())
    del record["inputs"]["prepared"]["more.csv"]
    split.record.write_text(json.dumps(record))
    assert "another" in str(fault_of(split)) and "more.csv" in str(fault_of(split))


def test_what_was_only_built_on_may_be_gone(plan: Plan) -> None:
    """Nothing is computed again for it: by `ikem run` as little as by Snakemake and by gathering."""
    run_all(plan)
    state = job_of(plan, "skeletonclr")
    state.output.unlink()
    embed = next(job for job in plan.all_jobs() if state in job.inputs.values())
    assert Redo().jobs(plan) == []
    embed.output.unlink()
    assert Redo().jobs(plan) == []
    rows = next(job for job in plan.evaluation_jobs() if embed in job.inputs.values())
    rows.output.unlink()
    assert Redo().jobs(plan) == [state, embed, rows]


def test_an_announcement_names_what_is_at_fault_and_counts_the_rest(plan: Plan, tmp_path: Path) -> None:
    """Issue 10, number 33."""
    run_all(plan)
    redo = Redo()
    assert announcement(reason for job in redo.jobs(plan) if (reason := redo.reason(job))) == []
    split, prepare = job_of(plan, "split"), job_of(plan, "prepare")
    split.output.write_text("edited")
    built_on = [job for job in plan.all_jobs() if split in closure(job)]
    redo = Redo()
    assert announcement(reason for job in redo.jobs(plan) if (reason := redo.reason(job))) == [
        f"{1 + len(built_on)} finished jobs will be redone, and their results overwritten:",
        "  split tiny xsub: has changed since it was written",
        f"  and {len(built_on)} that are built on these",
    ]
    other = Plan(
        load_config(write_config(tmp_path, {"datasets": {"tiny": {"prepare": {"frames": 18}}}}, name="o.yaml"))
    )
    redo = Redo()
    lines = announcement(reason for job in redo.jobs(other) if (reason := redo.reason(job)))
    assert f"  {prepare.title}: was computed under other settings (prepare.frames)" in lines
    assert len(lines) == 3
    for job in plan.all_jobs():
        job.output.write_text("edited, too")
    redo = Redo()
    lines = announcement((reason for job in redo.jobs(plan) if (reason := redo.reason(job))), most=3)
    assert (
        len(lines) == 5
        and lines[-1] == f"  and {len(plan.all_jobs()) - 3} more for reasons of their own (`status` lists them)"
    )


def closure(job: Job) -> list[Job]:
    """All that a job is built on."""
    return [found for part in job.inputs.values() for found in [part, *closure(part)]]


@pytest.fixture
def tables(plan: Plan) -> Path:
    """The folder of tables, with figures and a report next to it, as if they had been gathered."""
    run_all(plan)
    results = Path(plan.config.results)
    for name in ("tables/results.csv", "tables/linear.md", "figures/one.svg", "report.html"):
        (results / name).parent.mkdir(exist_ok=True)
        (results / name).write_text(f"top1 50.00 {name}")
    write_tables_record(plan, results / "tables", partial=False)
    assert fault_of_tables(plan) is None
    assert state_of_tables(plan, Redo()) == State("done")
    return results / "tables"


@pytest.mark.parametrize("name", ["tables/results.csv", "tables/linear.md", "figures/one.svg", "report.html"])
def test_an_edited_table_is_stale(plan: Plan, tables: Path, name: str) -> None:
    """Issue 10, number 24: a digit of a table, a figure or the report."""
    path = tables.parent / name
    path.write_text(path.read_text().replace("50", "90"))
    assert fault_of_tables(plan) == f"{name} has changed since it was written"
    assert state_of_tables(plan, Redo()).word == "stale"
    path.unlink()
    assert fault_of_tables(plan) == ("is missing" if name == "tables/results.csv" else f"{name} is missing")


def test_tables_of_other_results_or_titles_are_stale(plan: Plan, tables: Path, tmp_path: Path) -> None:
    titled = Plan(load_config(write_config(tmp_path, {"datasets": {"tiny": {"title": "Other"}}}, name="titled.yaml")))
    assert titled.digest == plan.digest
    assert fault_of_tables(titled) == "was gathered for another config"
    job = job_of(plan, "knn")  # on which no other evaluation builds
    job.output.write_text("computed again, and not the same")
    assert fault_of_tables(plan) is None
    assert state_of_tables(plan, Redo()) == State("stale", "1 results are stale")
    finished(job)
    assert fault_of_tables(plan) == "was gathered from other results than are there now"
    write_tables_record(plan, tables, partial=True)
    assert fault_of_tables(plan) == "shows the results of that time only"
    (tables / "results.csv.run.json").unlink()
    assert fault_of_tables(plan) == "has no run.json next to it that can be read"
