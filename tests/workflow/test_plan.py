"""The plan: what is shared is computed once, and a digest moves with everything upstream and with nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from config_support import changed, tiny
from ikem.registry import load
from ikem.settings.loading import build_config, load_config
from ikem.workflow.job_types import JOB_TYPES
from ikem.workflow.plan import Plan
from ikem.workflow.plan_file import read_plan, write_plan


def plan(values: dict[str, Any] | None = None) -> Plan:
    return Plan(build_config(values or tiny()))


def digests(made: Plan) -> dict[str, str]:
    return {str(job.output): job.digest for job in made.all_jobs()}


def moved(values: dict[str, Any]) -> set[str]:
    """Kinds of the jobs whose digest a change moves."""
    before, after = digests(plan()), digests(plan(values))
    by_output = {str(job.output): job.name.kind for job in plan(values).all_jobs()}
    return {by_output[output] for output, digest in after.items() if before.get(output) != digest}


@pytest.mark.parametrize("kind", JOB_TYPES)
def test_every_type_of_job_has_its_function(kind: str) -> None:
    assert callable(load(JOB_TYPES[kind].run))


def test_methods_share_stage_1() -> None:
    counted = Counter(job.name.kind for job in plan().all_jobs())
    assert counted["momentum_contrast"] == 3  # joint, motion, bone: of skeletonclr, crossclr and ikem-3 together
    assert counted["ikem"] == counted["crossclr"] == 1
    assert counted["prepare"] == counted["decode"] == 1
    start = {job.name for job in plan().all_jobs() if job.name.kind == "momentum_contrast"}
    for job in plan().all_jobs():
        if job.name.kind in ("ikem", "crossclr", "skeletonclr"):
            assert {part.name for part in job.inputs.values() if part.name.kind == "momentum_contrast"} <= start


def test_one_prepared_copy_serves_all_protocols() -> None:
    jobs = Plan(load_config("config/ntu60.yaml")).all_jobs()
    assert sum(job.name.kind == "prepare" for job in jobs) == 1
    assert sum(job.name.kind == "split" for job in jobs) == 2


def test_inputs_come_before_what_is_built_on_them() -> None:
    seen: set[Any] = set()
    for job in plan().all_jobs():
        assert {part.name for part in job.inputs.values()} <= seen
        seen.add(job.name)


def test_no_two_jobs_share_a_file() -> None:
    for config in ("config/paper.yaml", "config/config.yaml"):
        jobs = Plan(load_config(config)).all_jobs()
        files = [path for job in jobs for path in (job.output, job.record, job.log)]
        assert len(files) == len(set(files))


@pytest.mark.parametrize(
    ("path", "value", "kinds"),
    [
        ("methods.ikem-3.top_k", 2, {"ikem", "embed", "linear", "knn", "relational_distillation", "finetune"}),
        ("evaluations.finetune.schedule.epochs", 3, {"finetune"}),
        ("evaluations.linear.schedule.epochs", 6, {"linear", "corruption"}),
        ("methods.student.mining_queue", "published", {"relational_distillation", "embed", "linear", "knn"}),
        ("compute.processes", 2, set()),
        ("compute.device", "cpu", set()),
        ("methods.ikem-3.title", "Another", set()),
    ],
)
def test_a_change_moves_what_it_shapes(path: str, value: Any, kinds: set[str]) -> None:
    assert moved(changed(path, value)) == kinds


def test_untrained_encoders_do_not_depend_on_a_schedule() -> None:
    for path, value in (("schedule.learning_rate", 0.5), ("schedule.batch_size", 4), ("augmentations", [])):
        assert "random_init" not in moved(changed(f"recipes.tiny.{path}", value))
    assert "random_init" in moved(changed("recipes.tiny.encoder.hidden_dim", 16))


def test_stage_1_does_not_depend_on_later_epochs() -> None:
    kinds = moved(changed("recipes.tiny.schedule.epochs", 6))
    assert "momentum_contrast" not in kinds
    assert {"skeletonclr", "crossclr", "ikem"} <= kinds


def test_preparation_moves_all_that_is_trained() -> None:
    kinds = moved(changed("datasets.tiny.prepare.frames", 20))
    assert kinds == {job.name.kind for job in plan().all_jobs()} - {"make_ntu", "acquire", "decode"}


def test_threads_belong_to_the_result() -> None:
    assert "momentum_contrast" in moved(changed("compute.threads", 2))


def test_seed_is_a_wildcard() -> None:
    two = plan(changed("seeds", [0, 1]))
    outputs = {str(job.output) for job in two.all_jobs() if job.name.kind == "momentum_contrast"}
    assert len(outputs) == 6
    assert any("/seed1/" in output for output in outputs)


def test_momentum_defaults_to_the_published_choice() -> None:
    jobs = {job.name.kind: job for job in plan().all_jobs()}
    assert jobs["ikem"].settings["momentum_modalities"] == ["motion"]
    assert jobs["crossclr"].settings["momentum_modalities"] == ["joint", "bone"]


@pytest.mark.parametrize("config", ["config/config.yaml", "config/paper.yaml", "tests/configs/tiny.yaml"])
def test_the_plan_on_disk_is_the_plan(config: str, tmp_path: Path) -> None:
    made = Plan(load_config(config).model_copy(update={"results": str(tmp_path)}))
    assert digests(read_plan(write_plan(made))) == digests(made)
