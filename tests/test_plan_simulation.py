"""The simulated plan: schedules with a known answer, and the times of jobs of a shipped config."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from benchmarks.plan_simulation import MODELED, Times, from_figures, main, seconds_of

from helpers import ROOT
from ikem.estimate.simulation import longest_paths, simulate
from ikem.settings.loading import load_config
from ikem.workflow.plan import Plan


@dataclass(frozen=True)
class Fake:
    """A job; its name is enough."""

    name: str
    inputs: dict = field(default_factory=dict)


FIRST, SECOND, THIRD = Fake("first"), Fake("second"), Fake("third")
AFTER_THIRD = Fake("after third", {"third": THIRD})
JOBS = [FIRST, SECOND, THIRD, AFTER_THIRD]
SECONDS = {"first": 4.0, "second": 4.0, "third": 2.0, "after third": 6.0}


def makespan(rank, gpus, cores=9, cpu=()):
    return simulate(JOBS, SECONDS, rank, gpus, cores, lambda job: job.name not in cpu).makespan


def test_schedules_by_hand():
    flat = dict.fromkeys(SECONDS, 0.0)
    assert makespan(flat, 1) == 16
    assert makespan(flat, 2) == 12  # first and second, third, then the long one alone
    assert makespan({**flat, "third": -1.0}, 2) == 10
    assert makespan(flat, 4) == 8
    assert makespan(flat, 4, cores=1) == 16
    assert makespan(flat, 1, cpu=("first", "second")) == 8
    assert simulate(JOBS, SECONDS, flat, 2, 9, lambda job: job.name != "first").gpu_seconds == 12


def test_longest_paths_by_hand():
    assert longest_paths(JOBS, SECONDS) == {"first": 4, "second": 4, "third": 8, "after third": 6}


def test_times_of_jobs():
    """NTU-60 xsub has 40,091 training clips; stage 2 of IKEM-6 has 150 epochs, six encoders and their keys."""
    config = load_config(ROOT / "config" / "ntu60.yaml")
    jobs = {job.title: job for job in Plan(config).all_jobs()}
    times = Times(start=1.0, load=0.0, trained=2.0, forward=1.0)

    def hand(title):
        return seconds_of(jobs[title], config, times)

    steps = 40_091 / 128
    assert hand("ikem ntu60 xsub 0 ikem-6") == pytest.approx(1 + 150 * steps * 6 * 3)
    assert hand("relational_distillation ntu60 xsub 0 student") == pytest.approx(1 + 150 * steps * (6 * 1 + 3 * 2))
    assert hand("supervised ntu60 xsub 0 supervised joint") == pytest.approx(1 + 100 * steps * 2)
    assert hand("random_init ntu60 xsub 0 random") == 1


def test_figures_give_the_times_of_encoders(tmp_path):
    rows = [
        {"figure": "machine", "ms": 3},
        {"figure": "step", "stage": "supervised", "precision": "bfloat16", "way": "graph", "ms": 4.0},
        {"figure": "step", "stage": "supervised", "precision": "bfloat16", "way": "eager", "ms": 9.0},
        {"figure": "step", "stage": "momentum_contrast", "precision": "bfloat16", "way": "graph", "ms": 6.5},
        {"figure": "step", "stage": "ikem", "precision": "bfloat16", "way": "graph", "failed": "no"},
    ]
    path = tmp_path / "gpu.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = from_figures(path, "bfloat16", "graph", Times())
    assert (found.trained, found.forward, found.load) == pytest.approx((4e-3, 2.5e-3, Times().load))


def test_the_command_says_what_is_modeled(capsys):
    main([str(ROOT / "config" / "ntu60.yaml"), "--gpus", "4"])
    printed = capsys.readouterr().out
    assert printed.count("modeled, not measured") == len(MODELED) and printed.count("GPU hours") == len(MODELED)
    assert "by the rules' priorities" in printed
