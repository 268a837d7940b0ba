"""Tables: known means and deviations, empty cells with their reason, published values where they belong."""

import csv
import dataclasses
import io
import re
import statistics
from collections.abc import Iterable
from pathlib import Path

import pytest

from config_support import tiny
from ikem.report.costs import Cost
from ikem.report.labels import Naming, naming_of, streams_title
from ikem.report.layout import lay_out
from ikem.report.literature import published_value
from ikem.report.results import Missing, Row, read_results, write_results
from ikem.report.summary import Cell, Figure, summarize, widest
from ikem.report.table_parts import Section, Table
from ikem.report.tables import as_csv, as_markdown, main_grid, print_main_table, read_tables, write_tables
from ikem.settings.loading import build_config
from report_samples import METHODS, NAMING, SIX, THREE, benchmark, row


def table_of(rows: Iterable[Row], missing: Iterable[Missing] = (), naming: Naming = NAMING) -> Table:
    return lay_out(list(rows), list(missing), "linear", naming)


def grid_of(section: Section) -> dict[str, dict[str, str]]:
    """Text and marks of the first line of each method by the title of the column."""
    return {
        line[0].text: {
            title: ("", "*", "_")[entry.rank] + entry.text + entry.marks
            for title, entry in zip(section.header, line, strict=True)
        }
        for line in reversed(section.lines)
    }


def test_mean_and_deviation_are_those_of_a_sample() -> None:
    figure = Figure.of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert (figure.mean, figure.deviation) == (5.0, pytest.approx((32 / 7) ** 0.5))
    assert str(figure) == "5.00 ± 2.14"
    assert str(Figure.of([70.0, 71.0])) == "70.50 ± 0.71"


def test_one_seed_has_no_deviation() -> None:
    table = table_of([row(top1=61.236)])
    assert grid_of(table.sections[0])["IKEM-6"]["demo xsub"] == "61.24"
    assert "±" not in as_markdown(table)
    assert "1 seed, so no deviation" in table.caption


def test_seeds_and_label_subsets_are_pooled() -> None:
    values = {(0, 0): 50.0, (0, 1): 52.0, (1, 0): 54.0, (1, 1): 60.0}
    rows = [row(seed=seed, label_subset=subset, top1=top1) for (seed, subset), top1 in values.items()]
    summary = summarize(rows, [], "linear")[Cell("ikem-6", "joint", "demo", "xsub")]
    assert summary.top1 == Figure(54.0, statistics.stdev(values.values()))
    assert (summary.seeds, summary.label_subsets, summary.runs) == (2, 2, values)
    assert "over 2 seeds and 2 label subsets" in table_of(rows).caption


def test_best_epoch_stands_under_its_own_name_only() -> None:
    table = table_of([row(top1=50.0, best_epoch_top1=77.77)])
    assert "77.77" not in as_markdown(table)
    (line,) = csv.DictReader(io.StringIO(as_csv(table, NAMING)))
    assert (line["demo/xsub top1"], line["demo/xsub best_epoch_top1"]) == ("50.00", "77.77")


def test_captions_tell_uneven_seeds() -> None:
    rows = [row(seed=seed) for seed in range(3)] + [row(protocol="xview")]
    assert "over 1 to 3 seeds" in table_of(rows).caption


def test_missing_cells_are_empty_and_say_why() -> None:
    rows = [row(streams=streams, protocol="xsub") for streams in ("joint", SIX)]
    gaps = [Missing("demo", "xview", "ikem-6", "linear", seed, "out of memory") for seed in (1, 0)]
    table = table_of(rows, [*gaps, Missing("demo", "xsub", "random", "linear", 0, "not run")])
    assert table.footnotes == (
        "IKEM-6, demo xview, seeds 0, 1: out of memory",
        "Random encoder, demo xsub, seed 0: not run",
    )
    grid = grid_of(table.sections[0])
    assert grid["IKEM-6"] == {
        "Method": "IKEM-6",
        "Streams": "all 6 modalities",
        "demo xsub": "50.00",
        "demo xview": "[1]",
    }
    assert grid["Random encoder"] == {"Method": "Random encoder", "Streams": "–", "demo xsub": "[2]", "demo xview": ""}
    assert [section.title for section in table.sections] == ["All splits", "demo xsub"], "nothing to say of xview"
    markdown = as_markdown(table)
    assert "- \\[1\\] IKEM-6, demo xview, seeds 0, 1: out of memory" in markdown
    lines = {line["streams"]: line for line in csv.DictReader(io.StringIO(as_csv(table, NAMING)))}
    assert lines[SIX]["demo/xview top1"] == ""
    assert lines[SIX]["demo/xview note"] == "seeds 0, 1: out of memory"


