"""Commands and Python as the README and the pages of the site show them."""

import re
import shlex

import pytest

from ssl_mix.cli.main import main

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def commands_of(text: str) -> list[str]:
    """Every ``ssl-mix`` command of a text that names where it writes, each once, on one line."""
    joined = text.replace("\\\n", " ")
    found = re.findall(r"ssl-mix (?:demo|train|resume|predict|show-mixers)[^`\n|]*--out [^`\n]*", joined)
    return sorted({" ".join(command.split()) for command in found})


def python_of(text: str) -> list[str]:
    """The Python blocks of a text."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What ``ssl-mix WORDS --help`` prints."""
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def unknown_flags(command: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The flags of a command that its own help does not name."""
    words = shlex.split(command)[1:]
    flags = {word.partition("=")[0] for word in words if word.startswith("--")}
    verb = words[:2] if words[0] == "train" else words[:1]
    return sorted(flags - set(FLAG.findall(help_of(verb, capsys))))
