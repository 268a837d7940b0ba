"""The library of published values: no duplicates, every value with a source, known anchors."""

import csv
import re
from importlib import resources

import pytest

from ikem.report.citations import all_sources
from ikem.report.labels import Naming
from ikem.report.literature import Published, published_results, published_value


def one(method: str, streams: str, dataset: str, protocol: str, evaluation: str = "linear") -> Published:
    wanted = (method, streams, dataset, protocol, evaluation)
    found = [item for item in published_results() if key(item) == wanted]
    assert len(found) == 1, wanted
    return found[0]


def key(item: Published) -> tuple[str, ...]:
    return item.method, item.streams, item.dataset, item.protocol, item.evaluation


def test_each_value_is_there_once_and_has_a_source() -> None:
    items = published_results()
    assert len(items) == 609
    assert len({key(item) for item in items}) == len(items)
    assert all(0 < float(item.top1) < 100 and item.source and item.work.title for item in items)
    assert {item.dataset for item in items} == {"ntu60", "ntu120", "pkummd1", "pkummd2", "nwucla"}
    assert not any("IKEM" in item.method.upper() for item in items)


@pytest.mark.parametrize("name", ["published_methods.csv", "published_works.csv"])
def test_every_method_and_work_is_used(name: str) -> None:
    """One that no value belongs to is a slip of its name."""
    files = resources.files("ikem.report")
    tables = {each: list(csv.DictReader(files.joinpath(each).read_text().splitlines()))
              for each in ("published_results.csv", "published_methods.csv", name)}  # fmt: skip
    column = next(iter(tables[name][0]))
    names = [line[column] for line in tables[name]]
    users = tables["published_results.csv" if column == "method" else "published_methods.csv"]
    assert len(set(names)) == len(names)
    assert set(names) == {line[column] for line in users}


@pytest.mark.parametrize(
    ("cell", "top1"),
    [
        (("SkeletonCLR", "joint", "ntu60", "xsub"), "68.3"),
        (("CrosSCLR", "joint+motion+bone", "ntu60", "xview"), "83.4"),
        (("AimCLR", "joint+motion+bone", "pkummd1", "xsub"), "87.8"),
        (("ISC", "joint", "ntu60", "xview"), "85.2"),
        (("PSTL", "joint", "ntu120", "xsub"), "66.2"),
        (("MAMP", "joint", "ntu60", "xsub", "finetune"), "93.1"),
        (("SCD-Net (repository log)", "joint", "ntu60", "xsub"), "86.456"),
    ],
)
def test_anchors(cell: tuple[str, ...], top1: str) -> None:
    assert one(*cell).top1 == top1


def test_anchors_of_nwucla() -> None:
    values = sorted(float(item.top1) for item in published_results() if item.dataset == "nwucla")
    assert (values[0], values[-1], len(values)) == (74.3, 92.9, 8)


def test_what_is_known_of_encoders_and_works() -> None:
    aimclr = one("AimCLR", "joint", "ntu60", "xsub")
    assert (aimclr.encoder, aimclr.width, aimclr.frames, aimclr.selection) == (
        "ST-GCN", "16/256", "50", "best test epoch",
    )  # fmt: skip
    assert (aimclr.work.arxiv, aimclr.work.year, aimclr.code, aimclr.licence) == (
        "2112.03590", 2022, "github.com/Levigty/AimCLR", "MIT",
    )  # fmt: skip
    assert one("HYSP", "joint", "ntu60", "xsub").width == "64/1024"
    assert one("ActCLR (log, Dec 2024 code)", "joint", "ntu60", "xview").selection == "last epoch"
    for item in published_results():
        assert re.fullmatch(r"(\d{4}\.\d{4,5})?", item.work.arxiv), item.work
        assert re.fullmatch(r"(10\.\d{4,5}/\S+)?", item.work.doi), item.work
        assert item.work.year == 0 or 2010 < item.work.year < 2100
        if item.work.arxiv and item.work.year:  # a preprint comes before its paper, or in the same year
            assert 2000 + int(item.work.arxiv[:2]) <= item.work.year + 1, item.work


def test_an_id_belongs_to_one_work() -> None:
    """Two lines with one id, or a work that a method or an encoder cites otherwise, are a slip."""
    for name in ("arxiv", "doi"):
        keys: dict[str, set[str]] = {}
        for source in all_sources():
            keys.setdefault(getattr(source, name), set()).add(source.key)
        assert not {found: each for found, each in keys.items() if found and len(each) > 1}
    works = {item.work.key: item.work for item in published_results()}
    for source in all_sources():
        if source.key in works:
            names = [re.sub(r",? et al\.$", "", each.authors).split(", ") for each in (source, works[source.key])]
            fewer, more = sorted(names, key=len)
            assert more[: len(fewer)] == fewer, source
            assert works[source.key].arxiv == source.arxiv, source


def test_occlusion_values_are_of_the_first_version_of_ra_gcn() -> None:
    """85.9 is version 1.0 there; the second version has 87.3 (README of RA-GCNv2, section 5.1)."""
    work = one("3s RA-GCN supervised", "joint", "ntu60", "xsub", "occlusion: none").work
    assert (work.venue, work.year, work.arxiv) == ("ICIP", 2019, "1905.06774")


def test_two_papers_of_one_name_are_two_methods() -> None:
    wu, yan = (one(f"SkeletonMAE ({name} et al.)", "joint", "ntu60", "xsub", "finetune") for name in ("Wu", "Yan"))
    assert (wu.work.arxiv, yan.work.arxiv) == ("2209.02399", "2307.08476")
    assert "86.6" in wu.doubt


def test_clips_seen_in_pretraining_are_another_protocol() -> None:
    assert not any(item.protocol == "xview" and item.dataset == "ntu60" and item.method.startswith("SOfA")
                   for item in published_results())  # fmt: skip
    naming = Naming(published_as={"m": "SOfA"})
    assert published_value(naming, "m", "joint", "ntu60", "xview", "linear") is None
