"""The exceptions that a user is meant to read."""


class InputError(Exception):
    """Something the user gave cannot be used.

    Attributes:
        message: what is wrong, in one clause.
        location: the file, archive member, line or configuration key.
        hint: what the user can do about it.
    """

    def __init__(self, message: str, *, location: str | None = None, hint: str | None = None) -> None:
        self.message, self.location, self.hint = message, location, hint
        text = f"{location}: {message}" if location else message
        super().__init__(f"{text}. {hint}" if hint else text)


class Interrupted(Exception):
    """A signal asked the process to stop; its state has been saved (the command exits with 75, "try again")."""
