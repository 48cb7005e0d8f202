"""Help is short, or whole, and costs no more than it must."""

import re
import subprocess
import sys

import pytest

from ssl_mix.cli.help import FIRST, option_groups
from ssl_mix.cli.main import COMMANDS, main

HEAVY = ("torch", "torchvision", "timm", "sklearn", "numpy", "matplotlib", "tyro", "rich")


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_the_first_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from ssl_mix.cli.main import main\n"
        f"main({words!r}); print(*sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.split() == []
    assert "ssl-mix" in found.stdout
    assert words == ["--version"] or all(re.search(rf"^  {name} ", found.stdout, re.M) for name in COMMANDS)


@pytest.mark.parametrize("algorithm", ["fixmatch", "self-tuning", "supervised"])
def test_the_short_help_has_eight_flags_and_names_the_groups(
    algorithm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", algorithm, "--help"])
    output = capsys.readouterr().out
    boxes, _, groups = output.partition("More options, which --help-all explains:")
    assert len(output.splitlines()) <= 60
    explained = set(re.findall(r"^[│ ] --([a-z][a-z-]*)", boxes, re.M))
    assert explained == set(FIRST) and len(FIRST) == 8
    for group, names in option_groups(algorithm).items():
        line = next(line for line in groups.splitlines() if line.startswith(f"  {group}:"))
        others = [f"--{name.replace('_', '-')}" for name in names if name not in FIRST]
        assert line.split()[1:] == others and (others or group != "algorithm")


def test_help_without_an_algorithm_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--help"])
    output = capsys.readouterr().out
    assert "ssl-mix train ALGORITHM" in output and re.search(r"^fixmatch +Learn from confident", output, re.M)


@pytest.mark.parametrize(("data", "weight"), [("cifar10", "100.0"), ("cifar100", "150.0")])
@pytest.mark.parametrize("first", ["mixmatch", "--help-all"])
def test_help_shows_the_defaults_of_the_recipe(
    data: str, weight: str, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"mixmatch", "--help-all"} - {first}
    main(["train", first, "--recipe", "paper", "--data", data, *words])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    net = "wrn-28-8" if data == "cifar100" else "wrn-28-2"
    for default in ("1048576", net, weight):
        assert f"(default: {default})" in shown


def test_help_speaks_of_flags(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "fixmatch", "--help-all"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Not needed with --train, --labeled or --table" in shown and "``labeled``" not in shown


def test_check_has_the_help_of_train_by_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "fixmatch", "--help"])
    assert "usage: ssl-mix check fixmatch" in capsys.readouterr().out


def test_help_is_wrapped_once_and_names_no_flags_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["resume", "--help"])
    lines = [line.strip(" |│") for line in capsys.readouterr().out.splitlines()]
    assert not {"takes the place of the", "it takes the place of the"} & {*lines}  # as the source wraps it
    main(["train", "fixmatch", "--help-all"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--mixing" not in text and "--targets" not in text and "the terms" in text
