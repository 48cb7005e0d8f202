"""The signature and the docstring of a command, from its source: its help needs no import of what it does."""

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any


def signature_only(file: Path, name: str) -> Callable[..., Any] | None:
    """A function with the signature and the docstring of ``name`` in a Python file, which does nothing; None
    where they take more to read than the standard library.

    Args:
        file: of the module.
        name: of the function.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    [function] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "pathlib"]
    function.body = function.body[:1] if ast.get_docstring(function) else [ast.Pass()]
    known: dict[str, Any] = {}
    try:
        exec(compile(ast.Module([*imports, function], []), str(file), "exec"), known)
    except NameError:
        return None
    found: Callable[..., Any] = known[name]
    return found


def unwrapped(docstring: str | None) -> str:
    """A docstring with the text of each argument in one line, for the parser to wrap."""
    return re.sub(r"\n {8}(?=\S)", " ", inspect.cleandoc(docstring or ""))
