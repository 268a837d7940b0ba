"""The archive of a submission: a zip with a claim, a config, the records of all jobs, and the scores of each clip.

| member | content |
| `submission.json` | `Claim` |
| `plan.json` | the resolved config, as in a results folder |
| `skeletons.json` | skeletons of one's own, by the paths that the config names; absent if there are none |
| `results/...` | of each evaluation its file, its scores, its run.json, and the run.json of every job it builds on |

Paths below `results/` are those of the results folder. Members are read in place; names are looked up, never used as
paths.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Literal

from pydantic import ValidationError

from ikem.errors import InputError
from ikem.report.results import Row
from ikem.schema import Settings, Title

CLAIM, PLAN, SKELETONS, RESULTS = "submission.json", "plan.json", "skeletons.json", "results/"
LARGEST_MEMBER, MOST_MEMBERS = 1 << 30, 100_000


class Claim(Settings):
    """What a submission says."""

    format: Literal[1] = 1
    """Version of this form."""
    title: Title
    """What a leaderboard calls it."""
    authors: Title
    """Who computed it."""
    link: str = ""
    """Where code or a paper is."""
    comment: str = ""
    """Anything else that a reader should know: hardware, changes of code."""
    rows: tuple[Row, ...] = ()
    """The figures that are claimed."""


class Submission:
    """A submission that is open for reading."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self._archive = path, archive
        infos = archive.infolist()
        self.names = {info.filename for info in infos}
        if len(infos) > MOST_MEMBERS or len(self.names) < len(infos):
            raise self.error("has too many members, or two of the same name")
        self.claim = self._claim()

    def error(self, message: str) -> InputError:
        """An error that names the archive."""
        return InputError(message, location=str(self.path), hint="Pack it again with `python -m ikem submit`")

    def read(self, name: str) -> bytes:
        """The bytes of a member.

        Raises:
            InputError: it is missing, damaged or larger than any file of a submission.
        """
        if name not in self.names:
            raise self.error(f"lacks {name}")
        if self._archive.getinfo(name).file_size > LARGEST_MEMBER:
            raise self.error(f"{name} is larger than {LARGEST_MEMBER >> 20} MiB")
        try:
            with self._archive.open(name) as stream:
                return _read(stream)
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
            raise self.error(f"{name} cannot be read ({error})") from error
        except Exception as error:  # zlib.error, lzma.LZMAError: of no common class
            raise self.error(f"{name} cannot be read ({error})") from error

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A member as a file with the last part of its name, for readers that need one; errors name the member."""
        content = self.read(name)
        with TemporaryDirectory() as folder:
            path = Path(folder, name.rpartition("/")[2])
            path.write_bytes(content)
            try:
                yield path
            except InputError as error:
                raise self.error(f"{name}: {error.message}") from error

    def _claim(self) -> Claim:
        try:
            return Claim.model_validate_json(self.read(CLAIM))
        except ValidationError as error:
            first = error.errors()[0]
            location = ".".join(map(str, first["loc"]))
            raise self.error(f"{CLAIM} is not in form: {location}: {first['msg']}") from error


def _read(stream: IO[bytes]) -> bytes:
    content = stream.read(LARGEST_MEMBER + 1)
    if len(content) > LARGEST_MEMBER:
        raise ValueError("it unpacks to more than it says")
    return content


@contextmanager
def opened(path: Path) -> Iterator[Submission]:
    """Open a submission.

    Raises:
        InputError: it is missing, is no zip, or its claim is not in form.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise InputError("is missing", location=str(path)) from None
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"cannot be opened as a zip ({error})", location=str(path)) from error
    with archive:
        yield Submission(path, archive)