def test_a_failed_seed_is_reported_beside_the_mean_of_the_others() -> None:
    rows = [row(seed=0, top1=50.0), row(seed=1, top1=52.0)]
    table = table_of(rows, [Missing("demo", "xsub", "ikem-6", "linear", 2, "killed")])
    assert grid_of(table.sections[0])["IKEM-6"]["demo xsub"] == "51.00 ± 1.41[1]"


def test_only_missing_cells() -> None:
    table = table_of([], [Missing("demo", "xsub", "ikem-6", "linear", 0, "killed")])
    assert table.caption == "No figures yet."
    assert grid_of(table.sections[0])["IKEM-6"]["demo xsub"] == "[1]"


def test_incomplete_data_are_marked() -> None:
    table = table_of([row(complete=False, train_clips=99, test_clips=44), row(protocol="xview")])
    grid = grid_of(table.sections[0])["IKEM-6"]
    assert (grid["demo xsub"], grid["demo xview"]) == ("50.00†", "50.00")
    assert table.legend == {"†": "Not the published number of clips (here train / test): demo xsub 99 / 44."}
    assert "† Not the published" in as_markdown(table)


def test_rejected_clips_are_marked_and_counted() -> None:
    table = table_of([row(rejected_clips=7, complete=False), row(protocol="xview", rejected_clips=0)])
    grid = grid_of(table.sections[0])["IKEM-6"]
    assert (grid["demo xsub"], grid["demo xview"]) == ("50.00†‡", "50.00")
    assert table.legend["‡"] == "Clips that could not be read are left out: demo 7. See data.md."
    assert "‡ Clips that could not be read" in as_markdown(table)


def test_sources_are_cited_once_below_a_table() -> None:
    naming = Naming(
        sources={"a": "A: Some 2020\nE: Encoder 2018", "b": "E: Encoder 2018"}, evaluation_sources={"linear": "L: 2016"}
    )
    markdown = as_markdown(table_of([row(method="a"), row(method="b")], naming=naming))
    assert markdown.endswith("## Sources\n\n- A: Some 2020\n- E: Encoder 2018\n- L: 2016\n")


def test_best_and_second_best_are_pretrained_methods() -> None:
    tops = {
        "random": 99.0,
        "skeletonclr": 40.0,
        "crossclr-6": 30.0,
        "ikem-3": 60.004,
        "ikem-6": 60.0,
        "supervised": 98.0,
    }
    rows = [row(method=name, streams=SIX, top1=top, top5=100.0) for name, top in tops.items()]
    grid = grid_of(table_of(rows).sections[0])
    marked = {name: line["demo xsub"][0] for name, line in grid.items() if line["demo xsub"][0] in "*_"}
    assert marked == {"IKEM-3": "*", "IKEM-6": "*", "SkeletonCLR": "_"}, "equal as shown, both are best"


def test_one_pretrained_method_alone_is_not_the_best() -> None:
    """Nor are its own modalities ranked against one another, though another method has figures in another column."""
    tops = {"joint": 50.0, "motion": 60.0, "bone": 40.0}
    alone = [row(streams=streams, top1=top) for streams, top in tops.items()]
    text = as_markdown(table_of([*alone, row(method="random")]))
    assert "60.00" in text and "**" not in text and "<u>" not in text
    overview = table_of([*alone, *(row(method=name, protocol="xview") for name in ("ikem-6", "student"))]).sections[0]
    assert {(line[2].rank, line[3].rank) for line in overview.lines if line[1].text != "joint"} == {(0, 0)}
    assert {line[3].rank for line in overview.lines if line[1].text == "joint"} == {1}


