import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks import archives, limits, options
from benchmarks.__main__ import main
from benchmarks.measure import Side, interleaved
from benchmarks.pair import TINY, Sizes, largest_difference, positions
from benchmarks.parts import PARTS
from benchmarks.parts_data import SKELETON
from benchmarks.plain.stgcn import PlainSTGCN
from benchmarks.table import COLUMNS
from torch.utils.flop_counter import FlopCounterMode

CPU = torch.device("cpu")
WANTED = ["part", "device", "size", "plain_s", "ours_s", "ratio", "max_abs_difference", "plain_peak_mib"]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def test_names():
    assert list(PARTS) == [
        *("decode", "prepare", "augment", "modalities", "exchange-losses", "distillation-losses", "encoder"),
        *("stage-1-step", "stage-2-step", "distillation-step", "linear-evaluation"),
    ]


@pytest.mark.parametrize("name", PARTS)
def test_both_sides_agree(name):
    pair = PARTS[name].build(TINY, CPU)
    assert pair.difference() <= 1e-4
    pair.plain(), pair.ours()
    assert pair.size


@pytest.mark.parametrize(("form", "written"), [("ntu", 336), ("pkummd", 6)])
def test_archives(tmp_path, form, written, monkeypatch):
    """Every step works on what the first one made; as many clips are found whatever the number of processes."""
    monkeypatch.setattr("ikem.data.decode._WORTH_PROCESSES", 0)
    made = {step: archives.measured(step, form, tmp_path, 300, 2) for step in archives.STEPS}
    assert all(seconds > 0 and peak > 10 for seconds, peak, _ in made.values())
    files, text, one, two = (count for *_, count in made.values())
    assert files == written and text > 1e6 and one == two
    assert one == (336 if form == "ntu" else sum(1 for _ in (tmp_path / "read-1/decoded/samples.csv").open()) - 1) > 0


@pytest.mark.parametrize("name", [name for name in options.OPTIONS if "compile" not in name])
def test_options_reach_every_parameter(name):
    some = options._encoders(TINY, CPU)
    options.OPTIONS[name](some)()
    chosen, other = (some.plain, some.ours) if name.startswith("plain") else (some.ours, some.plain)
    assert all(parameter.grad.isfinite().all() for model in chosen for parameter in model.parameters())
    assert all(parameter.grad is None for model in other for parameter in model.parameters())


def test_sides_take_turns():
    called = []
    times = interleaved(lambda: called.append("plain") or 2.0, lambda: called.append("ours") or 1.0, 0, fewest=2)
    assert times == [(2.0, 1.0), (2.0, 1.0)] and called == ["plain", "ours"] * 2


def test_a_side_that_fails_says_why():
    with pytest.raises(RuntimeError, match="KeyError: 'nothing'"), Side("nothing", "ours", TINY, CPU, 1):
        pass


def test_two_bodies_and_other_widths():
    """Sizes are taken from what is asked, not from the defaults."""
    sizes = replace(TINY, modalities=2, students=1, batch=3, frames=12, queue=12)
    assert PARTS["stage-2-step"].build(sizes, CPU).difference() <= 1e-4
    assert PARTS["distillation-step"].build(sizes, CPU).difference() <= 1e-4


def test_table(tmp_path, capsys):
    path = tmp_path / "bench" / "bench.csv"
    main(["--tiny", "--threads", "1", "--minutes", "0", "--parts", "modalities", "--output", str(path)])
    with path.open() as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == COLUMNS and list(row)[:9] == [*WANTED, "ours_peak_mib"]
    assert row["part"] == "modalities" and row["device"] == "cpu" and int(row["threads"]) == 1
    assert float(row["ratio"]) == pytest.approx(float(row["plain_s"]) / float(row["ours_s"]), rel=1e-2)
    assert float(row["max_abs_difference"]) <= 1e-4 and float(row["plain_peak_mib"]) >= 0
    about = json.loads(path.with_suffix(".json").read_text())
    assert "--parts modalities" in about["command"] and about["cores"] >= 1
    assert "modalities" in capsys.readouterr().out


def test_peak_counts_what_a_call_holds():
    """The five derived modalities are what is made; the position is there before."""
    sizes = replace(TINY, batch=512, frames=50)
    one_array = 512 * 3 * 50 * 25 * 2 * 4 / 2**20
    with Side("modalities", "ours", sizes, CPU, 1) as side:
        assert side.peak_mib == pytest.approx(5 * one_array, rel=0.15)
        assert side.seconds() > 0


def test_difference_sees_shapes():
    assert largest_difference([(np.ones(3), torch.zeros(3))]) == 1.0
    with pytest.raises(ValueError, match="shapes"):
        largest_difference([(np.ones(3), np.ones((3, 1)))])


def test_operations_of_the_limits_are_those_of_the_convolutions():
    disk = positions(3, 20, 0, CPU).to("meta")  # on the CPU a strided convolution has a tap more, which is 0
    encoder = PlainSTGCN(SKELETON, 16, 256).eval().to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(disk)
    counted = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    sizes = Sizes(batch=3, frames=20)
    assert limits.encoder(sizes, backward=False)[1] == pytest.approx(counted, rel=1e-6)
    assert limits.encoder(sizes)[1] == pytest.approx(3 * counted, rel=1e-6)


def test_limits_are_printed_for_every_part_of_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(limits, "speeds", lambda: (1e10, 1e11))
    limits.main(["--threads", "1", "--bench", str(tmp_path / "none.csv")])
    printed = capsys.readouterr().out
    assert all(name in printed for name in PARTS if name not in ("decode", "prepare"))
