"""Who is compared with whom, and what is said of it."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config_support import tiny
from ikem.errors import InputError
from ikem.evaluations.rows import Labels, Rows
from ikem.evaluations.scores import scores_path
from ikem.evaluations.task import Outcome
from ikem.report.comparisons import Comparison, Result, Run, as_csv, compare, write_comparisons
from ikem.report.labels import Naming, naming_of
from ikem.settings.loading import build_config
from ikem.workflow.plan import Plan

COLUMN = ("tiny", "xsub", "linear", "")
CLIPS = 200


def config(**changes: Any) -> Any:
    return build_config(tiny() | changes)


def naming(values: Any, unranked: Collection[str] = ()) -> Naming:
    return replace(naming_of(values), unranked=frozenset(unranked))


def right(share: float, seed: int = 0, clips: int = CLIPS) -> np.ndarray:
    """So many clips are right, drawn at random."""
    order = np.random.default_rng(seed).permutation(clips)
    found = np.zeros(clips, bool)
    found[order[: round(share * clips)]] = True
    return found


def result(method: str, streams: str, *shares: float) -> Result:
    """A result of one run for each share, of seeds 0, 1, ..."""
    runs: dict[Run, Any] = {(seed, -1): right(share, seed) for seed, share in enumerate(shares)}
    return Result(COLUMN, method, streams, runs)


def pairs(found: list[Comparison]) -> set[tuple[str, str, str, str]]:
    return {(one.against, one.streams, one.method, one.other) for one in found}


THREE = "joint+motion+bone"


def test_each_method_is_compared_with_the_baseline_and_with_the_best() -> None:
    found = [
        result(name, "joint", share)
        for name, share in [("random", 0.3), ("skeletonclr", 0.5), ("crossclr", 0.6), ("supervised", 0.9)]
    ]
    assert pairs(compare(found, "top1", config(), naming(config(), {"random", "supervised"}))) == {
        ("baseline", "joint", "random", "skeletonclr"),
        ("baseline", "joint", "crossclr", "skeletonclr"),
        ("baseline", "joint", "supervised", "skeletonclr"),
        ("best", "joint", "skeletonclr", "crossclr"),
    }


def test_like_is_compared_with_like() -> None:
    """The same stream, or equally many fused ones; and an encoder with the same options."""
    values = config(
        methods=tiny()["methods"] | {"wide": {"kind": "skeletonclr", "recipe": "wide", "modalities": ["joint"]}},
        recipes=tiny()["recipes"] | {"wide": tiny()["recipes"]["tiny"] | {"encoder": {"hidden_channels": 4}}},
    )
    found = [
        *(result("skeletonclr", streams, 0.5) for streams in ("joint", "bone", "joint+bone", THREE)),
        *(result("ikem-3", streams, 0.6) for streams in ("joint", "motion", THREE)),
        result("crossclr", "joint+motion", 0.7),
        result("wide", "joint", 0.9),
    ]
    assert pairs(compare(found, "top1", values, naming(values))) == {
        ("baseline", "joint", "ikem-3", "skeletonclr"),
        ("best", "joint", "skeletonclr", "ikem-3"),
        ("baseline", "joint+motion", "crossclr", "skeletonclr"),
        ("best", "joint+bone", "skeletonclr", "crossclr"),
        ("baseline", THREE, "ikem-3", "skeletonclr"),
        ("best", THREE, "skeletonclr", "ikem-3"),
    }


def test_the_baseline_is_named_by_the_config() -> None:
    found = [result(name, "joint", 0.5) for name in ("random", "crossclr", "ikem-3")]
    named = config(comparisons={"baselines": ["skeletonclr", "crossclr"]})
    baselines = {one for one in pairs(compare(found, "top1", named, naming(named))) if one[0] == "baseline"}
    assert baselines == {("baseline", "joint", name, "crossclr") for name in ("random", "ikem-3")}
    with pytest.raises(InputError, match=r"comparisons\.baselines: 'crossclrr' is not known, did you mean 'crossclr'"):
        config(comparisons={"baselines": ["crossclrr"]})


def test_the_baseline_has_the_same_streams_where_it_can() -> None:
    """A row may have two fusions of as many streams, and is not compared with itself."""
    other_three = "joint+motion+acceleration"
    fusions = [result("skeletonclr", THREE, 0.6), result("skeletonclr", other_three, 0.4)]
    for found in (fusions, fusions[::-1]):
        compared = compare([*found, result("ikem-3", THREE, 0.5)], "top1", config(), naming(config()))
        assert [(one.against, one.method, one.other, one.other_streams) for one in compared] == [
            ("baseline", "ikem-3", "skeletonclr", THREE),
            ("best", "ikem-3", "skeletonclr", THREE),
        ]
    (one, _) = compare([fusions[1], result("ikem-3", THREE, 0.5)], "top1", config(), naming(config()))
    assert (one.method, one.other, one.other_streams) == ("ikem-3", "skeletonclr", other_three)


def test_a_baseline_that_is_a_part_of_another_row() -> None:
    alone = {"kind": "skeletonclr", "title": "SkeletonCLR", "recipe": "tiny", "modalities": ["bone"]}
    named = config(methods=tiny()["methods"] | {"bone-alone": alone}, comparisons={"baselines": ["bone-alone"]})
    found = [result("skeletonclr", "bone", 0.5), result("crossclr", "bone", 0.6)]  # results bear the name of the row
    assert ("baseline", "bone", "crossclr", "skeletonclr") in pairs(compare(found, "top1", named, naming(named)))


def verdicts(one: Result, other: Result) -> Comparison:
    compared = compare([one, other], "top1", config(), naming(config(), {one.method}))
    (found,) = [pair for pair in compared if pair.against == "baseline"]
    return found


def test_a_clear_difference_of_single_runs() -> None:
    found = verdicts(result("ikem-3", "joint", 0.7), result("skeletonclr", "joint", 0.4))
    assert (found.runs, found.test, found.verdict) == (1, "McNemar", "better")
    assert found.difference == pytest.approx(30)
    assert found.low == pytest.approx(30 - 6.3, abs=1) and found.high == pytest.approx(30 + 6.3, abs=1)
    assert verdicts(result("ikem-3", "joint", 0.4), result("skeletonclr", "joint", 0.7)).verdict == "worse"
    assert (
        verdicts(result("ikem-3", "joint", 0.7), result("skeletonclr", "joint", 0.7)).verdict == "no difference shown"
    )


def test_seeds_that_disagree_show_no_difference() -> None:
    """Whatever the clips say: another training might have come out otherwise."""
    found = verdicts(result("ikem-3", "joint", 0.9, 0.6, 0.9), result("skeletonclr", "joint", 0.5, 0.65, 0.55))
    assert (found.runs, found.test) == (3, "paired t, 3 seeds")
    assert found.low > 5  # of these trainings, on other clips
    assert found.p > 0.05 and found.verdict == "no difference shown"
    steady = verdicts(result("ikem-3", "joint", 0.9, 0.88, 0.9), result("skeletonclr", "joint", 0.5, 0.5, 0.51))
    assert steady.p < 0.01 and steady.verdict == "better"


def test_few_clips_show_no_difference() -> None:
    """However alike the seeds are: other clips might have come out otherwise."""
    number = np.arange(10)
    one = Result(COLUMN, "ikem-3", "joint", {(seed, -1): number < 6 for seed in range(8)})
    other = Result(COLUMN, "skeletonclr", "joint", {(seed, -1): number > 4 for seed in range(8)})
    found = verdicts(one, other)
    assert found.difference == pytest.approx(10) and found.p < 0.01
    assert found.low < 0 < found.high
    assert found.verdict == "no difference shown"


def test_only_common_runs_count() -> None:
    one = Result(COLUMN, "ikem-3", "joint", {(0, -1): right(0.7), (1, -1): right(0.1, 1)})
    found = verdicts(one, Result(COLUMN, "skeletonclr", "joint", {(0, -1): right(0.4), (5, -1): right(0.4)}))
    assert (found.runs, found.value) == (1, pytest.approx(70))
    none = [one, Result(COLUMN, "skeletonclr", "joint", {(7, -1): right(0.4)})]
    assert compare(none, "top1", config(), naming(config())) == []


def test_label_subsets_of_a_seed_are_one_unit() -> None:
    runs = {(seed, subset): right(0.7 + seed / 100, seed) for seed in (0, 1) for subset in (0, 1, 2)}
    base = {run: right(0.5, run[0]) for run in runs}
    found = verdicts(Result(COLUMN, "ikem-3", "joint", runs), Result(COLUMN, "skeletonclr", "joint", base))
    assert (found.runs, found.test) == (6, "paired t, 2 seeds")
    of_one = [{run: value for run, value in each.items() if run[0] == 0} for each in (runs, base)]
    found = verdicts(Result(COLUMN, "ikem-3", "joint", of_one[0]), Result(COLUMN, "skeletonclr", "joint", of_one[1]))
    assert found.test == "paired t, 3 label subsets"


def test_p_values_are_corrected_for_their_number() -> None:
    """Five methods against one baseline: the smallest p-value counts five times."""
    found = [result("skeletonclr", "joint", 0.5)]
    found += [result(name, "joint", share) for name, share in [("random", 0.45), ("crossclr", 0.52), ("ikem-3", 0.64)]]
    compared = [one for one in compare(found, "top1", config(), naming(config())) if one.against == "baseline"]
    smallest = min(compared, key=lambda one: one.p)
    assert smallest.method == "ikem-3"
    assert smallest.corrected_p == pytest.approx(3 * smallest.p)
    assert all(one.corrected_p >= one.p for one in compared)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Results of three seeds on the disk, ikem-3 always right, the others by chance."""
    values = tiny() | {"results": str(tmp_path), "seeds": [0, 1, 2]}
    values["benchmark"] = [
        {"dataset": "tiny", "protocols": ["xsub"], "methods": ["skeletonclr", "ikem-3"], "evaluations": ["linear"]}
    ]
    found = Plan(build_config(values))
    names = np.array([f"clip {number}" for number in range(100)], object)
    labels = Labels(np.arange(10), np.arange(10, 100), names, np.arange(100) % 3, np.arange(3), True)
    for evaluation, keys, job in found.cells():
        rows = Rows(keys | {"seed": int(keys["seed"]), "evaluation": evaluation}, labels)
        scores = np.random.default_rng(int(keys["seed"])).normal(size=(90, 3))
        if keys["method"] == "ikem-3":
            scores = np.eye(3)[labels.labels[labels.test]]
        rows.add(Outcome(["joint"], scores))
        job.output.parent.mkdir(parents=True, exist_ok=True)
        rows.write(job.output)
    return found


