"""Gathering: from the files of all evaluations to the long table, the tables, the figures and the report.

Each file's run.json is compared with what the plan asks for; results computed under other settings are refused by name.
"""

from __future__ import annotations

import logging
from pathlib import Path

from ikem.errors import InputError
from ikem.report.citations import write_bibliography
from ikem.report.comparisons import write_comparisons
from ikem.report.costs import FILE, costs_of, write_costs
from ikem.report.datasets import DatasetCounts, read_counts, write_counts
from ikem.report.figures import write_figures
from ikem.report.labels import naming_of
from ikem.report.page import write_page
from ikem.report.prose import describe
from ikem.report.records import Record, other_code, read_records
from ikem.report.results import Missing, Row, read_rows, write_results
from ikem.report.summary import Cell
from ikem.report.table_parts import Table
from ikem.report.tables import print_main_table, write_tables
from ikem.report.traces import traces_of
from ikem.settings.benchmark import Config
from ikem.workflow.plan import Plan
from ikem.workflow.plan_file import read_plan
from ikem.workflow.staleness import failure_of, fault_of
from ikem.workflow.tables_record import write_tables_record

logger = logging.getLogger("ikem")


def gather_results(plan_path: Path, folder: Path, partial: bool = False, digest: str | None = None) -> None:
    """Write results.csv, tables, figures and the report.

    Args:
        plan_path: plan.json.
        folder: where they go.
        partial: leave the cells of missing results empty, with the reason.
        digest: the digest that the plan must have; None: any.

    Raises:
        InputError: a result is missing (unless `partial`), or was computed under other settings, or has changed since.
    """
    plan = read_plan(plan_path)
    if digest is not None and plan.digest != digest:
        what = "is the plan of another config, which another run has written meanwhile"
        raise InputError(what, location=str(plan_path), hint="Run snakemake again")
    asked = plan.evaluation_jobs()
    faults = {job.output: fault for job in asked if (fault := fault_of(job))}
    # What was only built on may be gone, but not be another's: curves and the report show it, too.
    others = [job for job in plan.all_jobs() if job.output not in faults and job.output.exists()]
    stale = {path: fault for path, fault in faults.items() if path.exists()}
    stale |= {job.output: fault for job in others if (fault := fault_of(job, thorough=False))}
    refused = stale or ({} if partial else faults)
    if refused:
        listed = "\n".join(f"  {path}: {fault}" for path, fault in refused.items())
        raise InputError(
            f"{len(refused)} results are not what the config asks for:\n{listed}\n",
            hint="Delete them and run snakemake again, or go back to the config they were computed with",
        )
    missing, rows = [], []
    wanted: dict[Path, set[str]] = {}
    for evaluation, keys, job in plan.cells():
        if job.output in faults:
            names = (keys["dataset"], keys["protocol"], keys["method"], evaluation, int(keys["seed"]))
            missing.append(Missing(*names, reason=failure_of(job)))
        wanted.setdefault(job.output, set()).add(evaluation)
    for path, evaluations in wanted.items():
        if path not in faults:
            rows += [row for row in read_rows(path) if row.evaluation in evaluations]
    counts = read_counts(plan)
    rejected = {dataset.dataset: dataset.rejected for dataset in counts}
    rows = [row.model_copy(update={"rejected_clips": rejected.get(_tested(row, plan.config))}) for row in rows]
    logger.info("%d rows, %d missing cells", len(rows), len(missing))
    write_counts(counts, folder / "data.md")
    compared = write_comparisons(plan, folder, naming_of(plan.config), wanted.keys() - faults.keys())
    _write(plan, folder, rows, sorted(set(missing)), counts, compared)
    write_tables_record(plan, folder, partial)
    logger.info("done: %s, %s", folder, folder.parent / "report.html")


def _tested(row: Row, config: Config) -> str:
    """The dataset whose clips a row is of."""
    target = config.evaluations[row.evaluation].target
    return str(target.dataset) if target else row.dataset


def _write(
    plan: Plan,
    folder: Path,
    rows: list[Row],
    missing: list[Missing],
    counts: list[DatasetCounts],
    compared: Table,
) -> None:
    config = plan.config
    naming = naming_of(config)
    results = folder / "results.csv"
    write_results(rows, missing, results)
    cells = [Cell(row.method, row.streams, row.dataset, row.protocol) for row in rows]
    write_costs(costs_of(plan, cells), folder / FILE)
    write_tables(results, folder, naming)
    traces = traces_of(plan, naming)
    records, _ = read_records(traces.records)
    _report_other_code(records)
    write_bibliography(folder / "references.bib", config, (record.commit for record in records))
    figures = folder.parent / "figures"
    logger.info("drawing figures")
    drawn = traces.confusions, traces.curves, traces.embeddings, traces.clips
    write_figures(results, figures, naming, *drawn, formats=config.figures.formats)
    resolved = config.model_dump(mode="json")
    write_page(
        results,
        folder.parent / "report.html",
        naming,
        figures=figures,
        runs=traces.records,
        config=resolved,
        counts=counts,
        comparisons=compared,
        words=describe(config, naming, counts, records),
    )


def _report_other_code(records: list[Record]) -> None:
    """Results of another version of the code are reported, not refused: few changes of the code change a number."""
    others = other_code(records)
    if others:
        logger.warning("computed by another version of the code than this one: %s", others)


def show_results(folder: Path) -> None:
    """Print the main table and where everything is."""
    root = folder.parent
    plan = read_plan(root / "plan.json")
    paths = {
        "tables": folder,
        "figures": root / "figures",
        "report": root / "report.html",
        "long table": folder / "results.csv",
    }
    print_main_table(folder / "results.csv", naming_of(plan.config), paths)
