"""The process of one side of a part: prints the peak of a first call, then the seconds of one for each line read."""

from __future__ import annotations

import sys

from ikem.process import keep_memory, use_threads

if __name__ == "__main__":
    _NAME, _SIDE, _DEVICE, _THREADS, _SIZES = sys.argv[1:]
    if _SIDE == "ours":  # before PyTorch is imported
        use_threads(int(_THREADS))
        keep_memory()
    import json
    from contextlib import nullcontext

    import torch

    from benchmarks.measure import seconds_and_peak, timed
    from benchmarks.pair import TINY, Call, Pair, Sizes
    from benchmarks.parts import PARTS
    from ikem.training.precision import arithmetic

    def chosen(pair: Pair) -> Call:
        """This process's side."""
        return pair.plain if _SIDE == "plain" else pair.ours

    torch.set_num_threads(int(_THREADS))
    torch.manual_seed(0)
    part, device = PARTS[_NAME], torch.device(_DEVICE)
    with arithmetic(device, "float32") if _SIDE == "ours" else nullcontext():  # what a job sets on a GPU
        chosen(part.build(TINY, device))()  # compiled code is loaded
        call = chosen(part.build(Sizes(**json.loads(_SIZES)), device))
        print(seconds_and_peak(call, device)[1], flush=True)
        for _ in sys.stdin:
            print(timed(call, device), flush=True)
