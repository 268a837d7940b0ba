"""What the number of training clips means for batches and queues: warnings, at the start of a job and before a run.

Nothing here imports torch: the plan of a workflow asks, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def count_warnings(settings: Mapping[str, Any], clips: int) -> list[str]:
    """What is odd about the batch size and the queue of a training job.

    Args:
        settings: of the job: `schedule`, `drop_last`, and `contrast` if it has a queue.
        clips: clips that it trains on.
    """
    batch = int(settings["schedule"]["batch_size"])
    found = []
    if batch > clips:
        found.append(f"batch_size is {batch}, but {clips} clips train: every epoch is one step of {clips} clips")
    if "contrast" not in settings:
        return found
    queue, step = int(settings["contrast"]["queue_size"]), min(batch, clips)
    if step > queue:
        found.append(f"queue_size is {queue}, but a step brings {step} keys: those of one step are all it ever holds")
    if queue > clips:
        seen = clips - clips % batch if settings.get("drop_last") and batch <= clips else clips
        percent, shorter = round(100 * own_key_rate(queue, seen)), 1 << int(math.log2(max(clips / 2.8, 1)))
        found.append(
            f"queue_size is {queue}, but {clips} clips train: for about {percent} % of the queries an older key of "
            f"their own clip is among the negatives (about {round(100 * own_key_rate(shorter, seen))} % with {shorter})"
        )
    return found


def own_key_rate(queue: int, clips: int) -> float:
    """Probability that a queue holds an older key of the clip of a query, from the third epoch on.

    Each epoch shuffles the clips: the distance d in keys to the last key of a clip is the sum of two uniform ones, with
    the density min(d, 2 clips - d) / clips^2 up to 2 clips.
    """
    if queue <= clips:
        return queue**2 / (2 * clips**2)
    return 1 - max(2 * clips - queue, 0) ** 2 / (2 * clips**2)
