"""What registered things share: their source in the literature, the names of jobs, and how code is found by name.

A registered thing (a method, an evaluation) is a folder whose declaration imports no torch, because the plan of a
workflow reads all declarations and every job would wait for it. The code behind it is named, and imported by the job.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Source:
    """Where a definition was published.

    Attributes:
        authors: family names, the first three and "et al." at most.
        title: of the paper.
        venue: journal or conference.
        year: of publication; 0: not known.
        arxiv: arXiv id, or empty.
        doi: DOI, or empty.
    """

    authors: str
    title: str
    venue: str
    year: int
    arxiv: str = ""
    doi: str = ""

    @property
    def key(self) -> str:
        """The citation key: first author, year, first word of the title of four letters or more: `li2021human`.

        It depends on the work alone, so it is the same in every table and every release.
        """
        first = re.split(r",| et al", self.authors)[0]
        words = [_plain(word) for word in re.split(r"\W+", self.title)]
        word = next((word for word in words if len(word) >= 4), "".join(words))
        year = str(self.year or "")
        return _plain(first) + year + word if self.authors else word + year

    def __str__(self) -> str:
        found = f", arXiv {self.arxiv}" if self.arxiv else f", doi {self.doi}" if self.doi else ""
        return f"{self.authors}: {self.title}. {self.venue} {self.year}{found}"


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", letters.lower())


@dataclass(frozen=True)
class JobName:
    """A job's type and the values of its wildcards."""

    kind: str
    keys: tuple[tuple[str, str], ...]


def job_name(kind: str, keys: Mapping[str, str], **more: str) -> JobName:
    """The name of a job from its type and wildcards."""
    return JobName(kind, tuple(sorted({**keys, **more}.items())))


def subset(keys: Mapping[str, str], *names: str) -> dict[str, str]:
    """The wildcards of these names."""
    return {name: keys[name] for name in names}


def declarations(package: ModuleType, module: str) -> Iterator[tuple[str, ModuleType]]:
    """(folder, its module) for each folder of a package that has a module of this name, in alphabetical order."""
    for entry in sorted(pkgutil.iter_modules(package.__path__), key=lambda entry: entry.name):
        if entry.ispkg:
            yield entry.name, importlib.import_module(f"{package.__name__}.{entry.name}.{module}")


def load(name: str) -> Any:
    """What "package.module:attribute" names."""
    module, attribute = name.split(":")
    return getattr(importlib.import_module(module), attribute)


def nearest(word: Any, known: Iterable[str]) -> str:
    """`, did you mean 'seeds'?` for a misspelt word that is close to a known one, else empty."""
    found = difflib.get_close_matches(str(word).lower(), [*known], n=1)
    return f", did you mean {found[0]!r}?" if found else ""