def test_files(plan: Plan, tmp_path: Path) -> None:
    outputs = [job.output for job in plan.evaluation_jobs()]
    write_comparisons(plan, tmp_path, naming_of(plan.config), outputs)
    with (tmp_path / "comparisons.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["metric"], line["method"], line["against"]) for line in lines] == [
        ("top1", "ikem-3", "baseline"),
        ("top1", "skeletonclr", "best"),
        ("top5", "ikem-3", "baseline"),
        ("top5", "ikem-3", "best"),
    ]
    assert (lines[0]["value"], lines[0]["verdict"], lines[1]["verdict"]) == ("100.0000", "better", "worse")
    assert (lines[2]["difference"], lines[2]["verdict"]) == ("0.0000", "no difference shown")
    text = (tmp_path / "comparisons.md").read_text()
    assert "## Linear evaluation, Tiny xsub\n\n### joint" in text and "| better" in text
    before = (tmp_path / "comparisons.csv").read_bytes()
    write_comparisons(plan, tmp_path, naming_of(plan.config), outputs)
    assert (tmp_path / "comparisons.csv").read_bytes() == before


def test_a_difference_that_rounds_to_nothing_has_no_sign() -> None:
    one, *_ = compare(
        [result("skeletonclr", "joint", 0.5), result("crossclr", "joint", 0.6)], "top1", config(), naming(config())
    )
    text = as_csv([replace(one, difference=-1e-6, low=-0.0)])
    assert ",0.0000,0.0000," in text and "-0.0000" not in text