def test_blocks_keep_like_with_like() -> None:
    """A fusion of six is never in one block with a single stream, nor one encoder with another; nor is one modality
    ranked against another.
    """
    rows = [
        row(method=method, streams=streams, top1=top)
        for method, tops in {"skeletonclr": (50.0, 41.0, 60.0), "ikem-3": (45.0, 44.0, 70.0)}.items()
        for streams, top in zip(("joint", "motion", THREE), tops, strict=True)
    ] + [row(method="ikem-6", streams=SIX, top1=99.0, top5=99.5), row(method="student", streams="bone", top1=90.0)]
    naming = dataclasses.replace(NAMING, encoders=dict.fromkeys(METHODS, "ST-GCN 16/256") | {"student": "GRU 9"})
    overview = table_of(rows, naming=naming).sections[0]
    assert [block.title for block in overview.blocks] == [
        "Six streams, ST-GCN 16/256", "Three streams, ST-GCN 16/256", "Single stream, ST-GCN 16/256",
        "Single stream, GRU 9",
    ]  # fmt: skip
    assert overview.note.endswith(" 16/256: channels of the first blocks / dimension of the embedding.")
    single = overview.blocks[2]
    assert [(line[0].text, line[1].text, line[2].rank) for line in single.lines] == [
        ("SkeletonCLR", "joint", 1), ("IKEM-3", "joint", 2), ("SkeletonCLR", "motion", 2), ("IKEM-3", "motion", 1),
    ]  # fmt: skip
    assert [line[2].rank for block in (*overview.blocks[:2], overview.blocks[3]) for line in block.lines] == [
        0,
        2,
        1,
        0,
    ]


def test_gain_is_over_the_baseline_with_the_same_streams() -> None:
    tops = {("skeletonclr", "joint"): 40.0, ("ikem-6", "joint"): 42.5, ("ikem-6", SIX): 60.0, ("random", "joint"): 30.0,
            ("student", "joint"): 39.999}  # fmt: skip
    rows = [row(method=method, streams=streams, top1=top) for (method, streams), top in tops.items()]
    naming = dataclasses.replace(NAMING, baselines=("skeletonclr",))
    table = table_of(rows, naming=naming)
    details = table.sections[1]
    column = details.header.index("Gain")
    gains = {(line[0].text, line[1].text): line[column].text for line in details.lines}
    assert gains == {("SkeletonCLR", "joint"): "", ("IKEM-6", "joint"): "+2.50", ("IKEM-6", "all 6 modalities"): "",
                     ("Random encoder", "joint"): "-10.00", ("Student of IKEM-6", "joint"): "+0.00"}  # fmt: skip
    assert "Gain: over SkeletonCLR with the same streams and seeds." in details.note
    (line,) = (line for line in csv.DictReader(io.StringIO(as_csv(table, naming))) if line["method"] == "random")
    assert line["demo/xsub gain"] == "-10.00"
    assert "Gain" not in table_of(rows).sections[1].header, "there is no baseline"


def test_gain_is_of_the_seeds_that_both_have() -> None:
    """A method that lacks a seed gains or loses nothing by how easy that seed is."""
    tops = {("skeletonclr", 0): 60.0, ("skeletonclr", 1): 40.0, ("skeletonclr", 2): 41.0, ("ikem-6", 1): 43.0,
            ("ikem-6", 2): 45.0, ("random", 3): 30.0}  # fmt: skip
    rows = [row(method=method, seed=seed, top1=top) for (method, seed), top in tops.items()]
    details = table_of(rows, naming=dataclasses.replace(NAMING, baselines=("skeletonclr",))).sections[1]
    gains = {line[0].text: line[details.header.index("Gain")].text for line in details.lines}
    assert gains == {"SkeletonCLR": "", "IKEM-6": "+3.50", "Random encoder": ""}


def test_a_split_shows_interval_clips_and_cost() -> None:
    cell = Cell("ikem-6", SIX, "demo", "xsub")
    costs = {cell: Cost(5_010_000, 3.1234, 4980.0, "H100")}
    details = lay_out([row(streams=SIX, test_clips=100, rejected_clips=1)], [], "linear", NAMING, costs).sections[1]
    assert details.header == (
        "Method", "Streams", "Top-1", "95 % interval", "Parameters", "GFLOPs", "Pretraining time",
    )  # fmt: skip
    assert [entry.text for entry in details.lines[0][3:]] == ["40.4 to 59.6", "5.01 M", "3.12", "1 h 23 min"]
    assert details.note == "240 training clips, 100 test clips, 10 classes; 1 clip rejected. Trained on: H100."


