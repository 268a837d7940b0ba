"""Linear evaluation with each batch size and each learning rate."""

from __future__ import annotations

from collections.abc import Iterator

from ikem.evaluations.linear.run import outcomes, train_classifiers
from ikem.evaluations.linear_grid.evaluation import probes
from ikem.evaluations.task import EmbeddingTask, Outcome


def evaluate(task: EmbeddingTask) -> Iterator[Outcome]:
    """Yield each modality, then the fusion, of each probe."""
    for batch, rate, condition in probes(task.options["batch_sizes"], task.options["learning_rates"]):
        schedule = task.options["schedule"] | {"batch_size": batch, "learning_rate": rate}
        yield from outcomes(task, train_classifiers(task, schedule), condition)
