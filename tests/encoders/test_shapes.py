"""The encoders of every shipped config on several processors, with several threads (see encoder_shapes.py)."""

from __future__ import annotations

import re

from helpers import TESTS
from processor_support import CHECKED_MEMORY, processors, run

THREADS = ["1", "4"]
PROGRAM = TESTS / "encoder_shapes.py"
STRIDED = re.compile(r"s[dhw]([2-9]|\d\d)")


@processors
def test_encoders_of_every_config(processor: str) -> None:
    """No crash, no hang, the gradients of float64, and no strided convolution in oneDNN."""
    printed = run(processor, str(PROGRAM), *THREADS, ONEDNN_VERBOSE="1", **CHECKED_MEMORY)
    assert printed.count("agrees: ") >= 6 * len(THREADS)
    convolutions = [line.split(",") for line in printed.splitlines() if ",exec,cpu,convolution," in line]
    assert convolutions, "PyTorch hands oneDNN no convolution, or oneDNN does not say so"
    problems = {fields[-2] for fields in convolutions}
    assert not [problem for problem in problems if STRIDED.search(problem)]