def test_orders_follow_the_naming() -> None:
    rows, _ = benchmark(evaluations=("linear",))
    table = table_of([*rows, row(method="another"), row(dataset="zoo")])
    assert [block.title for block in table.sections[0].blocks] == ["Six streams", "Three streams", "Single stream"]
    titles = list(dict.fromkeys(line[0].text for line in table.sections[0].blocks[2].lines if line[1].text == "joint"))
    assert titles == [*NAMING.methods.values(), "another"]
    assert table.splits[:2] == (("nwucla", "xview"), ("nwucla", "xsub"))
    assert table.splits[-2:] == (("demo", "xsub"), ("zoo", "xsub"))


def test_published_values_stand_beside_the_same_cells_only() -> None:
    rows = [
        row(dataset="ntu60", protocol=protocol, method=method, streams=streams)
        for protocol in ("xsub", "xview")
        for method, streams in (
            ("crossclr-3", THREE),
            ("crossclr-6", SIX),
            ("ikem-6", SIX),
            ("skeletonclr-joint", "joint"),
        )
    ]
    overview, xsub, xview, others = table_of(rows).sections
    assert "Published" not in overview.header
    for section, values in ((xsub, ("77.8", "68.3")), (xview, ("83.4", "76.4"))):
        column = section.header.index("Published")
        shown = {line[0].text: (line[column].text, line[column].cite) for line in section.lines}
        assert shown == {
            "CrosSCLR-3": (f"{values[0]} (not stated)", "li2021human"), "CrosSCLR-6": ("", ""), "IKEM-6": ("", ""),
            "SkeletonCLR, joint": (f"{values[1]} (not stated)", "li2021human"),
        }  # fmt: skip
    assert others.title == "Published by others"
    assert others.blocks[0].title == "Single stream"
    listed = {(line[0].text, line[1].text): line for line in others.lines}
    aimclr = listed["AimCLR", "joint"]
    assert aimclr[0].cite == "guo2022contrastive"
    assert [entry.text for entry in aimclr[2:]] == [
        "ST-GCN 16/256", "74.3", "79.7", "best test epoch", "Awesome-SSL-skeleton list",
    ]  # fmt: skip
    assert ("CrosSCLR", THREE) not in listed, "it stands beside ours"
    assert ("SkeletonCLR", THREE) in listed, "ours is the joint modality alone"
    assert all(line[-1].text for line in others.lines)
    assert "not available to us" in others.note, "why IKEM's own figures are not there"


def test_made_data_have_no_published_columns() -> None:
    rows = [row(dataset=dataset, method="crossclr-3", streams=THREE) for dataset in ("demo", "ntu60")]
    naming = Naming(published_as={"crossclr-3": "CrosSCLR"}, published_datasets={"ntu60": None})
    table = table_of(rows, naming=naming)
    assert [section.title for section in table.sections] == ["All splits", "demo xsub", "ntu60 xsub"]
    assert "published" not in as_markdown(table).lower()
    assert "published" not in as_csv(table, naming)


@pytest.mark.parametrize(
    ("evaluation", "method", "protocol", "value"),
    [
        ("semi-10", "AimCLR", "xview", "81.6"),
        ("semi-1", "AimCLR", "xsub", "54.8"),
        ("finetune", "CrosSCLR", "xsub", "86.2"),
    ],
)
def test_evaluations_have_their_published_names(evaluation: str, method: str, protocol: str, value: str) -> None:
    naming = Naming(published_as={"m": method})
    found = published_value(naming, "m", THREE, "ntu60", protocol, evaluation)
    assert found is not None
    assert (found.top1, bool(found.source)) == (value, True)


