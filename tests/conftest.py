"""What several test files share: a tiny benchmark that ran once, unbroken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ikem.threads import use_threads

use_threads(1)  # tests run side by side; more threads than cores wait for one another

from job_support import Workshop, opened_workshop  # noqa: E402


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A tiny benchmark that has run without a break, and a warm process that starts its jobs again."""
    with opened_workshop(tmp_path_factory.mktemp("workshop")) as opened:
        yield opened
