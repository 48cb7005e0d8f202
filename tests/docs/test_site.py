"""The site: every page is in its navigation, every link leads somewhere, and it builds without a warning."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TOOLS = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers")


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def test_the_navigation_names_every_page_once() -> None:
    navigation = re.search(r"^nav:\n((?: .*\n)+)", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert navigation is not None
    named = re.findall(r": (\S+\.md)$", navigation[1], re.MULTILINE)
    assert sorted(named) == sorted(map(name_of, PAGES))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", text)
    assert [link for link in links if not (page.parent / link).resolve().is_relative_to(DOCS)] == []
    assert [link for link in links if not (page.parent / link).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_text_is_plain_ascii(page: Path) -> None:
    assert page.read_text().isascii()


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, TOOLS)), reason="the site needs pip install -e '.[docs]'"
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert built.returncode == 0, built.stdout + built.stderr
    losses = (tmp_path / "api/losses/index.html").read_text()
    assert 'id="ssl_mix.losses.mixup_cross_entropy"' in losses
    assert not [page for page in (tmp_path / "api").rglob("*.html") if ":func:" in page.read_text()]