def test_naming_follows_the_config() -> None:
    config = build_config(
        {
            "datasets": {
                "mine": {
                    "title": "Mine", "format": "ntu", "skeleton": "ntu25",
                    "archives": {"skeletons": {"file": "a.zip"}},
                    "protocols": {"xview": {"column": "camera", "train": [2]},
                                  "xsub": {"column": "subject", "train": [1]}},
                    "class_names": ["sit", "stand"],
                }
            },
            "recipes": {"published": {}},
            "methods": {
                "two": {"kind": "crossclr", "title": "Two", "modalities": ["joint", "motion"],
                        "published_as": "CrosSCLR"},
                "floor": {"kind": "random_init", "modalities": ["joint"]},
            },
            "evaluations": {
                "near": {"kind": "knn", "k": 1},
                "few": {"kind": "finetune", "fraction": 0.1, "schedule": {"epochs": 1, "decay": {"epoch": None}}},
                "all": {"kind": "finetune"},
            },
            "benchmark": [{"dataset": "mine", "protocols": ["xsub"], "methods": ["two"], "evaluations": ["near"]}],
        }
    )  # fmt: skip
    naming = naming_of(config)
    assert (naming.method("two"), naming.method("floor"), naming.split("mine", "xsub")) == ("Two", "floor", "Mine xsub")
    assert naming.published_as["two"] == "CrosSCLR"
    assert "floor" in naming.unranked
    assert "two" not in naming.unranked
    assert naming.classes["mine"] == ("sit", "stand")
    assert naming.protocols["mine"] == ("xview", "xsub")
    assert [naming.published_evaluation(name) for name in ("near", "few", "all")] == ["knn-1", "semi-10%", "finetune"]
    assert "arXiv 2104.14466" in naming.sources["two"] and "arXiv 1801.07455" in naming.sources["two"]
    assert "arXiv 2104.14466" not in naming.sources["floor"]
    assert naming.sources_of(["two"], "near")[-1].startswith("Nearest neighbors")
    assert naming.sources["two"].splitlines()[0].endswith("[li2021human]")
    assert naming.encoders["two"] == "ST-GCN 16/256"
    assert naming.baselines == ("skeletonclr",), "the library says so"
    assert [naming.fraction(name) for name in ("near", "few", "all")] == [None, 0.1, 1.0]


def test_fractions_follow_names_without_a_config() -> None:
    assert [Naming().fraction(name) for name in ("semi-1", "semi-2.5", "finetune", "linear", "semi")] == [
        0.01, 0.025, 1.0, None, None,
    ]  # fmt: skip


def test_headline_is_the_widest_fusion() -> None:
    cells = [Cell("a", name, "d", "p") for name in ("motion", "joint", THREE, "joint+motion")]
    assert widest(cells) == {"a": THREE}
    assert widest(cells[:2]) == {"a": "joint"}
    assert [streams_title(name) for name in (SIX, THREE, "rotation_axis")] == [
        "all 6 modalities",
        THREE,
        "rotation axis",
    ]


def test_tables_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    rows, missing = benchmark()
    write_results(rows, missing, tmp_path / "results.csv")
    paths = write_tables(tmp_path / "results.csv", tmp_path / "a", NAMING)
    first = {path.relative_to(tmp_path / "a").as_posix(): path.read_bytes() for path in paths}
    write_results(rows[::-1], missing, tmp_path / "results.csv")
    paths = write_tables(tmp_path / "results.csv", tmp_path / "b", NAMING)
    second = {path.relative_to(tmp_path / "b").as_posix(): path.read_bytes() for path in paths}
    assert first == second
    tables = {f"{name}.{kind}" for name in NAMING.evaluations for kind in ("md", "csv", "tex", "html")}
    assert tables | {"all.tex"} < set(first)
    sections = {name for name in first if "/" in name}
    main, whole = first["linear.tex"].decode(), first["linear/all-splits.tex"].decode()
    assert main.count(" & joint & ") < whole.count(" & joint & "), "without single streams of methods that fuse them"
    assert set(first) == tables | {"all.tex"} | sections and all(name.endswith(".tex") for name in sections)


def test_markdown_is_a_table_and_escapes_what_it_shows() -> None:
    naming = Naming(methods={"ikem-6": "a|b <script>alert(1)</script> [x](javascript:y) *_`\x1b[31m&lt;"})
    markdown = as_markdown(table_of([row(streams=SIX), row(streams=SIX, protocol="xview")], naming=naming))
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    assert bars == [5, 5, 5, 5, 5, 5, 5, 5, 5]
    assert "<script" not in markdown
    assert "\x1b" not in markdown
    assert "\\[x\\](javascript:y) \\*\\_\\`" in markdown
    assert "&amp;lt;" in markdown
    assert len({len(line) for line in lines[:3]}) == 1, "columns are aligned"


