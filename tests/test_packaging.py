"""What an installed package holds, what it leaves alone, and that importing one part does not load the
rest."""

import ast
import configparser
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import ssl_mix

ROOT = Path(__file__).resolve().parents[1]
MAPPED = ("algorithms", "datasets")
FOLDERS = {"ssl_mix": ROOT / "ssl_mix", **{f"ssl_mix.{name}": ROOT / name for name in MAPPED}}
DISTRIBUTIONS = {"pillow_heif": "pillow-heif", "PIL": "pillow", "sklearn": "scikit-learn"}
HEAVY = (
    "tyro",
    "rich",
    "matplotlib",
    "sklearn",
    "scipy",
    "tensorboard",
    "torchvision",
    "PIL",
    "timm",
    "psutil",
    "safetensors",
)


def sources() -> dict[str, Path]:
    """Every module of the package by its name, from the folders and not through the links."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            if package != "ssl_mix" or parts[0] not in MAPPED:
                found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


def setup_cfg() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def run_python(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONSAFEPATH": "", **variables},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that ``python -m build`` makes, by way of the sdist, from a copy of what a build reads."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    for name in ("ssl_mix", *MAPPED):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    pytest.importorskip("build")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    made = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    (found,) = (copy / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has put the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, str(folder), str(wheel)], cwd=folder, check=True, capture_output=True)
    return folder


def test_setup_cfg_lists_every_package() -> None:
    listed = setup_cfg()["options"]["packages"].split()
    assert sorted(listed) == sorted(name for name, path in sources().items() if path.name == "__init__.py")


def test_every_folder_with_modules_is_a_package() -> None:
    assert [path for path in sources().values() if not (path.parent / "__init__.py").exists()] == []


@pytest.mark.parametrize("name", MAPPED)
def test_link_is_the_folder_or_absent(name: Any) -> None:
    link = ROOT / "ssl_mix" / name
    assert not link.exists() or link.samefile(ROOT / name)


@pytest.mark.parametrize("name", MAPPED)
def test_bare_name_is_refused(name: Any) -> None:
    found = run_python(f"import {name}", ROOT)
    assert found.returncode == 1
    assert f"ImportError: this folder is the package ssl_mix.{name}, not '{name}'" in found.stderr


@pytest.mark.parametrize("name", MAPPED)
def test_bare_name_is_left_to_others(name: Any, tmp_path: Path) -> None:
    found = run_python(
        f"from importlib.util import find_spec as f; s = f({name!r}); print(s and s.origin)",
        tmp_path,
        PYTHONPATH="",
    )
    assert found.returncode == 0, found.stderr
    assert not Path(found.stdout.strip()).is_relative_to(ROOT / name)


def test_wheel_holds_the_sources_the_photographs_the_page_and_nothing_else(wheel: Any) -> None:
    photographs = {f"ssl_mix/datasets/caltech_mini.{kind}" for kind in ("zip", "txt")}
    page = {f"ssl_mix/reports/page.{kind}" for kind in ("html", "css", "js")}
    expected = {"ssl_mix/py.typed", *photographs, *page}
    for name, path in sources().items():
        folder = name.replace(".", "/")
        expected.add(f"{folder}/__init__.py" if path.name == "__init__.py" else f"{folder}.py")
    names = zipfile.ZipFile(wheel).namelist()
    metadata = f"ssl_mix-{ssl_mix.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(metadata)} == expected


def test_installed_package_imports_from_elsewhere(installed: Any, tmp_path: Path) -> None:
    code = f"import sys, {', '.join(FOLDERS)}\nfor n in {list(FOLDERS)}: print(sys.modules[n].__file__)"
    found = run_python(code, tmp_path, PYTHONPATH=str(installed))
    assert found.returncode == 0, found.stderr
    expected = [installed / name.replace(".", "/") / "__init__.py" for name in FOLDERS]
    assert [Path(line) for line in found.stdout.splitlines()] == expected


def test_installed_metadata(installed: Any) -> None:
    (found,) = importlib.metadata.distributions(path=[str(installed)])
    (command,) = found.entry_points.select(group="console_scripts")
    assert (command.name, command.value) == ("ssl-mix", "ssl_mix.cli.main:main")
    assert (found.metadata["Name"], found.version) == ("ssl-mix", ssl_mix.__version__)
    assert found.metadata["Requires-Python"] == ">=3.10"
    assert callable(command.load())


def test_modules_import_under_their_names() -> None:
    for name, path in sources().items():
        module = importlib.import_module(name)
        assert Path(str(module.__file__)).samefile(path), name


def test_import_is_light(tmp_path: Path) -> None:
    """In one process, one after the other: a part cannot be imported without what stands above it."""
    code = "import sys\n"
    for module in ("ssl_mix", "ssl_mix.losses", "ssl_mix.mixers"):
        code += f"import {module}; print('{module}:', *sorted(set(sys.modules) & set({HEAVY})))\n"
    found = run_python(code, tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == ["ssl_mix:", "ssl_mix.losses:", "ssl_mix.mixers:"]


def imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_every_import_is_declared() -> None:
    extras = setup_cfg()["options.extras_require"]
    optional = [extras[name] for name in ("heif", "copies")]
    requirements = " ".join([setup_cfg()["options"]["install_requires"], *optional]).split()
    declared = {re.split(r"[<>=!~\[]", requirement)[0] for requirement in requirements}
    extra = {*extras["lora"].split(), *extras["onnx"].split()} - {"onnxscript"}  # which torch imports
    used = set().union(*map(imported, sources().values())) - sys.stdlib_module_names - {"ssl_mix"}
    assert {DISTRIBUTIONS.get(name, name) for name in used} - declared == extra
