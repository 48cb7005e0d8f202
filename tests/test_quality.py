"""The rules of the code that no linter knows. ``scripts/test.sh`` runs ruff and mypy themselves."""

import ast
import functools
import importlib
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import ssl_mix

ROOT = Path(__file__).resolve().parents[1]
LINKS = (ROOT / "ssl_mix/algorithms", ROOT / "ssl_mix/datasets")
FILES = [
    path
    for folder in ("algorithms", "datasets", "ssl_mix")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.parent not in LINKS
]


@functools.cache
def package() -> dict[str, ast.Module]:
    """The parsed files of the package."""
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_bytes()) for path in FILES}


@functools.cache
def scripts() -> dict[str, ast.Module]:
    """The parsed scripts."""
    paths = (ROOT / "scripts").rglob("*.py")
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_bytes()) for path in paths}


# From the ground up: a part imports from the floors below its own alone, and from the parts of its floor that
# are named.
FLOORS = (
    {"_version", "errors", "imported", "shell", "stages"},
    {"ranks", "types"},
    {"passes", "randomness"},
    {"algorithm", "augment", "banks", "losses", "transfer"},
    {"quota", "rebalance"},
    {"datasets", "mixers", "models", "queues", "targets"},
    {"evaluation", "mixing"},
    {"algorithms", "engine"},
    {"runs"},
    {"export", "suites"},
    {"reports"},
    {"labeling", "recipes", "segmentation"},
    {"cli"},
    {"__main__"},
)
LOOSE = {
    "__init__",
    "__main__",
    "_version",
    "types",
    "errors",
    "imported",
    "randomness",
    "algorithm",
    "targets",
    "banks",
    "queues",
    "quota",
    "passes",
    "ranks",
    "stages",
    "shell",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_name(file: str) -> str:
    """``ssl_mix.losses.mixup`` for ``ssl_mix/losses/mixup.py``."""
    name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return name if name.startswith("ssl_mix") else f"ssl_mix.{name}"


def part(file: str) -> str:
    """``losses`` for ``ssl_mix/losses/mixup.py``; "" for ``ssl_mix/__init__.py``."""
    return (module_name(file).split(".") + [""])[1]


def public(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    kinds = Function | ast.ClassDef
    return (node for node in body if isinstance(node, kinds) and not node.name.startswith("_"))


def size(function: Function) -> int:
    """Lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - (docstring.end_lineno - docstring.lineno + 1)


def imported_parts(tree: ast.Module) -> set[str]:
    """The parts of the package that a module imports; "" for ``ssl_mix`` itself."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "ssl_mix":
            names += [f"ssl_mix.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return {(name.split(".") + [""])[1] for name in names if name.split(".")[0] == "ssl_mix"}


def test_modules_and_their_public_names_have_docstrings() -> None:
    nodes = [
        (file, node) for file, tree in (package() | scripts()).items() for node in (tree, *public(tree.body))
    ]
    assert [(f, getattr(node, "name", "")) for f, node in nodes if not ast.get_docstring(node)] == []


def test_public_methods_have_docstrings() -> None:
    """Their own, or the one of the method that they override."""
    bare = []
    for file, tree in package().items():
        module = importlib.import_module(module_name(file))
        for node in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            owner = getattr(module, node.name)
            bare += [(owner, m.name) for m in public(node.body) if not inspect.getdoc(getattr(owner, m.name))]
    assert bare == []


def test_advertised_names_exist_once() -> None:
    for file in package():
        module = importlib.import_module(module_name(file))
        names = getattr(module, "__all__", [])
        assert [name for name in names if not hasattr(module, name) or names.count(name) > 1] == [], file


def test_public_surface_is_small() -> None:
    assert len(ssl_mix.__all__) <= 40


def test_files_are_short() -> None:
    lengths = {str(path): len(path.read_text().splitlines()) for path in FILES}
    assert {path: length for path, length in lengths.items() if length > 300} == {}


def test_functions_are_short() -> None:
    nodes = [(file, node) for file, tree in (package() | scripts()).items() for node in ast.walk(tree)]
    long = [(f, node.name, size(node)) for f, node in nodes if isinstance(node, Function) and size(node) > 60]
    assert long == []


def test_text_is_plain_ascii() -> None:
    texts = [*FILES, *(ROOT / "scripts").rglob("*.py"), *(ROOT / "scripts").glob("*.sh"), ROOT / "setup.cfg"]
    odd = set(range(128, 256)) | set(b"\t\r")
    assert [path for path in texts if odd & set(path.read_bytes())] == []


def test_imports_are_absolute() -> None:
    nodes = [(file, node) for file, tree in package().items() for node in ast.walk(tree)]
    assert [(f, n.lineno) for f, n in nodes if isinstance(n, ast.ImportFrom) and n.level] == []


def test_imports_point_downwards() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    used = {file: imported_parts(tree) - {part(file), ""} for file, tree in package().items() if part(file)}
    upwards = {
        file: wrong
        for file, names in used.items()
        if (wrong := {name for name in names if floor[name] >= floor[part(file)]})
    }
    assert upwards == {}


def test_the_engine_knows_no_algorithm() -> None:
    assert not [
        f for f, tree in package().items() if part(f) == "engine" and "algorithms" in imported_parts(tree)
    ]


def test_numbers_of_things_are_words_of_one_function() -> None:
    """``counts_of`` writes "1 file" where a string would have "1 files"."""
    things = re.compile(r" (?:[a-z-]+ )?(files|images|masks|rows|labels|lines|cells|steps|runs|pairs)\b")
    texts = [
        (file, ast.unparse(number.value))
        for file, tree in package().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for number, text in itertools.pairwise(node.values)
        if isinstance(number, ast.FormattedValue)
        and isinstance(text, ast.Constant)
        and things.match(str(text.value))
    ]
    assert [text for text in texts if re.match(r"len\(|sum\(|\w*count\b|.*steps\b", text[1])] == []


def test_few_modules_are_loose() -> None:
    assert {path.stem for path in (ROOT / "ssl_mix").glob("*.py")} == LOOSE