def test_main_table_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, missing = benchmark((("demo", "xsub"), ("demo", "xview")), ("linear", "knn-1"), (0,))
    write_results(rows, missing, tmp_path / "results.csv")
    print_main_table(tmp_path / "results.csv", NAMING, {"tables": tmp_path / "tables", "report": "report.html"})
    printed = capsys.readouterr().out
    assert printed.startswith("Linear evaluation. Top-1")
    for title in NAMING.methods.values():
        assert f"\n  {title} " in printed
    assert "acceleration" not in printed
    assert re.search(r"\d\d\.\d\d\*", printed)
    assert "[1] Student of IKEM-6, demo xsub, seed 0: out of memory" in printed
    assert printed.endswith(f"tables  {tmp_path / 'tables'}\nreport  report.html\n")
    assert max(map(len, printed.splitlines())) <= 120


def test_main_table_has_methods_of_one_stream_whatever_their_title(tmp_path: Path) -> None:
    """SkeletonCLR with three streams, and another entry of the same title with one."""
    rows = [row(method="skeletonclr", streams=streams, top1=60) for streams in ("joint", "bone", "joint+bone")]
    rows.append(row(method="skeletonclr-joint", streams="joint", protocol="xview", top1=29))
    write_results(rows, [], tmp_path / "results.csv")
    printed = io.StringIO()
    naming = Naming(methods={"skeletonclr": "SkeletonCLR", "skeletonclr-joint": "SkeletonCLR"})
    print_main_table(tmp_path / "results.csv", naming, {}, stream=printed)
    lines = [line.split() for line in printed.getvalue().splitlines() if line.startswith("  SkeletonCLR")]
    assert [line[1] for line in lines] == ["joint+bone", "joint"]
    assert lines[1][-1].startswith("29")


def test_entries_of_one_method_with_other_modalities_are_one_row(tmp_path: Path) -> None:
    """SkeletonCLR with three streams in xsub and with one in xview; what both measure stands there once."""
    rows = [row(method="skeletonclr", streams=streams, top1=60) for streams in ("joint", "bone", "joint+bone")]
    rows += [row(method="skeletonclr-joint", streams="joint", top1=60)]
    rows += [row(method="skeletonclr-joint", streams="joint", protocol="xview", top1=29)]
    write_results(rows, [], tmp_path / "results.csv")
    naming = Naming(methods={"skeletonclr": "SkeletonCLR"}, same={"skeletonclr-joint": "skeletonclr"})
    (table,) = read_tables(tmp_path / "results.csv", naming)
    lines = [[entry.text for entry in line] for line in table.sections[0].lines]
    assert lines == [
        ["SkeletonCLR", "joint+bone", "60.00", ""],
        ["SkeletonCLR", "joint", "60.00", "29.00"],
        ["SkeletonCLR", "bone", "60.00", ""],
    ]
    printed = io.StringIO()
    print_main_table(tmp_path / "results.csv", naming, {}, stream=printed)
    streams = [line.split()[1] for line in printed.getvalue().splitlines() if line.startswith("  SkeletonCLR")]
    assert streams == ["joint+bone", "joint"], "of xview the single stream is all there is"


def test_the_main_grid_of_a_split_has_its_costs() -> None:
    """A gain that only the single streams have is no reason to show them."""
    rows = [row(method=method, streams="joint") for method in ("skeletonclr", "ikem-6")]
    rows += [row(streams="joint+bone", top1=70)]
    naming = dataclasses.replace(NAMING, baselines=("skeletonclr",))
    grid = main_grid(table_of(rows, naming=naming), section=1)
    assert "95 % interval" in grid and "Gain" in grid
    assert [line.split("|")[1:3] for line in grid.splitlines()[2:]] == [
        [" IKEM-6      ", " joint+bone "],
        [" SkeletonCLR ", " joint      "],
    ]


def test_what_one_entry_lacks_is_no_fault_of_what_another_has(tmp_path: Path) -> None:
    """The entry with both streams failed, the one with joint did not: only the fusion is missing."""
    rows = [row(method="both", streams=streams, protocol="xview") for streams in ("joint", "joint+bone")]
    rows.append(row(method="alone", streams="joint", top1=29))
    write_results(rows, [Missing("demo", "xsub", "both", "linear", 0, "killed")], tmp_path / "results.csv")
    (table,) = read_tables(tmp_path / "results.csv", Naming(same={"alone": "both"}))
    lines = {line[1].text: line[2].text + line[2].marks for line in table.sections[0].lines}
    assert lines == {"joint": "29.00", "joint+bone": "[1]"}