def test_entries_that_are_one_row_are_compared_once(plan: Plan, tmp_path: Path) -> None:
    naming = replace(naming_of(plan.config), same={"ikem-3": "skeletonclr"})
    write_comparisons(plan, tmp_path, naming, [job.output for job in plan.evaluation_jobs()])
    assert (tmp_path / "comparisons.csv").read_text().count("\n") == 1, "a header"


def test_conditions_are_compared_by_themselves(plan: Plan, tmp_path: Path) -> None:
    names = np.array([f"clip {number}" for number in range(100)], object)
    labels = Labels(np.arange(10), np.arange(10, 100), names, np.arange(100) % 3, np.arange(3), True)
    right, wrong = np.eye(3)[labels.labels[10:]], np.eye(3)[(labels.labels[10:] + 1) % 3]
    for evaluation, keys, job in plan.cells():
        rows = Rows(keys | {"seed": int(keys["seed"]), "evaluation": evaluation}, labels)
        for condition in ("arm", "leg"):
            good = (keys["method"] == "ikem-3") == (condition == "arm")
            rows.add(Outcome(["joint"], right if good else wrong, condition=condition))
        rows.write(job.output)
    write_comparisons(plan, tmp_path, naming_of(plan.config), [job.output for job in plan.evaluation_jobs()])
    with (tmp_path / "comparisons.csv").open() as stream:
        lines = [line for line in csv.DictReader(stream) if line["metric"] == "top1" and line["against"] == "baseline"]
    assert [(line["condition"], line["difference"]) for line in lines] == [("arm", "100.0000"), ("leg", "-100.0000")]


def test_results_of_other_clips_are_refused(plan: Plan, tmp_path: Path) -> None:
    outputs = [job.output for job in plan.evaluation_jobs()]
    labels = Labels(np.arange(1), np.arange(1, 6), np.array([*"abcdef"], object), np.arange(6) % 3, np.arange(3), True)
    keys = {"dataset": "tiny", "protocol": "xsub", "method": "ikem-3", "seed": 2, "evaluation": "linear"}
    rows = Rows(keys, labels)
    rows.add(Outcome(["joint"], np.eye(3)[labels.labels[labels.test]]))
    rows.write(outputs[-1])
    with pytest.raises(InputError, match="is of other clips"):
        write_comparisons(plan, tmp_path, naming_of(plan.config), outputs)


def test_results_without_scores_are_left_out(plan: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outputs = [job.output for job in plan.evaluation_jobs()]
    scores_path(outputs[0]).unlink()
    write_comparisons(plan, tmp_path, naming_of(plan.config), outputs)
    assert "1 results are not compared, no scores were kept with them: linear tiny xsub 0 skeletonclr" in caplog.text
