"""Gathering: from the files of all evaluations to the long table, the tables, the figures and the report.

Each file's run.json is compared with what the plan asks for; results made under other settings are refused by name.
"""

from __future__ import annotations

from pathlib import Path

from ikem.config import build_config
from ikem.errors import InputError
from ikem.files import digest_file, read_json, write_json
from ikem.plan import Job, Plan
from ikem.report.confusion import ConfusionFile
from ikem.report.curves import Curve
from ikem.report.figures import write_figures
from ikem.report.naming import naming_of
from ikem.report.page import write_page
from ikem.report.results import Missing, Row, read_rows, write_results
from ikem.report.tables import print_main_table, write_tables
from ikem.settings import Config


def write_plan(plan: Plan) -> Path:
    """Write the resolved config and the digest of the plan to `plan.json`, unless it says so already."""
    path = Path(plan.config.results) / "plan.json"
    content = {"digest": plan.digest, "config": plan.config.model_dump(mode="json")}
    if not path.exists() or _differs(path, content):
        write_json(path, content)
    return path


def _differs(path: Path, content: object) -> bool:
    try:
        return bool(read_json(path) != content)
    except InputError:
        return True


def read_plan(path: Path) -> Plan:
    """The plan that `write_plan` wrote."""
    content = read_json(path)
    if not isinstance(content, dict) or "config" not in content:
        raise InputError("is not a plan", where=str(path), mend="Delete it and run again")
    return Plan(build_config(content["config"], where=str(path)))


def gather_results(plan_path: Path, folder: Path, partial: bool = False) -> None:
    """Write results.csv, tables, figures and the report.

    Args:
        plan_path: plan.json.
        folder: where they go.
        partial: leave the cells of missing results empty, with the reason.

    Raises:
        InputError: a result is missing (unless `partial`), or was made under other settings, or has changed since.
    """
    plan = read_plan(plan_path)
    faults: dict[Path, str] = {}
    jobs = plan.evaluation_jobs()
    for job in jobs:
        fault = fault_of(job)
        if fault:
            faults[job.output] = fault
    stale = {path: fault for path, fault in faults.items() if path.exists()}
    if stale or (faults and not partial):
        listed = "\n".join(f"  {path}: {fault}" for path, fault in (stale or faults).items())
        raise InputError(
            f"{len(stale or faults)} results are not what the config asks for:\n{listed}\n",
            mend="Delete them and run snakemake again, or go back to the config they were made with",
        )
    missing, rows = [], []
    wanted: dict[Path, set[str]] = {}
    for evaluation, keys, parts in plan.cells():
        for job in parts:
            if job.output in faults:
                names = (keys["dataset"], keys["protocol"], keys["method"], evaluation, int(keys["seed"]))
                missing.append(Missing(*names, reason=failure_of(job)))
            wanted.setdefault(job.output, set()).add(evaluation)
    for path, evaluations in wanted.items():
        if path not in faults:
            rows += [row for row in read_rows(path) if row.evaluation in evaluations]
    _write(plan, folder, rows, sorted(set(missing)))


def fault_of(job: Job) -> str | None:
    """Why the output of a job cannot be used, or None."""
    if not job.output.exists():
        return "is missing"
    if not job.record.exists():
        return "has no run.json beside it"
    try:
        record = read_json(job.record)
        digest, content = record.get("digest"), record.get("outputs", {}).get(job.output.name)
    except (InputError, AttributeError):
        return "has a run.json that cannot be read"
    if digest != job.digest:
        return f"was made under other settings ({', '.join(_differences(record.get('settings', {}), job.settings))})"
    if content != digest_file(job.output):
        return "has changed since it was made"
    return None


def _differences(had: object, wanted: dict[str, object]) -> list[str]:
    if not isinstance(had, dict):
        return ["unknown ones"]
    names = [name for name in sorted({*had, *wanted}) if had.get(name) != wanted.get(name)]
    upstream_had, upstream = had.get("upstream"), wanted.get("upstream")
    if isinstance(upstream_had, dict) and isinstance(upstream, dict) and names == ["upstream"]:
        return [f"upstream: {key}" for key in sorted(upstream) if upstream_had.get(key) != upstream[key]]
    return names


def failure_of(job: Job) -> str:
    """Why there is no result: the last error in the logs of the job or of what it builds on."""
    for part in (job, *job.inputs.values()):
        log = log_path(part)
        if not part.output.exists() and log.exists():
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            errors = [line.split("error: ", 1)[1] for line in lines if "error: " in line]
            if errors:
                return errors[-1]
    for part in job.inputs.values():
        if not part.output.exists():
            return failure_of(part)
    return "not run yet"


def log_path(job: Job) -> Path:
    """Where the log of a job lies: below `logs` of the results, as its output lies below the results."""
    plan_root = Path(*job.output.parts[: len(job.output.parts) - _depth(job)])
    return plan_root / "logs" / Path(*job.output.parts[-_depth(job) :]).with_name(f"{job.output.name}.log")


def _depth(job: Job) -> int:
    from ikem.plan import KINDS

    return KINDS[job.name.kind].output.count("/") + 1


def _write(plan: Plan, folder: Path, rows: list[Row], missing: list[Missing]) -> None:
    config = plan.config
    naming = naming_of(config)
    results = folder / "results.csv"
    write_results(rows, missing, results)
    write_tables(results, folder, naming)
    confusions, curves, records = _traces(plan)
    figures = folder.parent / "figures"
    write_figures(results, figures, naming, confusions, curves)
    write_page(results, folder.parent / "report.html", naming, figures=figures, runs=records)


def _traces(plan: Plan) -> tuple[list[ConfusionFile], list[Curve], list[Path]]:
    """Confusion matrices, training curves and run.json files of all finished jobs."""
    confusions = [
        ConfusionFile(path, keys["dataset"], keys["protocol"], keys["method"], evaluation)
        for evaluation, keys, jobs in plan.cells("linear")
        for path in [job.output.with_name(f"{job.output.stem}.{evaluation}.confusion.npz") for job in jobs]
        if path.exists()
    ]
    curves, records = [], []
    for job in plan.all_jobs():
        keys = dict(job.name.keys)
        metrics = job.output.with_name("metrics.csv")
        if job.record.exists():
            records.append(job.record)
        if job.output.name == "state.safetensors" and metrics.exists():
            place = f"{keys['dataset']} {keys['protocol']}"
            name = keys.get("method", keys.get("recipe", ""))
            stem = f"{keys['dataset']}/{keys['protocol']}/{job.name.kind}-{name}"
            curves.append(Curve(metrics, f"{place}: {job.name.kind} {name}", keys.get("modality", name), stem))
    return confusions, curves, records


def show_results(folder: Path) -> None:
    """Print the main table and where everything lies."""
    root = folder.parent
    plan = read_plan(root / "plan.json")
    places = {
        "tables": folder,
        "figures": root / "figures",
        "report": root / "report.html",
        "long table": folder / "results.csv",
    }
    print_main_table(folder / "results.csv", naming_of(plan.config), places)


def plan_of(config: Config) -> Plan:
    """The plan of a config, written beside its results."""
    plan = Plan(config)
    write_plan(plan)
    return plan