def test_which_entries_are_one_row() -> None:
    joint = {"recipe": "tiny", "modalities": ["joint"]}
    methods = {
        "skeletonclr-joint": {"kind": "skeletonclr", "title": "SkeletonCLR", **joint},
        "skeletonclr-named": {"kind": "skeletonclr", "title": "Mine", **joint},
        "random-joint": {"kind": "random_init", "title": "Random", **joint},
        "random-published": {"kind": "random_init", "title": "Random", "initialization": "published", **joint},
        "ikem-two": {"kind": "ikem", "title": "IKEM-3", "recipe": "tiny", "modalities": ["joint", "motion"]},
    }
    naming = naming_of(build_config(tiny() | {"methods": {**tiny()["methods"], **methods}}))
    assert naming.method("ikem-3") == "IKEM-3", "its encoders depend on which modalities there are"
    assert naming.same == {"skeletonclr-joint": "skeletonclr", "random-joint": "random"}


def test_wide_main_table_is_printed_split_by_split(tmp_path: Path) -> None:
    rows, missing = benchmark(evaluations=("linear",))
    write_results(rows, missing, tmp_path / "results.csv")
    stream = io.StringIO()
    print_main_table(tmp_path / "results.csv", NAMING, {}, stream=stream, width=100)
    assert stream.getvalue().count("Method") == 5
    assert max(map(len, stream.getvalue().splitlines())) <= 100


def test_main_table_on_a_terminal_without_unicode(tmp_path: Path) -> None:
    write_results([row(seed=seed, complete=False) for seed in (0, 1)], [], tmp_path / "results.csv")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_main_table(tmp_path / "results.csv", NAMING, {"tables": "t"}, stream=stream)
    assert b"50.00 +/- 0.00" in raw.getvalue()


def test_main_table_without_results(tmp_path: Path) -> None:
    write_results([], [], tmp_path / "results.csv")
    stream = io.StringIO()
    print_main_table(tmp_path / "results.csv", NAMING, {}, stream=stream)
    assert stream.getvalue() == "No results yet.\n"
    assert write_tables(tmp_path / "results.csv", tmp_path, NAMING) == []


def test_conditions_are_columns_in_their_order(tmp_path: Path) -> None:
    """A run that failed leaves all of them empty."""
    naming = Naming(datasets={"demo": "Demo"}, evaluations={"linear": "Occlusion"}, conditions=("none", "trunk", "arm"))
    rows = [row(condition=name, method="one", top1=value) for name, value in (("arm", 40.0), ("none", 60.0))]
    rows += [row(condition="arm", method="two", top1=50.0), row(condition="none", method="two", top1=30.0)]
    gap = Missing("demo", "xsub", "two", "linear", 1, "it failed")
    write_results(rows, [gap], tmp_path / "results.csv")
    assert sorted(read_results(tmp_path / "results.csv")[0], key=str) == sorted(rows, key=str)
    table = table_of(rows, [gap], naming)
    (section,) = table.sections
    assert section.header[2:] == ("Demo xsub, none", "Demo xsub, arm")
    grid = {line[0].text: [entry.text + entry.marks for entry in line[2:]] for line in section.lines}
    assert grid == {"one": ["60.00", "40.00"], "two": ["30.00[1]", "50.00[1]"]}
    assert [[entry.rank for entry in line[2:]] for line in section.lines] == [[1, 2], [2, 1]]
    line = next(csv.DictReader(io.StringIO(as_csv(table, naming))))
    assert (line["demo/xsub/none top1"], line["demo/xsub/arm top1"]) == ("60.00", "40.00")


def test_intervals_over_the_clips_are_in_the_tables(tmp_path: Path) -> None:
    """Wilson's interval of 60 of 120 clips; a mean over seeds counts as one run."""
    rows = [row(top1=value, seed=seed) for seed, value in enumerate((48.0, 52.0))]
    write_results(rows, [], tmp_path / "results.csv")
    write_tables(tmp_path / "results.csv", tmp_path, NAMING)
    assert "| 50.00 ± 2.83 |  41.2 to 58.8 |" in (tmp_path / "linear.md").read_text()
    (line,) = csv.DictReader((tmp_path / "linear.csv").open())
    assert (line["demo/xsub top1_low"], line["demo/xsub top1_high"]) == ("41.19", "58.81")
