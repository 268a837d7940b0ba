"""The fuzz command: a few inputs of each kind, and that each bad ending is counted as what it is."""

from __future__ import annotations

import os
import subprocess
import sys

ROOT = __file__.rsplit("/tests/", 1)[0]

ENDINGS = """
import os, time
from tests.fuzz import __main__ as fuzz

def silent(draw, folder): return "differs"
def broken(draw, folder): raise KeyError("x")
def endless(draw, folder): time.sleep(60)
def crashing(draw, folder): os.abort()
def refusing(draw, folder): raise fuzz.InputError("is not right")
def talkative(draw, folder): raise fuzz.InputError("many words " * 10_000)

fuzz.KINDS = {check.__name__: check for check in (silent, broken, endless, crashing, refusing, talkative)}
for kind in fuzz.KINDS:
    print(kind, fuzz.run(kind, "0", 2.0)[2])
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300
    )


def test_no_input_ends_as_none_should() -> None:
    ran = run("-m", "tests.fuzz", "--count", "70", "--seed", "0")
    assert ran.returncode == 0, ran.stderr
    assert "70 inputs, seed 0" in ran.stdout


def test_each_ending_is_counted_as_what_it_is() -> None:
    assert run("-c", ENDINGS).stdout.split("\n")[:-1] == [
        *("silent silent", "broken traceback", "endless hang", "crashing crash", "refusing error", "talkative silent")
    ]
