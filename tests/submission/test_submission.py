"""Submissions: packed from real results, recomputed, altered in every way that should be found."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import ROOT
from ikem.errors import InputError
from ikem.evaluations.metrics import classification
from ikem.evaluations.scores import read_scores
from ikem.files import digest_of
from ikem.submission import leaderboard
from ikem.submission.archive import CLAIM, PLAN
from ikem.submission.check import Verdict, check
from ikem.submission.leaderboard import write_leaderboard
from ikem.submission.pack import pack
from ikem.submission.show import show_verdict
from ikem.training.checkpoint import load_tensors, save_tensors
from job_support import Workshop, write_config

METHODS = ["skeletonclr", "ikem-3"]


@pytest.fixture(scope="module")
def packed(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("submission") / "mine.zip"
    pack(workshop.folder / "results" / "plan.json", METHODS, path, "Mine", "A. Author", "https://example.org/code")
    return path


def altered(source: Path, target: Path, changes: dict[str, Callable[[bytes], bytes | None]]) -> Path:
    """A copy in which members are changed, or left out where the change gives None."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content: bytes | None = old.read(name)
            for part, change in changes.items():
                content = change(content) if part in name and content is not None else content
            if content is not None:
                new.writestr(name, content)
    return target


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new)


def claimed(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Callable[[bytes], bytes]:
    def changed(content: bytes) -> bytes:
        claim = json.loads(content)
        return json.dumps(claim | {"rows": change(claim["rows"])}).encode()

    return changed


def recorded(key: str, value: object) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps(json.loads(content) | {key: value}).encode()


def figures(verdict: Verdict) -> dict[bool | None, int]:
    found: dict[bool | None, int] = {True: 0, False: 0, None: 0}
    for figure in verdict.figures:
        found[None if figure.recomputed is None else figure.agrees] += 1
    return found


def test_every_figure_is_recomputed(packed: Path, workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = check(packed)
    assert verdict.accepted and not verdict.problems
    assert {row.method for row in verdict.claim.rows} == set(METHODS)
    found = figures(verdict)
    assert found[True] == 3 * len(verdict.claim.rows) and found[False] == 0 and found[None] > 0
    job = next(job for name, keys, job in workshop.plan.cells("linear") if keys["method"] == "ikem-3")
    scores = read_scores(job.output)
    expected = classification(scores.scores["joint+motion+bone"], scores.labels)["top1"]
    fused = [each for each in verdict.figures if each.row.method == "ikem-3" and each.row.evaluation == "linear"]
    assert expected in [each.recomputed for each in fused if each.metric == "top1"]
    show_verdict(verdict)
    shown = capsys.readouterr().out
    assert "Accepted" in shown and f"{expected:.4f}" in shown


def test_the_same_results_give_the_same_bytes(packed: Path, workshop: Workshop, tmp_path: Path) -> None:
    pack(
        workshop.folder / "results" / "plan.json",
        METHODS,
        tmp_path / "again.zip",
        "Mine",
        "A. Author",
        "https://example.org/code",
    )
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_an_altered_figure_is_found(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def better(content: bytes) -> bytes:
        claim = json.loads(content)
        claim["rows"][0]["metrics"]["mean_class_accuracy"] += 0.01
        return json.dumps(claim).encode()

    verdict = check(altered(packed, tmp_path / "better.zip", {CLAIM: better}))
    assert not verdict.accepted and figures(verdict)[False] == 1
    show_verdict(verdict)
    shown = capsys.readouterr().out
    assert "differs" in shown and "Not accepted" in shown


def test_exchanged_scores_are_found(packed: Path, tmp_path: Path) -> None:
    """Scores that fit the claim, in a file that is whole, but is not the one that the job wrote."""

    def right(content: bytes) -> bytes:
        path = tmp_path / "scores.safetensors"
        path.write_bytes(content)
        tensors, about = load_tensors(path)
        for name in tensors:
            if name.startswith("scores/"):
                tensors[name] = torch.nn.functional.one_hot(tensors["labels"], len(tensors["classes"])).half() - 1
        save_tensors(path, tensors, about)
        return path.read_bytes()

    verdict = check(altered(packed, tmp_path / "other.zip", {"linear.scores.safetensors": right}))
    assert any("linear.scores.safetensors is not the file that its run.json records" in one for one in verdict.problems)
    assert not verdict.accepted


def test_other_settings_are_found(packed: Path, tmp_path: Path) -> None:
    def longer(content: bytes) -> bytes:
        plan = json.loads(content)
        plan["config"]["recipes"]["tiny"]["schedule"]["learning_rate"] = 0.02
        return json.dumps(plan).encode()

    verdict = check(altered(packed, tmp_path / "longer.zip", {PLAN: longer}))
    stale = [problem for problem in verdict.problems if "under other settings than the config asks for" in problem]
    assert any(problem.startswith("momentum_contrast") for problem in stale)
    assert not any(problem.startswith("prepare") for problem in stale)


def test_options_that_are_newer_than_a_submission_are_no_difference(packed: Path, tmp_path: Path) -> None:
    """As a version would have written it that did not have `drop_last`; another value, or a config with it, is one."""

    def older(submission: Path, faster: bool = False, asked: bool = False) -> Path:
        """Without the option in records and, unless `asked`, config, which has another rate if it is `faster`."""
        digests: dict[str, str] = {}
        with zipfile.ZipFile(packed) as source, zipfile.ZipFile(submission, "w") as target:
            records = {name: json.loads(source.read(name)) for name in source.namelist() if name.endswith(".run.json")}
            for record in records.values():
                record["settings"].pop("drop_last", None)
            changed = True
            while changed:
                changed = False
                for record in records.values():
                    upstream = record["settings"].get("upstream", {})
                    upstream |= {name: digests.get(value, value) for name, value in upstream.items()}
                    new = digest_of(record["settings"])
                    if new != record["digest"]:
                        digests[record["digest"]], record["digest"], changed = new, new, True
            for name in source.namelist():
                content = json.dumps(records[name]).encode() if name in records else source.read(name)
                if name == PLAN:
                    plan = json.loads(content)
                    for recipe in [] if asked else plan["config"]["recipes"].values():
                        recipe.pop("drop_last")
                    plan["config"]["recipes"]["tiny"]["schedule"]["learning_rate"] *= 2 if faster else 1
                    content = json.dumps(plan).encode()
                target.writestr(name, content)
        return submission

    assert not check(older(tmp_path / "older.zip")).problems
    for name, change in (("faster", {"faster": True}), ("asked", {"asked": True})):
        problems = check(older(tmp_path / f"{name}.zip", **change)).problems
        assert any("under other settings" in problem for problem in problems), name


@pytest.mark.parametrize(
    ("part", "change", "problem"),
    [
        ("prepared/position.npy.run.json", lambda content: None, "lacks results/tiny/prepared/position.npy.run.json"),
        ("embeddings.safetensors.run.json", lambda content: b"[]", "its run.json is not in form"),
        ("split", replaced(b'"outputs": {', b'"outputs": {"x": "0", '), "its input split is not"),
        (CLAIM, replaced(b'"seed": 0', b'"seed": 7'), "the config does not ask for it"),
        (CLAIM, replaced(b'"streams": "joint"', b'"streams": "bone"'), "there are no scores of it"),
        (CLAIM, claimed(lambda rows: rows + rows[:1]), "the claim is not what linear.json says"),
        (
            CLAIM,
            claimed(lambda rows: [row for row in rows if (row["method"], row["streams"]) != ("ikem-3", "joint")]),
            "the claim is not what linear.json says",
        ),
        (CLAIM, claimed(lambda rows: [rows[0] | {"complete": not rows[0]["complete"]}, *rows[1:]]), "is not what"),
        ("linear.json.run.json", recorded("outputs", []), "linear.json is not the file that its run.json records"),
        ("linear.json.run.json", recorded("outputs", None), "its run.json is not in form"),
        ("linear.json.run.json", recorded("inputs", {}), "its input embeddings is not"),
    ],
)
def test_broken_records_are_found(
    part: str, change: Callable[[bytes], bytes | None], problem: str, packed: Path, tmp_path: Path
) -> None:
    verdict = check(altered(packed, tmp_path / "broken.zip", {part: change}))
    assert not verdict.accepted and any(problem in one for one in verdict.problems), verdict.problems


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be opened as a zip"),
        (b"PK\x03\x04" + bytes(100), "cannot be opened as a zip"),
        (None, "is missing"),
    ],
)
def test_what_is_no_submission(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        check(path)


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        (CLAIM, None, f"lacks {CLAIM}"),
        (CLAIM, b"{}", "title: Field required"),
        (CLAIM, b"[" * 100_000, "not in form"),
        (CLAIM, b'{"format": 2, "title": "T", "authors": "A"}', "format: Input should be 1"),
        (PLAN, None, f"lacks {PLAN}"),
        (PLAN, b"[]", f"{PLAN} is not in form"),
        (PLAN, b'{"config": {"seeds": 3}}', "seeds"),
        ("linear.scores.safetensors", b"x", r"broken\.zip: results/.*linear\.scores\.safetensors: cannot be read"),
        ("linear.json", None, "lacks results/"),
        ("linear.scores.safetensors", None, "lacks results/"),
    ],
)
def test_members_that_are_broken(
    member: str, content: bytes | None, message: str, packed: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        check(altered(packed, tmp_path / "broken.zip", {member: lambda _: content}))


def test_cut_archives_are_refused(packed: Path, tmp_path: Path) -> None:
    content = packed.read_bytes()
    for share in np.linspace(0.05, 0.95, 7):
        (tmp_path / "cut.zip").write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError):
            check(tmp_path / "cut.zip")


