"""Which files of a plan the figures are of."""

from __future__ import annotations

from pathlib import Path

from config_support import tiny
from ikem.report.labels import naming_of
from ikem.report.traces import traces_of
from ikem.settings.loading import build_config
from ikem.workflow.plan import Plan


def test_entries_that_are_one_row_have_one_figure(tmp_path: Path) -> None:
    """That of the entry with more modalities; and a student has no curves of its teacher's stages."""
    config = tiny() | {"results": str(tmp_path)}
    config["methods"] |= {
        "skeletonclr-two": {
            "kind": "skeletonclr", "title": "SkeletonCLR", "recipe": "tiny", "modalities": ["joint", "bone"]
        }
    }  # fmt: skip
    methods = ["skeletonclr-two", "skeletonclr", "student"]
    config["benchmark"] = [{"dataset": "tiny", "protocols": ["xsub"], "methods": methods, "evaluations": ["linear"]}]
    plan = Plan(build_config(config))
    for job in plan.all_jobs():
        job.output.parent.mkdir(parents=True, exist_ok=True)
        job.output.touch()
        job.output.with_name("metrics.csv").write_text("epoch,joint\n1,2\n")
        job.output.with_name("samples.csv").touch()
        job.output.with_name(f"{job.output.stem}.confusion.npz").touch()
    traces = traces_of(plan, naming_of(plan.config))
    expected = [("skeletonclr", "skeletonclr-two"), ("student", "student")]
    assert sorted((file.method, file.path.parent.name) for file in traces.confusions) == expected
    assert sorted((file.method, file.path.parent.name) for file in traces.embeddings) == expected
    (result,) = (job.output for *_, keys, job in plan.cells() if keys["method"] == "student")
    result.unlink()
    confusions = traces_of(plan, naming_of(plan.config)).confusions
    assert [file.method for file in confusions] == ["skeletonclr"], (
        "a matrix without its result may be of other settings"
    )
    run = tmp_path / "tiny" / "xsub" / "seed0"
    drawn = [(curve.panel, str(curve.path.parent.relative_to(run))) for curve in traces.curves]
    assert sorted(drawn) == [
        ("SkeletonCLR", "momentum_contrast/tiny/bone"),
        ("SkeletonCLR", "momentum_contrast/tiny/joint"),
        ("SkeletonCLR", "skeletonclr/tiny/bone"),
        ("SkeletonCLR", "skeletonclr/tiny/joint"),
        ("Student of IKEM-3", "relational_distillation/student"),
    ]
