"""Text in LaTeX."""

from __future__ import annotations

import re
import unicodedata

_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "–": "--",
    "→": r"$\rightarrow$",
    "…": r"\ldots{}",
    "|": r"\textbar{}",
    '"': "''",
}


def escape(text: str) -> str:
    """Text as LaTeX prints it letter for letter; a letter beyond Latin-1 loses its accent or becomes "?"."""
    return "".join(_SPECIAL.get(character) or _known(character) for character in text)


def _known(character: str) -> str:
    if character in "\t\n " or re.match(r"[\x20-\x7e\xc0-\xd6\xd8-\xf6\xf8-\xff]", character):
        return character
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
