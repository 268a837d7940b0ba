"""The exceptions that a user is meant to read."""

import re

_CREDENTIALS = re.compile(r"//[^/\s]*@")


class InputError(Exception):
    """Something the user gave cannot be used. `user:password@` of an address is not repeated.

    Attributes:
        message: what is wrong, in one clause.
        location: the file, archive member, line or configuration key.
        hint: what the user can do about it.
    """

    def __init__(self, message: str, *, location: str | None = None, hint: str | None = None) -> None:
        self.message = message = without_credentials(message)
        self.location = location = location and without_credentials(location)
        self.hint = hint = hint and without_credentials(hint)
        text = f"{location}: {message}" if location else message
        super().__init__(f"{text}. {hint}" if hint else text)


def without_credentials(text: str) -> str:
    """The text without `user:password@` in its addresses."""
    return _CREDENTIALS.sub("//", text)


class Interrupted(Exception):
    """A signal asked the process to stop; its state has been saved (the command exits with 75, "try again")."""
