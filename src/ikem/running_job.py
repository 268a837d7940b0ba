"""What code that computes sees of the job that it runs in; `ikem.workflow.run_context` is what stands behind it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol


class RunningJob(Protocol):
    """A job under way.

    Attributes:
        settings: all that shapes the result.
        output: the file that the job ends with.
        digest: SHA-256 of the settings.
        title: the job in words, as `status` shows it.
    """

    settings: dict[str, Any]
    output: Path
    digest: str
    title: str

    @property
    def seconds(self) -> float:
        """How long it has computed, with what it did before it was resumed."""

    @property
    def checkpoint_digest(self) -> str:
        """The digest that a checkpoint must carry to be used."""

    @property
    def asked_to_leave(self) -> bool:
        """Whether a signal has asked the process to leave."""

    def checkpoint(self, part: str = "") -> Path:
        """Where the job keeps a checkpoint while it runs."""

    def saving(self) -> AbstractContextManager[None]:
        """While the block runs, a signal does not end the job at once: the block sees `asked_to_leave` and saves."""

    def leave_if_asked(self) -> None:
        """Raise `Interrupted` if a signal has asked the process to leave."""
