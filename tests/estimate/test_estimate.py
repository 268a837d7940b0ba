"""What a config will take: counts and arithmetic. docs/performance.md compares the whole demo with its estimate."""

from __future__ import annotations

import json
import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from typer.testing import CliRunner

from helpers import EVERY_METHOD, ROOT, TINY
from ikem.cli import app
from ikem.encoders.registry import encoder_options
from ikem.estimate import estimate as module
from ikem.estimate import table
from ikem.estimate.clips import ASSUMED, clips_of, split_of
from ikem.estimate.counting import Counts
from ikem.estimate.data import data_cost, disk_of_data
from ikem.estimate.estimate import estimate
from ikem.estimate.rates import encoder_key, measure
from ikem.estimate.steps import Steps, step_seconds
from ikem.files import canonical_json, write_json
from ikem.methods.registry import STAGES
from ikem.report.costs import count
from ikem.settings.loading import load_config
from ikem.workflow.plan import Plan

RATE = 1e9
DEMO = ROOT / "config" / "config.yaml"
FEW = {"dataset": "tiny", "protocols": ["xsub"], "methods": ["skeletonclr", "supervised"], "evaluations": ["linear"]}


@pytest.fixture
def demo(tmp_path) -> Plan:
    return Plan(load_config(DEMO, changes={"results": str(tmp_path / "results")}))


@pytest.fixture
def tiny(tmp_path) -> Plan:
    """A plan of few steps to count."""
    changes = {"results": str(tmp_path / "results"), "benchmark": [FEW]}
    return Plan(load_config(TINY, changes=changes))


