"""Cross-references of docstrings for the site: a role such as ``:func:`` with a name becomes a link to it.

The docstrings are read in terminals too, so they keep the short Sphinx form. Griffe calls this on every
object of the API pages.
"""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr):`~?([\w.]+)`")
LITERAL = re.compile(r"::[ \t]*$", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites every docstring to the Markdown that the site understands."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Link the roles of one docstring, and end lines before code with one colon."""
        if obj.docstring is not None:
            text = ROLE.sub(lambda match: link(obj, match[1]), obj.docstring.value)
            obj.docstring.value = LITERAL.sub(":", text)


def link(obj: griffe.Object, name: str) -> str:
    """A reference that the site follows where it has a page for it, and shows as code otherwise."""
    try:
        path = name if name.startswith("ssl_mix.") else obj.resolve(name)
    except griffe.NameResolutionError:
        path = name
    short = name.rpartition(".")[2]
    return f'<autoref identifier="{path}" optional><code>{short}</code></autoref>'
