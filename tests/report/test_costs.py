"""Costs: parameters and operations counted by hand, and the time of what the encoders need."""

import json
from pathlib import Path

import pytest

from ikem.encoders.stgcn.encoder import STGCN
from ikem.encoders.stgcn.network import block_widths
from ikem.encoders.transformer.encoder import Transformer
from ikem.errors import InputError
from ikem.report.costs import Cost, costs_of, count, read_costs, write_costs
from ikem.report.summary import Cell
from ikem.settings.loading import build_config
from ikem.workflow.plan import Plan


def test_operations_are_those_counted_by_hand() -> None:
    """Each block: joints (3 subsets), 1x1 convolution, temporal convolution, shortcut; two operations for a product."""
    frames, joints, products, parameters = 16, 25, 0, 2 * 75
    for number, (inputs, outputs, stride) in enumerate([(3, 2, 1), *block_widths(2, 8)]):
        products += 3 * inputs * frames * joints * joints  # x A_k
        products += 3 * inputs * outputs * frames * joints
        products += 3 * outputs * joints  # the bias of the graph convolution through the graph
        frames = -(-frames // stride)
        taps = 9 if stride == 1 else 10  # a strided one is computed on pairs of frames
        products += taps * outputs * outputs * frames * joints
        parameters += 3 * joints * joints + 3 * outputs * (inputs + 1) + outputs * (9 * outputs + 1) + 4 * outputs
        if number and (inputs != outputs or stride != 1):
            products += inputs * outputs * frames * joints
            parameters += outputs * (inputs + 1) + 2 * outputs
    counted, gflops = count(STGCN(kind="stgcn", hidden_channels=2, hidden_dim=8), "ntu25", 16)
    assert counted == parameters
    assert gflops * 1e9 == 2 * products


def test_operations_of_attention_count() -> None:
    """Two products of all pairs of tokens in each block, beside the four projections and the perceptron."""
    blocks, width, frames, joints = 3, 8, 16, 25
    options = {"frames": frames, "segment": 4, "heads": 2, "mlp_ratio": 1, "hidden_dim": width}
    one, more = (
        count(Transformer(kind="transformer", blocks=n, **options), "ntu25", frames)[1] for n in (1, 1 + blocks)
    )
    tokens = frames // 4 * joints
    products = tokens * width * width * (4 + 2) + 2 * tokens * tokens * width
    assert (more - one) * 1e9 == pytest.approx(2 * products * blocks)


def test_training_time_is_of_all_that_the_encoders_need(tmp_path: Path) -> None:
    config = build_config({
        "results": str(tmp_path), "seeds": [0, 1],
        "benchmark": [{"dataset": "nwucla", "protocols": ["xview"], "methods": ["random", "skeletonclr", "ikem-3"],
                       "evaluations": ["linear"]}],
    })  # fmt: skip
    plan = Plan(config)
    for job in plan.all_jobs():
        if job.output.name == "state.safetensors":
            keys = dict(job.name.keys)
            seconds = {"random_init": 5.0, "ikem": 100.0}.get(job.name.kind, 10.0) + int(keys["seed"])
            job.record.parent.mkdir(parents=True, exist_ok=True)
            job.record.write_text(json.dumps({"settings": job.settings, "seconds": seconds, "device": "cpu"}))
    cells = [Cell("skeletonclr", "joint", "nwucla", "xview"), Cell("skeletonclr", "joint+bone", "nwucla", "xview"),
             Cell("ikem-3", "joint", "nwucla", "xview"), Cell("random", "joint", "nwucla", "xview")]  # fmt: skip
    costs = costs_of(plan, cells)
    one = costs[cells[0]].train_seconds
    assert one is not None and costs[cells[1]].train_seconds == 2 * one, "each modality is a job of its own"
    ikem = costs[cells[2]].train_seconds
    assert ikem == 100.5 + 3 * 10.5, "the exchange trains all three from stage 1 of each"
    assert costs[cells[3]].train_seconds is None, "nothing is trained"
    assert costs[cells[1]].parameters == 2 * costs[cells[0]].parameters
    assert costs[cells[0]].device == "CPU"


def test_costs_are_read_as_written(tmp_path: Path) -> None:
    costs = {
        Cell("a", "joint", "d", "p"): Cost(12, 0.5, None, "=cmd()"),
        Cell("b", "joint", "d", "p"): Cost(1, 2.0, 3.5, ""),
    }
    write_costs(costs, tmp_path / "costs.csv")
    assert read_costs(tmp_path / "costs.csv") == costs
    assert "'=cmd()" in (tmp_path / "costs.csv").read_text(), "no formula for a spreadsheet"
    assert read_costs(tmp_path / "absent.csv") == {}
    (tmp_path / "costs.csv").write_text("method,streams\na,b\n")
    with pytest.raises(InputError, match="not a table of costs"):
        read_costs(tmp_path / "costs.csv")