def test_flipped_bits_are_found(packed: Path, tmp_path: Path) -> None:
    """Of what is looked at; nothing ends in another error."""
    generator, content = np.random.default_rng(0), packed.read_bytes()
    accepted = 0
    for position in generator.integers(0, len(content), 60):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(generator.integers(0, 8))
        (tmp_path / "flipped.zip").write_bytes(bytes(flipped))
        try:
            accepted += check(tmp_path / "flipped.zip").accepted
        except InputError:
            continue
    assert accepted <= 6  # a date, or a byte of the zip that repeats another


def test_what_steers_a_terminal_is_not_printed(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def colored(content: bytes) -> bytes:
        claim = json.loads(content)
        claim["rows"].append(claim["rows"][0] | {"dataset": "\x1b[2J"})
        return json.dumps(claim | {"title": "\x1b[31mMine"}).encode()

    show_verdict(check(altered(packed, tmp_path / "colored.zip", {CLAIM: colored})))
    shown = capsys.readouterr().out
    assert "Mine" in shown and "the config does not ask for it" in shown and "\x1b" not in shown


@pytest.mark.parametrize(("title", "authors"), [("", "A"), ("T", ""), ("T" * 201, "A")])
def test_titles_that_no_leaderboard_shows(title: str, authors: str, workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must have 1 to 200 characters"):
        pack(workshop.folder / "results" / "plan.json", METHODS, tmp_path / "x.zip", title, authors)
    assert not (tmp_path / "x.zip").exists()


def test_only_what_is_there_can_be_submitted(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="method 'ikem3' is not in the plan, did you mean 'ikem-3'"):
        pack(workshop.folder / "results" / "plan.json", ["ikem3"], tmp_path / "x.zip", "T", "A")
    with pytest.raises(InputError, match=r"evaluation 'knn' of skeletonclr is not in the plan.*; there are .*linear"):
        pack(workshop.folder / "results" / "plan.json", METHODS, tmp_path / "x.zip", "T", "A", evaluations=["knn"])
    assert not (tmp_path / "x.zip").exists()


def test_some_evaluations_can_be_submitted_alone(packed: Path, workshop: Workshop, tmp_path: Path) -> None:
    plan = workshop.folder / "results" / "plan.json"
    claim = pack(plan, METHODS, tmp_path / "x.zip", "T", "A", evaluations=["linear"])
    assert {row.evaluation for row in claim.rows} == {"linear"} < {row.evaluation for row in check(packed).claim.rows}
    assert check(tmp_path / "x.zip").accepted


def test_leaderboard(packed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "leaderboard"
    folder.mkdir()
    with pytest.raises(InputError, match="holds no submission"):
        write_leaderboard(folder, tmp_path / "page.md")
    (folder / "mine.zip").write_bytes(packed.read_bytes())
    assert write_leaderboard(folder, tmp_path / "page.md") == 1
    page = (tmp_path / "page.md").read_text()
    best = max(
        figure.recomputed or 0
        for figure in check(packed).figures
        if figure.metric == "top1" and figure.row.evaluation == "linear"
    )
    assert "## Linear evaluation: Tiny xsub" in page and f"{best:.2f}" in page
    assert "[Mine, A. Author](https://example.org/code)" in page
    blocks = [line for line in page.splitlines() if line.startswith("###")]
    assert blocks[:4] == [f"### {kind}, ST-GCN 2/8" for kind in ("Three streams", "Joint", "Motion", "Bone")], (
        "never in one ranking"
    )
    (folder / "again.zip").write_bytes(packed.read_bytes())
    with pytest.raises(InputError, match=r"mine\.zip: has the title and the authors of again\.zip"):
        write_leaderboard(folder, tmp_path / "page.md")
    (folder / "again.zip").unlink()
    altered(
        packed, folder / "other.zip", {CLAIM: lambda content: content.replace(b'"test_clips": ', b'"test_clips": 1')}
    )
    with pytest.raises(InputError, match=r"other\.zip: is not accepted"):
        write_leaderboard(folder, tmp_path / "page.md")


def test_other_test_clips_are_another_table(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of fewer clips a share may well be higher."""
    whole = check(packed)
    fewer = Verdict(
        whole.claim.model_copy(update={"title": "Cut"}),
        whole.naming,
        [replace(each, row=each.row.model_copy(update={"test_clips": 3, "complete": False})) for each in whole.figures],
        clips=dict.fromkeys(whole.clips, "another digest"),
    )
    for name in ("a.zip", "b.zip"):
        (tmp_path / name).touch()
    monkeypatch.setattr(leaderboard, "check", lambda path: fewer if path.name == "a.zip" else whole)
    write_leaderboard(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "†: not on the published number of clips" in page
    tables = {part.partition("\n")[0]: part for part in page.split("\n## ")[1:]}
    assert len(tables) == 2 * len({row.evaluation for row in whole.claim.rows})
    for title, table in tables.items():
        cut = "the 3 test clips of Cut, A. Author" in title.replace("[", "").replace("]", "")
        assert ("†" in table, table.count("| [Cut, A. Author]") > 0) == (cut, cut), title


def test_a_skeleton_of_ones_own_is_packed(workshop: Workshop, tmp_path: Path) -> None:
    """And no path that an archive names is opened."""
    for part in ("raw", "archives"):
        shutil.copytree(workshop.results / "tiny" / part, tmp_path / "results" / "tiny" / part)
    own = tmp_path / "mine.yaml"
    own.write_text((ROOT / "src" / "ikem" / "skeletons" / "ntu25.yaml").read_text().replace("ntu25", "mine"))
    block = {"dataset": "tiny", "protocols": ["xsub"], "methods": ["random"], "evaluations": ["knn-1"]}
    config = write_config(tmp_path, {"datasets": {"tiny": {"skeleton": str(own)}}, "benchmark": [block]})
    workshop.warm.ask({"run": str(config)})
    path = tmp_path / "own.zip"
    pack(tmp_path / "results" / "plan.json", ["random"], path, "Mine", "A. Author")
    own.write_text("another one")
    assert check(path).accepted
    without = altered(path, tmp_path / "without.zip", {"skeletons.json": lambda content: None})
    with pytest.raises(InputError, match=r"the skeleton '.*mine\.yaml' is not there"):
        check(without)
    other = altered(path, tmp_path / "other.zip", {"skeletons.json": replaced(b'"plane":["', b'"plane":["head","')})
    with pytest.raises(InputError, match=r"skeletons\.json: plane must list 3 different joints"):
        check(other)


def test_the_page_of_the_repository_shows_what_is_in_its_folder(tmp_path: Path) -> None:
    """Submissions that were accepted stay so: what changes the settings of a config must still read old ones."""
    write_leaderboard(ROOT / "leaderboard", tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert page == (ROOT / "leaderboard" / "README.md").read_text()
    for block in page.split("\n### "):
        rows = [line for line in block.splitlines() if line.startswith("| ")]
        assert len(rows) == len(set(rows)), block
