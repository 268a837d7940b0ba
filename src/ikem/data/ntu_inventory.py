"""Which clips of NTU RGB+D are absent or too many, as far as names can tell.

Each performer who was recorded in a setup did all actions of that part (1 to 60 in setups 1 to 17, 61 to 120 in setups
18 to 32) twice before three cameras. So from the pairs of setup and performer that are there, all names follow.
"""

from __future__ import annotations

from importlib import resources
from itertools import product

import pandas as pd

from ikem.data.clips import NTU_NAME, read_name_list

_SHOWN = 5


def published_missing() -> frozenset[str]:
    """The 535 NTU clips whose skeletons are known to be missing."""
    with resources.as_file(resources.files("ikem") / "datasets" / "ntu_missing_skeletons.csv") as path:
        return read_name_list(path)


def expected_names(pairs: set[tuple[int, int]]) -> set[str]:
    """All names of the clips of the given (setup, performer), without the missing ones."""
    names = set()
    for setup, performer in pairs:
        actions = range(1, 61) if setup <= 17 else range(61, 121)
        for camera, replication, action in product((1, 2, 3), (1, 2), actions):
            names.add(f"S{setup:03}C{camera:03}P{performer:03}R{replication:03}A{action:03}")
    return names - published_missing()


def describe_difference(samples: pd.DataFrame) -> str:
    """A clause that names examples of absent and extra clips; empty if the names are not NTU's."""
    matches = [NTU_NAME.fullmatch(name) for name in samples["name"]]
    if not all(matches):
        return ""
    pairs = {(int(match[1]), int(match[3])) for match in matches if match}
    present, expected = set(samples["name"]), expected_names(pairs)
    absent, extra = sorted(expected - present), sorted(present - expected)
    parts = []
    if absent:
        parts.append(f"{len(absent)} absent of the setups and performers that are there, such as {_some(absent)}")
    else:
        parts.append(f"nothing is absent of the {len(pairs)} pairs of setup and performer that are there")
    if extra:
        known = set(extra) & published_missing()
        note = f" ({len(known)} of them are on the list of missing skeletons)" if known else ""
        parts.append(f"{len(extra)} that should not be there{note}, such as {_some(extra)}")
    counted = pd.Series([setup for setup, _ in pairs]).value_counts().sort_index()
    parts.append("setups present: " + ", ".join(f"{setup} ({n} performers)" for setup, n in counted.items()))
    return ". " + ". ".join(part[0].upper() + part[1:] for part in parts)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN])
