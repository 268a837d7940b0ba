"""The exceptions that a user is meant to read."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # how Python reads such bytes in names of files
_LONG_WORD = re.compile(r"\S{500,}")
_CREDENTIALS = re.compile(r"//[^/\s]*@")


class InputError(Exception):
    """Something the user gave cannot be used.

    `user:password@` of an address is not repeated, names of files are printable, and what has hundreds of characters
    without a space is shortened.

    Attributes:
        message: what is wrong, in one clause.
        location: the file, archive member, line or configuration key.
        hint: what the user can do about it.
    """

    def __init__(self, message: str, *, location: str | None = None, hint: str | None = None) -> None:
        message = _LONG_WORD.sub(lambda word: f"{word[0][:100]}... ({len(word[0])} characters)", message)
        self.message = message = without_credentials(printable(message))
        self.location = location = location and without_credentials(printable(location))
        self.hint = hint = hint and without_credentials(printable(hint))
        text = f"{location}: {message}" if location else message
        super().__init__(f"{text}. {hint}" if hint else text)


def without_credentials(text: str) -> str:
    """The text without `user:password@` in its addresses."""
    return _CREDENTIALS.sub("//", text)


def printable(text: str) -> str:
    """The text as it can be written as UTF-8: a byte of a file name that is not UTF-8 is `\\xe9`."""
    named = _NOT_UTF8.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", text)
    return named.encode("utf-8", "backslashreplace").decode("utf-8")


@contextlib.contextmanager
def for_dataset(name: str) -> Iterator[None]:
    """While the block runs, errors that speak of the keys of a dataset, `datasets.NAME.`, have its name there."""
    try:
        yield
    except InputError as error:
        key = f"datasets.{name}."
        message, hint = (text and text.replace("datasets.NAME.", key) for text in (error.message, error.hint))
        raise InputError(message or "", location=error.location, hint=hint) from error.__cause__


class Interrupted(BaseException):
    """A signal asked the process to stop; its state has been saved (the command exits with 75, "try again").

    It may be raised anywhere, also within a library: what takes any `Exception` for a fault of the input must not
    catch it.
    """
