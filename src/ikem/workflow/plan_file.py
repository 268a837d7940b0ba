"""The plan on disk: plan.json of the results folder, from which the tables are gathered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ikem.errors import InputError
from ikem.files import read_json, write_json
from ikem.settings.loading import build_config
from ikem.workflow.plan import Plan


def write_plan(plan: Plan) -> Path:
    """Write the resolved config and the digest of the plan to `plan.json`, unless it says so already."""
    path, content = Path(plan.config.results) / "plan.json", plan_content(plan)
    if not path.exists() or _differs(path, content):
        write_json(path, content)
    return path


def plan_content(plan: Plan) -> dict[str, Any]:
    """What plan.json holds."""
    return {"digest": plan.digest, "config": plan.config.model_dump(mode="json")}


def _differs(path: Path, content: object) -> bool:
    try:
        return bool(read_json(path) != content)
    except InputError:
        return True


def read_plan(path: Path) -> Plan:
    """The plan that `write_plan` wrote.

    Raises:
        InputError: it is missing or no plan.
    """
    if not path.is_file():
        hint = "Name the plan.json of a results folder: snakemake or `ikem run` write it when they begin"
        raise InputError("is a folder" if path.is_dir() else "is missing", location=str(path), hint=hint)
    content = read_json(path)
    if not isinstance(content, dict) or "config" not in content:
        raise InputError("is not a plan", location=str(path), hint="Delete it and run again")
    return Plan(build_config(content["config"], location=str(path)))
