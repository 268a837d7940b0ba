"""What several test files share: a tiny benchmark that ran once, unbroken."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import hypothesis
import pytest

from ikem.process import use_threads

use_threads(1)  # tests run side by side; more threads than cores wait for one another

import torch  # noqa: E402

from job_support import Workshop, opened_workshop  # noqa: E402

# The same examples in every run; `pytest --hypothesis-profile=search` looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", max_examples=1000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The workflow's files first: the longest ones are among them, and a long one that starts last runs alone."""
    items.sort(key=lambda item: item.path.parent.name != "workflow")


@pytest.fixture
def numeric_threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of numeric threads of PyTorch; after the test it is what it was."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request: pytest.FixtureRequest, numeric_threads: Callable[[int], None]) -> int:
    """The test runs with one numeric thread, and with two."""
    numeric_threads(request.param)
    return request.param


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A tiny benchmark that has run without a break, and a warm process that starts its jobs again."""
    with opened_workshop(tmp_path_factory.mktemp("workshop")) as opened:
        yield opened
