"""Steps replayed from a graph, and compiled encoders, against steps that are computed one operation after another.

There is no CUDA here. What captures a step records the operations of a CPU instead, with the tensors and numbers that
each was given, and a replay runs them again on the same memory: a number of the host that should have changed from step
to step, or a value that was read, makes other results.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ikem.kernels.dispatch import backend
from ikem.methods.registry import STAGES
from ikem.registry import load
from ikem.seeding import StepSeeds, seed_for
from ikem.training import graph
from ikem.training.graph import DeviceSeeds, fewer_launches
from ikem.training.loader import Clips
from ikem.training.loop import training_tensors
from stage_support import CPU, stage_jobs, write_prepared

CLIPS = 22
CUT = [np.arange(start, min(start + 6, CLIPS)) for start in range(0, CLIPS, 6)]  # the last batch is smaller
STAGE_NAMES = ["momentum_contrast", "skeletonclr", "crossclr", "ikem", "relational_distillation", "supervised"]
"""Those whose trainer says that its steps can be replayed."""


class Recording(TorchDispatchMode):
    """Notes each operation with its arguments and results."""

    def __init__(self, most=None):
        super().__init__()
        self.calls, self._most = [], most

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if len(self.calls) == self._most:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self):
        for function, args, kwargs, recorded in self.calls:
            if function.is_view:
                continue
            assert function is not torch.ops.aten._local_scalar_dense.default, "a value is read on the host"
            for old, new in zip(tree_leaves(recorded), tree_leaves(function(*args, **kwargs)), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class RecordedGraphs:
    """Stands in for `CudaGraphs`. A capture leaves all tensors of the trainer as they were, as CUDA's does."""

    def __init__(self, trainer, most=None):
        self._trainer, self._most = trainer, most
        self.captured = self.replayed = 0

    def first(self, step):
        return step()

    def capture(self, step):
        tensors = [*self._trainer.model.parameters(), *self._trainer.model.buffers()]
        tensors += [value for state in self._trainer.optimizer.state.values() for value in state.values()]
        before = [(value, value.detach().clone()) for value in tensors if isinstance(value, Tensor)]
        recording = Recording(self._most)
        try:
            with recording:
                losses = step()
        finally:
            with torch.no_grad():
                for value, old in before:
                    value.copy_(old)
        self.captured += 1

        def replay():
            recording.replay()
            self.replayed += 1
            return losses

        return replay


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return write_prepared(tmp_path_factory.mktemp("prepared"), CLIPS)


@pytest.fixture(scope="module")
def jobs(prepared, tmp_path_factory):
    return stage_jobs(prepared, CLIPS, tmp_path_factory.mktemp("states"))


