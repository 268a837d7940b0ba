"""The documentation site, built as `make site` builds it, and looked at in a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from browser import CHROMIUM, browser
from helpers import ROOT
from ikem.evaluations.registry import EVALUATIONS
from ikem.methods.registry import METHODS, STAGES
from ikem.settings.config_schema import config_schema

LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=|<link\b[^>]*\brel=\"?(?:stylesheet|preload|icon)[^>]*\bhref="
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    proxies = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # no network
    environment = os.environ | proxies | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_pages_follow_from_what_is_registered(site: Path) -> None:
    for kind, method in METHODS.items():
        page = (site / "methods" / f"{kind}.html").read_text()
        assert all(stage.summary in page for stage in method.stages)
        assert all(f"<code>{key}</code>" in page for key in method.options.model_fields)
    for kind, evaluation in EVALUATIONS.items():
        page = (site / "evaluations" / f"{kind}.html").read_text()
        assert all(f"<code>{key}</code>" in page for key in evaluation.options.model_fields)
    rules = (site / "reference" / "rules.html").read_text()
    assert all(f'id="{name}"' in rules and f"all_{name}" in rules for name in (*STAGES, *EVALUATIONS))


def test_the_reference_has_every_section_and_key(site: Path) -> None:
    page = (site / "reference" / "configuration.html").read_text()
    schema = config_schema()
    assert all(f'id="{key}"' in page for key in schema["properties"])
    for name, section in schema["$defs"].items():
        part = page[page.index(f'<h3 id="section-{name.lower()}"') :].split("<h3 ", 2)[1]
        assert all(f"<code>{key}</code>" in part for key in section["properties"]), name


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        for found in LOADED.finditer(text := page.read_text()):
            assert not text[found.end() :].startswith(("http", '"http', "//", '"//')), page
    for style in site.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", style.read_text()), style


def test_formulas_are_mathml(site: Path) -> None:
    page = (site / "concepts.html").read_text()
    assert page.count('display="block"') >= 10
    assert page.count("<math") > 60
    assert not re.search(r"\\[\[(a-z]|\$", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_a_window(site: Path, width: int) -> None:
    names = ("index", "concepts", "faq", "methods/ikem", "reference/configuration", "api/losses", "results")
    with browser() as tab:
        for name in names:
            tab.open(site / f"{name}.html", width)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, name
            assert tab.evaluate("document.querySelector('h1').getBoundingClientRect().width") > 100
            missing = "[...document.images].filter(image => !image.naturalWidth).map(image => image.src)"
            assert tab.evaluate(missing) == [], name
