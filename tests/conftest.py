"""What several test files share: a tiny benchmark that ran once, unbroken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from job_support import Workshop, opened_workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A tiny benchmark that has run without a break, and a warm process that starts its jobs again."""
    with opened_workshop(tmp_path_factory.mktemp("workshop")) as opened:
        yield opened
