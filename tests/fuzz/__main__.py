"""Feed malformed inputs to the readers of configs and raw data, and count how each ends.

    python -m tests.fuzz --count 2500 --seed 1

Each input runs in a process of its own, for at most `--seconds`. It ends as
- accepted: and a second, obvious reader found the same in the changed file, no clip is lost, all values are finite;
- clip rejected: the same, and a clip is a line of rejected.csv with its reason;
- error: one `InputError`, of a few lines at most;
- silent: accepted, but the second reader or the counts say otherwise;
- traceback, hang, crash: another exception, no end in time, the process was ended by a signal.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from ikem.process import use_threads

use_threads(1)

from tests.fuzz import configs, raw  # noqa: E402

from ikem.errors import InputError  # noqa: E402

Check = Callable[[random.Random, Path], str | None]
KINDS: dict[str, Check] = {
    "config": configs.config,
    "skeleton file": configs.skeleton,
    "NTU text": raw.ntu_text,
    "NW-UCLA JSON": raw.nwucla,
    "PKU-MMD text": raw.pkummd,
    "samples.csv, .npy": raw.arrays,
    "zip, 7z, tar": raw.archive,
}
OUTCOMES = ("accepted", raw.REJECTED, "error", "silent", "traceback", "hang", "crash")
LONGEST_ERROR = 10_000
_FORK = multiprocessing.get_context("fork")


def outcome(check: Check, seed: str) -> tuple[str, str]:
    """How an input ends, and what there is to say."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            fault = check(random.Random(seed), Path(folder))
        except InputError as error:
            return ("error" if 0 < len(str(error)) < LONGEST_ERROR else "silent"), str(error)
        except AssertionError as error:
            return "silent", str(error)
        except Exception:  # all that a user would see as a traceback
            return "traceback", traceback.format_exc()
    if fault == raw.REJECTED:
        return fault, ""
    return ("silent", fault) if fault else ("accepted", "")


def _work(check: Check, seed: str, answers: Connection) -> None:
    answers.send(outcome(check, seed))


def run(kind: str, seed: str, seconds: float) -> tuple[str, str, str, str]:
    """One input in a process of its own."""
    receiving, sending = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_work, args=(KINDS[kind], seed, sending))
    process.start()
    sending.close()
    try:
        if not receiving.poll(seconds):
            return kind, seed, "hang", ""
        found, text = receiving.recv()
    except EOFError:
        process.join()
        return kind, seed, "crash", f"exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()
        receiving.close()
    return kind, seed, found, text


def main() -> int:
    """Run, print the table, and say with the exit status whether an input ended as none should."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=700, help="inputs, divided among the kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit of an input")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    for kind in arguments.kinds:  # what is compiled at its first call is compiled before the processes are forked
        next(n for n in range(1000) if outcome(KINDS[kind], f"first {n}")[0] in OUTCOMES[:2])
    start, counts = time.monotonic(), Counter[tuple[str, str]]()
    inputs = [
        (arguments.kinds[number % len(arguments.kinds)], f"{arguments.seed}/{number}")
        for number in range(arguments.count)
    ]
    with ThreadPoolExecutor(arguments.processes) as pool:
        for kind, seed, found, text in pool.map(lambda one: run(*one, arguments.seconds), inputs):
            counts[kind, found] += 1
            if found in OUTCOMES[3:]:
                print(f"{found}: {kind}, input {seed}\n{text}\n", file=sys.stderr, flush=True)
    print(f"| {'kind':17} | {' | '.join(f'{name:>13}' for name in ('inputs', *OUTCOMES))} |")
    print(f"| {'-' * 17} | {' | '.join(['-' * 12 + ':'] * (len(OUTCOMES) + 1))} |")
    for kind in [*arguments.kinds, "all"]:
        chosen = {
            found: sum(n for (k, f), n in counts.items() if kind in (k, "all") and f == found) for found in OUTCOMES
        }
        print(f"| {kind:17} | {' | '.join(f'{n:13}' for n in (sum(chosen.values()), *chosen.values()))} |")
    print(f"{arguments.count} inputs, seed {arguments.seed}, {time.monotonic() - start:.0f} s")
    return int(any(counts[kind, found] for kind in arguments.kinds for found in OUTCOMES[3:]))


if __name__ == "__main__":
    sys.exit(main())
