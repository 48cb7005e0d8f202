"""Blocks as one HTML file that opens anywhere: its style, its script and its pictures are inside, and its
content security policy forbids to fetch anything."""

import base64
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import jinja2

from ssl_mix._version import __version__
from ssl_mix.reports.blocks import Block, Figure, Section

REPORT = "report.html"


@cache
def _file(name: str) -> str:
    return resources.files("ssl_mix.reports").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.policies["json.dumps_kwargs"] = {}  # names stay in their order
    return environment.from_string(_file("page.html"))


def render(title: str, top: Sequence[Block], sections: Sequence[Section]) -> str:
    """The page as HTML; all text in it is escaped.

    Args:
        title: of the page.
        top: blocks above all sections.
        sections: the rest, each with a heading.
    """
    style, script = (_file(f"page.{kind}") for kind in ("css", "js"))
    footer = f"Written by ssl-mix {__version__}. Nothing in this page is fetched from elsewhere."
    return _template().render(
        title=title, top=top, sections=sections, style=style, script=script, footer=footer
    )


def png_figure(path: Path, about: str) -> Figure:
    """A PNG file inside a page."""
    return Figure(f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}", about)
