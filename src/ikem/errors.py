"""The one exception that a user is meant to read."""


class InputError(Exception):
    """Something the user gave cannot be used.

    Attributes:
        what: what is wrong, in one clause.
        where: the file, archive member, line or configuration key.
        mend: what the user can do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        self.what, self.where, self.mend = what, where, mend
        message = f"{where}: {what}" if where else what
        super().__init__(f"{message}. {mend}" if mend else message)


class Interrupted(Exception):
    """A signal asked the process to leave; its state has been saved (the command exits with 75, "try again")."""
