"""The templates of HTML files; everything that they are given is escaped."""

from __future__ import annotations

from typing import Any

import jinja2


def as_html(template: str, **content: Any) -> str:
    """Fill one of the templates of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ikem.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(content) + "\n"
