"""What every registered evaluation keeps to: declaration, metrics, documentation, citation."""

from __future__ import annotations

import inspect

import pytest

from helpers import ROOT, TINY
from ikem.evaluations.metrics import METRICS
from ikem.evaluations.registry import EVALUATIONS
from ikem.registry import load
from ikem.report.labels import naming_of
from ikem.settings.loading import load_config
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.plan import Plan

CONFIG = load_config(TINY)
every_evaluation = pytest.mark.parametrize("kind", EVALUATIONS)


@every_evaluation
def test_declaration(kind: str) -> None:
    evaluation = EVALUATIONS[kind]
    assert evaluation.options.model_fields["kind"].annotation.__args__ == (kind,)
    assert evaluation.summary.endswith(".") and JOB_TYPES[kind].summary == evaluation.summary
    assert evaluation.metrics and set(evaluation.metrics) <= set(METRICS)
    assert inspect.isgeneratorfunction(load(evaluation.run))


@every_evaluation
def test_tiny_config_takes_it_to_a_table(kind: str) -> None:
    assert kind in {CONFIG.evaluations[name].kind for name, _, _ in Plan(CONFIG).cells()}


@every_evaluation
def test_entries_have_titles_that_differ(kind: str) -> None:
    entries = {name: options for name, options in CONFIG.evaluations.items() if options.kind == kind}
    assert all(options.title and options.published_as for options in entries.values())
    titles = {naming_of(CONFIG).evaluations[name] for name in entries}
    assert len(titles) == len({options.model_dump_json() for options in entries.values()})


@every_evaluation
def test_options_have_descriptions(kind: str) -> None:
    fields = EVALUATIONS[kind].options.model_fields
    assert all(field.description for name, field in fields.items() if name not in ("kind", "schedule"))


@every_evaluation
def test_documentation_names_it(kind: str) -> None:
    assert f"| `{kind}` |" in (ROOT / "docs" / "results.md").read_text()