@pytest.fixture
def fixed_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a measurement."""
    monkeypatch.setattr(module, "measure", lambda jobs, steps, at_once: {encoder_key(job): RATE for job in jobs})


def jobs_of(plan: Plan, kind: str):
    return [job for job in plan.all_jobs() if job.name.kind == kind]


def test_where_nothing_is_trained_a_typical_rate_stands(tmp_path) -> None:
    changes = {"results": str(tmp_path / "results"), "benchmark": [{**FEW, "methods": ["random"]}]}
    found = estimate(Plan(load_config(TINY, changes=changes)), cores=2, gpus=0)
    assert found.rates == {}
    assert 0 < found.wall_seconds < 600


def test_the_peak_is_of_what_lives_at_the_same_time() -> None:
    weight = torch.empty(1000, device="meta", requires_grad=True)  # was there before
    with Counts() as counts:
        doubled = weight * 2  # 4000 bytes
        sine = doubled.view(10, 100).sin()  # 4000 more, and it needs its argument
        del doubled
        assert counts.peak == 8000
        sine.sum().backward()  # the sum and three more gradients at a time, at the most
        first = counts.peak
        assert 8000 < first <= 8000 + 4 + 3 * 4000
        torch.empty(100, device="meta")
    assert counts.peak == first


def test_clips_as_the_settings_say(demo: Plan) -> None:
    """Eight performers of whom four train, three cameras of which two train, two replications of each action."""
    config = load_config(DEMO)
    synthetic = config.datasets["demo"].synthetic
    assert synthetic is not None
    total = len(synthetic.actions) * 8 * 3 * 2
    assert split_of(demo, "demo", "xsub").train == total / 2
    assert split_of(demo, "demo", "xview").train == round(total * 2 / 3)
    assert clips_of(demo, "demo") == total


def test_clips_published_counted_assumed(tmp_path) -> None:
    config = load_config(ROOT / "config" / "nwucla.yaml", changes={"results": str(tmp_path)})
    plan = Plan(config)
    assert (found := split_of(plan, "nwucla", "xview")).source == "published"
    assert (found.train, found.test) == (1020, 464)
    path = plan.job("split", {"dataset": "nwucla", "protocol": "xview"}).output
    write_json(path, {"train": [0, 1, 2], "test": [3]})
    assert (found := split_of(plan, "nwucla", "xview")).source == "counted"
    assert (found.train, found.test) == (3, 1)
    nothing = config.datasets["nwucla"].model_copy(
        update={"protocols": {"own": config.datasets["nwucla"].protocols["xview"].model_copy(update={"counts": None})}}
    )
    other = Plan(config.model_copy(update={"datasets": {"nwucla": nothing}}))
    assert split_of(other, "nwucla", "own").source == "assumed"
    assert split_of(other, "nwucla", "own").train == ASSUMED[0]


def test_operations_of_steps_are_those_of_their_encoders(demo: Plan, tmp_path) -> None:
    """Forward and backward are three times forward; momentum contrast has the keys besides, IKEM all modalities."""
    steps = Steps(demo, tmp_path)
    (supervised, *_), (stage1, *_) = jobs_of(demo, "supervised"), jobs_of(demo, "momentum_contrast")
    frames = demo.config.datasets["demo"].prepare.frames
    body = 1e9 * count(encoder_options(stage1.settings["encoder"]), "ntu25", frames)[1]
    batch = stage1.settings["schedule"]["batch_size"] * 2 * body
    assert steps.of_stage(supervised).flop == pytest.approx(3 * batch, rel=0.05)
    assert steps.of_stage(stage1).flop == pytest.approx(4 * batch, rel=0.05)
    six = next(job for job in jobs_of(demo, "ikem") if len(job.settings["modalities"]) == 6)
    found = steps.of_stage(six)
    assert found.flop == pytest.approx(24 * batch, rel=0.05)
    assert found.peak > 3 * steps.of_stage(stage1).peak
    assert steps.of_embedding(supervised)[0].flop == pytest.approx(128 * 2 * body, rel=0.02)
    assert steps.of_finetuning(jobs_of(demo, "finetune")[0]).flop == pytest.approx(
        steps.of_stage(supervised).flop, rel=0.02
    )


def test_every_stage_and_evaluation_is_estimated(fixed_rate: None) -> None:
    plan = Plan(load_config(*EVERY_METHOD))
    found = estimate(plan, 0, 2)
    assert found.costs.keys() == {job.name for job in plan.all_jobs()}
    assert {job.name.kind for job in plan.all_jobs()} > STAGES.keys()
    assert all(cost.seconds > 0 and cost.disk > 0 and cost.memory > 1e7 for cost in found.costs.values())
    total = sum(cost.seconds + table.START for cost in found.costs.values())
    assert total / 2 < found.wall_seconds < total


def test_seconds_follow_from_operations(tiny: Plan, fixed_rate: None, tmp_path) -> None:
    found = estimate(tiny, 0, 2)
    job = jobs_of(tiny, "momentum_contrast")[0]
    settings = job.settings
    flop = Steps(tiny, tmp_path).of_stage(job).flop
    train = split_of(tiny, *(dict(job.name.keys)[name] for name in ("dataset", "protocol"))).train
    steps = (settings["last_epoch"] - settings["first_epoch"]) * math.ceil(train / settings["schedule"]["batch_size"])
    assert found.costs[job.name].seconds == pytest.approx(table.FIXED["train"] + steps * flop / RATE)
    assert not any(cost.gpu for cost in found.costs.values())


def test_on_gpus_times_are_modeled(tiny: Plan) -> None:
    one, four = (estimate(tiny, gpus, 8) for gpus in (1, 4))
    assert one.rates == {}
    assert one.costs == four.costs
    assert four.wall_seconds < one.wall_seconds
    gpu = sum(cost.seconds + table.START for cost in one.costs.values() if cost.gpu)
    assert one.wall_seconds >= gpu


def test_arrays_have_the_size_of_the_file(demo: Plan) -> None:
    """The positions of 665 clips of 32 frames are a file of 12,768,256 bytes, 256 of them its header."""
    dataset = demo.config.datasets["demo"]
    longer = dataset.model_copy(update={"prepare": dataset.prepare.model_copy(update={"frames": 32})})
    plan = Plan(demo.config.model_copy(update={"datasets": {**demo.config.datasets, "demo": longer}}))
    job = plan.job("prepare", {"dataset": "demo"})
    assert data_cost(plan, job, 665).disk == pytest.approx(12_768_256, abs=256)
    assert disk_of_data(plan) > 7 * 665 * 19_200  # positions and six modalities


def test_the_command_prints_json(fixed_rate: None, tmp_path) -> None:
    few = tmp_path / "few.yaml"
    few.write_text(json.dumps({"benchmark": [FEW]}))
    done = CliRunner().invoke(app, ["estimate", str(TINY), str(few), "--gpus", "0", "--cores", "2", "--json"])
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    plan = Plan(load_config(TINY, few))
    assert values["jobs"] == len(plan.all_jobs()) == sum(kind["jobs"] for kind in values["kinds"].values())
    assert values["job_seconds"] == pytest.approx(sum(kind["seconds"] for kind in values["kinds"].values()))
    assert values["source"] == "measured on this CPU"
    assert values["clips"]["tiny xsub"]["source"] == "settings"


def test_the_command_prints_a_table(tmp_path) -> None:
    small = tmp_path / "small.yaml"
    block = "{dataset: nwucla, protocols: [xview], methods: [supervised, ikem-3], evaluations: [knn-1]}"
    small.write_text(f"results: {tmp_path}/results\nbenchmark: [{block}]\n")
    done = CliRunner().invoke(app, ["estimate", str(ROOT / "config/nwucla.yaml"), str(small), "--gpus", "2"])
    assert done.exit_code == 0, done.output
    assert "modeled for H200s" in done.output
    assert "1020 training clips, 464 test clips (published)" in done.output


def test_the_rate_of_this_processor_is_measured(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same unit as the operations: a step takes its operations divided by the rate."""
    block = {"dataset": "tiny", "protocols": ["xsub"], "methods": ["supervised"], "evaluations": ["knn-1"]}
    plan = Plan(load_config(TINY, changes={"benchmark": [block]}))
    monkeypatch.setattr("ikem.estimate.rates.MEASURED_SECONDS", 0.2)
    steps, jobs = Steps(plan, tmp_path), jobs_of(plan, "supervised")
    (rate,) = measure(jobs, steps, 1).values()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        arguments = canonical_json(jobs[0].settings), steps.positions(jobs[0]), 0.2
        seconds, batch = pool.submit(step_seconds, *arguments).result()
    assert batch == 8
    assert 1 / 3 < steps.of_stage(jobs[0]).flop / rate / seconds < 3