@pytest.fixture(autouse=True)
def reference():
    """Kernels are no operations of PyTorch, and encoders in threads of their own cannot be recorded."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with backend("reference"):
        yield
    torch.set_num_threads(threads)


def pair(stage, jobs, prepared, **contrast):
    """Two trainers with the same initial parameters, and their clips."""
    settings, inputs = jobs[stage]
    if contrast:
        settings = settings | {"contrast": settings["contrast"] | contrast}
    clips = Clips(prepared, np.arange(CLIPS), CPU, resident=True)
    return clips, *(load(STAGES[stage].trainer)(settings, clips, CPU, inputs) for _ in range(2))


def trained(trainer, clips, epochs=2):
    """The losses of some epochs, each with another learning rate."""
    losses = []
    for epoch in range(epochs):
        trainer.optimizer.param_groups[0]["lr"] = 0.1 / (epoch + 1)
        trainer.begin_epoch(epoch)
        for step, batch in enumerate(clips.batches(CUT)):
            losses.append({name: float(loss) for name, loss in trainer.step(batch, epoch, step).items()})
    return losses


def assert_same_bits(trainer, other):
    found, expected = training_tensors(trainer), training_tensors(other)
    assert found.keys() == expected.keys()
    assert [name for name, value in expected.items() if not torch.equal(value, found[name])] == []


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_replayed_steps_are_the_computed_ones(stage, jobs, prepared):
    """Losses, parameters, statistics, momentum and queues, to the bit; odd batches in between are computed."""
    clips, plain, captured = pair(stage, jobs, prepared)
    graphs = RecordedGraphs(captured)
    assert trained(DeviceSeeds(captured, CPU, graphs), clips) == trained(plain, clips)
    assert_same_bits(captured, plain)
    assert (graphs.captured, graphs.replayed) == (2, 4)


def test_every_replayable_stage_is_tested(jobs, prepared):
    clips = Clips(prepared, np.arange(CLIPS), CPU, resident=True)
    trainers = {stage: load(STAGES[stage].trainer)(*jobs[stage][:1], clips, CPU, jobs[stage][1]) for stage in jobs}
    assert {stage for stage, each in trainers.items() if vars(type(each)).get("replayable")} == set(STAGE_NAMES)


def test_seeds_on_the_device_are_those_of_the_host():
    seeds = StepSeeds(CPU)
    for number in (5, 2**62):
        seeds.begin(number)
        for what in (("joint", "query"), ("joint", "key"), ("view", 3)):
            assert int(seed_for(seeds, *what)) == seed_for(number, *what)
        assert int(seeds.derived()) == number
        assert seed_for(seeds, "joint", "query").data_ptr() == seeds.derived("joint", "query").data_ptr()
    with pytest.raises(TypeError, match="no further seeds"):
        seed_for(seeds.derived("joint"), "mask")
    seeds.complete = True
    with pytest.raises(RuntimeError, match="in no step before"):
        seeds.derived("bone")


def test_clips_of_keys_are_replayed_too(jobs, prepared):
    clips, plain, captured = pair("momentum_contrast", jobs, prepared, mask_own_keys=True)
    assert trained(DeviceSeeds(captured, CPU, RecordedGraphs(captured)), clips) == trained(plain, clips)
    assert_same_bits(captured, plain)
    assert torch.equal(captured.model.queue.clips, plain.model.queue.clips)


@pytest.mark.parametrize(
    ("stage", "share"), [("ikem", 0.1), ("momentum_contrast", 0.95), ("relational_distillation", 0.95)]
)
def test_a_capture_that_fails_leaves_steps_as_they_are(stage, share, jobs, prepared, caplog):
    """Early, and in the backward pass, when keys wait to be written to the queue."""
    clips, plain, captured = pair(stage, jobs, prepared)
    most = int(share * operations(*pair(stage, jobs, prepared)[:2]))
    graphs = RecordedGraphs(captured, most)
    with caplog.at_level(logging.WARNING, "ikem"):
        assert trained(DeviceSeeds(captured, CPU, graphs), clips) == trained(plain, clips)
    assert_same_bits(captured, plain)
    assert (graphs.captured, graphs.replayed) == (0, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "steps are not replayed from a CUDA graph: operation not permitted when stream is capturing"
    ]


def operations(clips, trainer):
    """Of a step."""
    trainer.begin_epoch(0)
    batch = next(clips.batches(CUT))
    with Recording() as recording:
        trainer.step(batch, 0, 0)
    return len(recording.calls)


def test_a_graph_is_for_a_gpu_long_epochs_and_an_optimizer_that_needs_no_host(jobs, prepared, monkeypatch):
    class Graphs:
        pass

    monkeypatch.setattr(graph, "CudaGraphs", Graphs)
    gpu = torch.device("cuda", 0)
    _, plain, adam = pair("supervised", jobs, prepared)
    adam.optimizer = torch.optim.AdamW(adam.model.parameters())
    assert isinstance(fewer_launches(plain, gpu, 50, False, True)._graphs, Graphs)
    for trainer, device, steps, cuda_graph in (
        (plain, CPU, 50, True),
        (plain, gpu, 5, True),
        (plain, gpu, 50, False),
        (adam, gpu, 50, True),
        (object(), gpu, 50, True),
    ):
        assert fewer_launches(trainer, device, steps, False, cuda_graph) is trainer


def with_backend(name):
    """`nn.Module.compile` with another backend than the default."""
    compiled = nn.Module.compile
    return lambda module, **options: compiled(module, backend=name, **options)


@pytest.mark.parametrize(
    ("stage", "compiler"),
    [
        ("supervised", "aot_eager"),
        pytest.param("momentum_contrast", "aot_eager", marks=pytest.mark.slow),
        pytest.param("supervised", "inductor", marks=pytest.mark.slow),
    ],
)
def test_compiled_encoders_train_as_eager_ones_do(stage, compiler, jobs, prepared, monkeypatch):
    """The first step; later ones amplify what differs in the last digits."""
    monkeypatch.setattr(nn.Module, "compile", with_backend(compiler))
    clips, plain, compiled = pair(stage, jobs, prepared)
    names = training_tensors(plain).keys()
    launched = fewer_launches(compiled, CPU, 50, True, False)
    assert training_tensors(compiled).keys() == names
    (batch,) = clips.batches(CUT[:1])
    results = []
    for trainer in (plain, launched):
        trainer.begin_epoch(0)
        losses = trainer.step(batch, 0, 0)
        gradients = [value.grad for value in trainer.model.parameters() if value.grad is not None]
        results.append((torch.stack(list(losses.values())), torch.cat([value.flatten() for value in gradients])))
    (loss, gradient), (other_loss, other_gradient) = results
    assert torch.allclose(loss, other_loss, rtol=1e-4)
    assert (gradient - other_gradient).norm() < 1e-2 * gradient.norm()
    assert training_tensors(compiled).keys() == training_tensors(plain).keys()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_a_gpu_replays_the_computed_steps(stage, jobs, prepared):
    settings, inputs = jobs[stage]
    gpu = torch.device("cuda", 0)
    clips = Clips(prepared, np.arange(CLIPS), gpu, resident=True)
    plain, captured = (load(STAGES[stage].trainer)(settings, clips, gpu, inputs) for _ in range(2))
    launched = DeviceSeeds(captured, gpu, graph.CudaGraphs())
    assert trained(launched, clips) == trained(plain, clips)
    assert_same_bits(captured, plain)
    assert launched._graphs is not None
