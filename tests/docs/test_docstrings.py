"""Every public name of the packages that serve other people's loops shows an example that runs."""

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

PACKAGES = ("ssl_mix.datasets", "ssl_mix.evaluation", "ssl_mix.losses", "ssl_mix.mixers")


def documented(package: str) -> dict[str, Any]:
    """The public functions and classes of a package."""
    module = importlib.import_module(package)
    public = {name: getattr(module, name) for name in module.__all__}
    return {name: it for name, it in public.items() if inspect.isfunction(it) or inspect.isclass(it)}


NAMES = [(package, name) for package in PACKAGES for name in documented(package)]


@pytest.fixture
def small_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a folder of two cats, two dogs and two images without labels, which the examples name."""
    files = ["train/cat/1", "train/cat/2", "train/dog/1", "train/dog/2", "unlabeled/1", "unlabeled/2"]
    for number, name in enumerate(files):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(path)
    (tmp_path / "labels.txt").write_text("cat/1.png\ndog/2.png\n")
    table = "file,label\ntrain/cat/1.png,cat\ntrain/dog/1.png,dog\nunlabeled/1.png,\n"
    (tmp_path / "images.csv").write_text(table)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_examples_run(package: str, name: str, small_folder: None) -> None:
    """As after ``import torch``, ``from pathlib import Path`` and a star import of the package."""
    module = importlib.import_module(package)
    known = {public: getattr(module, public) for public in module.__all__}
    found = doctest.DocTestFinder(recurse=False).find(
        getattr(module, name), name, globs={"torch": torch, "Path": Path, **known}
    )
    assert [test for test in found if test.examples], f"{package}.{name} has no example in its docstring"
    told: list[str] = []
    torch.manual_seed(0)
    for test in found:
        doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert not told, "".join(told)
