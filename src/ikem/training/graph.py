"""Steps with fewer kernel launches on a GPU: encoders compiled by `torch.compile`, steps replayed from a CUDA graph.

A step of stage 2 has thousands of short kernels; launching them takes longer than running them. A graph is captured in
each epoch, for what the epoch drew is at other addresses and the learning rate may be another. What differs from step
to step is copied to where the captured step reads it: the batch, and the seeds of the dropout masks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from ikem.losses.queue import Queues
from ikem.seeding import StepSeeds
from ikem.training.loader import Batch
from ikem.training.loop import Trainer
from ikem.training.process_group import processes

logger = logging.getLogger("ikem")

Losses = dict[str, Tensor]
Step = Callable[[], Losses]

FEWEST_STEPS = 20
"""Of an epoch, for which a graph is captured: a capture takes about the time of two steps."""


class GraphTrainer(Trainer, Protocol):
    """A trainer whose `step` is `compute(batch, epoch, dropout_seed(epoch, step))`.

    Attributes:
        replayable: whether nothing else of the host differs between the steps of an epoch, and `compute` asks for the
            same seeds in each. A subclass says it again for itself.
    """

    replayable: bool

    def dropout_seed(self, epoch: int, step: int) -> int:
        """What fixes all dropout masks of a step."""

    def compute(self, batch: Batch, epoch: int, dropout_seed: int | StepSeeds) -> Losses:
        """A step; what it derives from the seed is on the device if the seed is."""


def compile_encoders(model: nn.Module) -> None:
    """Have `torch.compile` compile each encoder of a model, in place; names of parameters stay.

    An encoder is a submodule named "encoder". It is compiled when it is first called, for each shape again.
    """
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "encoder":
            module.compile(dynamic=False)


class CudaGraphs:
    """Captures steps on a stream of their own."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def first(self, step: Step) -> Losses:
        """Run a step as those that are captured will be, so that libraries and the optimizer are set up."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            losses = step()
        torch.cuda.current_stream().wait_stream(self._stream)
        return losses

    def capture(self, step: Step) -> Step:
        """Capture a step, which does not run; what is returned runs it on the same memory."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            losses = step()

        def replay() -> Losses:
            graph.replay()
            return losses

        return replay


class DeviceSeeds:
    """A trainer whose steps get their dropout seeds as tensors of the device, which compiled code needs.

    With `graphs`, steps of an epoch are replayed from a graph from the second one on. A batch of another size is
    computed without it, and so are all steps once a capture has failed; the numbers are the same.
    """

    def __init__(self, trainer: GraphTrainer, device: torch.device, graphs: CudaGraphs | None = None) -> None:
        self._trainer, self._device, self._graphs = trainer, device, graphs
        self._replay: Step | None = None
        self._is_first = True
        self._seeds: StepSeeds
        self._batch: Batch

    @property
    def model(self) -> nn.Module:
        """That of the trainer."""
        return self._trainer.model

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """That of the trainer."""
        return self._trainer.optimizer

    def begin_epoch(self, epoch: int) -> None:
        """Draw what the epoch needs; the graph is of the last epoch."""
        self._replay, self._is_first, self._seeds = None, True, StepSeeds(self._device)
        self._trainer.begin_epoch(epoch)

    def step(self, batch: Batch, epoch: int, step: int) -> Losses:
        """One step, computed or replayed."""
        self._seeds.begin(self._trainer.dropout_seed(epoch, step))

        def compute() -> Losses:
            return self._trainer.compute(batch, epoch, self._seeds)

        if self._graphs is None:
            return compute()
        if self._is_first:
            self._is_first = False
            return self._graphs.first(compute)
        if self._replay is None:
            self._capture(self._graphs, batch, epoch)
        if self._replay is None or batch.rows.shape != self._batch.rows.shape:
            return compute()
        for target, value in ((self._batch.rows, batch.rows), (self._batch.position, batch.position),
                              (self._batch.frames, batch.frames)):  # fmt: skip
            target.copy_(value)
        return {name: loss.clone() for name, loss in self._replay().items()}

    def _capture(self, graphs: CudaGraphs, batch: Batch, epoch: int) -> None:
        self._batch = own = Batch(batch.rows.clone(), batch.position.clone(), batch.frames.clone())
        self._seeds.complete = True
        try:
            self._replay = graphs.capture(lambda: self._trainer.compute(own, epoch, self._seeds))
        except RuntimeError as error:  # CUDA's and PyTorch's; memory that runs out among them
            logger.warning("steps are not replayed from a CUDA graph: %s", " ".join(str(error).split())[:300])
            self._graphs = None
            for module in self.model.modules():
                if isinstance(module, Queues):
                    module.forget()  # keys of a step that did not run
        finally:
            self._seeds.complete = False


def fewer_launches(trainer: Trainer, device: torch.device, steps: int, compiled: bool, cuda_graph: bool) -> Trainer:
    """The trainer with its encoders compiled, and its steps replayed from a CUDA graph where that can be done.

    Args:
        trainer: any; one that is no `GraphTrainer` is returned as it is.
        device: of the trainer.
        steps: of an epoch.
        compiled: whether encoders are compiled.
        cuda_graph: whether a graph is tried.
    """
    if not vars(type(trainer)).get("replayable"):
        if compiled or (cuda_graph and device.type == "cuda"):
            logger.info(
                "neither compiled nor replayed from a CUDA graph: the trainer of this method is not `replayable`"
            )
        return trainer
    graphs = None
    if cuda_graph and processes() > 1:
        logger.info("steps are not replayed from a CUDA graph: several processes share the job")
    elif cuda_graph and device.type == "cuda" and steps >= FEWEST_STEPS:
        if isinstance(trainer.optimizer, torch.optim.SGD):
            graphs = CudaGraphs()
        else:
            logger.info("steps are not replayed from a CUDA graph: the optimizer counts its steps on the host")
    if compiled:
        compile_encoders(trainer.model)
    return DeviceSeeds(cast(GraphTrainer, trainer), device, graphs) if compiled or graphs else trainer
