"""The run.json of the tables: from which results they were gathered, and what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ikem.errors import InputError
from ikem.files import digest_file, digest_of, read_json, write_json
from ikem.workflow.plan import Plan, record_path
from ikem.workflow.plan_file import plan_content
from ikem.workflow.run_context import stamp_of
from ikem.workflow.staleness import outputs_of


def write_tables_record(plan: Plan, folder: Path, partial: bool) -> None:
    """Record what has just been gathered.

    Args:
        folder: of the tables; figures and the report are stored next to it.
        partial: cells without a result were left empty.
    """
    root, record = folder.parent, record_path(folder / "results.csv")
    files = [path for part in (folder, root / "figures") for path in sorted(part.rglob("*")) if path.is_file()]
    names = {str(path.relative_to(root)): path for path in [*files, root / "report.html"] if path != record}
    outputs = {name: digest_file(path) for name, path in names.items()}
    stamps = {name: stamp_of(path) for name, path in names.items()}
    write_json(record, {"gathered": _gathered(plan), "partial": partial, "outputs": outputs, "stamps": stamps})


def fault_of_tables(plan: Plan) -> str | None:
    """Why the tables have to be gathered again, or None.

    A file whose size and time are those of its writing is taken to be unchanged.
    """
    root = Path(plan.config.results)
    table = root / "tables" / "results.csv"
    if not table.exists():
        return "is missing"
    try:
        record = read_json(record_path(table))
        gathered, partial = dict(record["gathered"]), record["partial"]
        outputs, stamps = dict(record["outputs"]), dict(record["stamps"])
    except (InputError, KeyError, TypeError, ValueError):
        return "has no run.json next to it that can be read"
    for name, content in outputs.items():
        path = root / name
        if not path.exists():
            return f"{name} is missing"
        if stamp_of(path) != stamps.get(name) and digest_file(path) != content:
            return f"{name} has changed since it was written"
    if partial:
        return "shows the results of that time only"
    now = _gathered(plan)
    if gathered.get("config") != now["config"]:
        return "was gathered for another config"
    return None if gathered == now else "was gathered from other results than are there now"


def _gathered(plan: Plan) -> dict[str, Any]:
    """What tables depend on: the config (titles are in it), and every evaluated result."""
    return {
        "config": digest_of(plan_content(plan)),
        "results": digest_of([outputs_of(job) for job in plan.evaluation_jobs()]),
    }
