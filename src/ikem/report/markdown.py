"""Text in Markdown."""

from __future__ import annotations

import re


def escape(text: str) -> str:
    """Text as Markdown shows it letter for letter."""
    text = text.replace("&", "&amp;") if re.search(r"&#?\w+;", text) else text
    text = re.sub(r"([\\|*`\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", text)
    return text.replace("<", "&lt;")
