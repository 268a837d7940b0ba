"""Which clips of NTU RGB+D are absent or too many, as far as names show it.

Each performer who was recorded in a setup did all actions of that part (1 to 60 in setups 1 to 17, 61 to 120 in setups
18 to 32) twice before three cameras. So from the pairs of setup and performer that are there, all names follow.
"""

from __future__ import annotations

from importlib import resources
from itertools import product
from pathlib import Path, PurePosixPath

import pandas as pd

from ikem.data.clips import NTU_NAME, read_name_list
from ikem.data.rejected import read_rejected

_EXAMPLES = 5


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


def describe_difference(names: pd.Series, rejected: Path | None = None) -> str:
    """A clause on clips that are absent, rejected or too many; of what is absent and extra only NTU's names say it.

    Args:
        names: names of the clips that were decoded.
        rejected: rejected.csv of the decoding.
    """
    parts = []
    refused = read_rejected(rejected) if rejected is not None and rejected.exists() else []
    if refused:
        lines = [f"{member}: {reason}" for member, reason in refused[:_EXAMPLES]]
        parts.append(
            f"{len(refused)} files were rejected when they were decoded ({rejected}), such as {'; '.join(lines)}"
        )
    matches = [NTU_NAME.fullmatch(name) for name in names]
    if all(matches):
        pairs = {(int(match[1]), int(match[3])) for match in matches if match}
        present, expected = set(names), expected_names(pairs)
        absent = sorted(expected - present - {PurePosixPath(member).stem for member, _ in refused})
        extra = sorted(present - expected)
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
    return "".join(f". {part[0].upper()}{part[1:]}" for part in parts)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_EXAMPLES])
