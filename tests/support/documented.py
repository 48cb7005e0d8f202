"""Commands and Python as the README and the pages of the site show them."""

import re
import shlex

import pytest

from ssl_mix.cli.main import main


def commands_of(text: str) -> list[str]:
    """Every ``ssl-mix`` command of a text that names where it writes, each once, on one line."""
    joined = text.replace("\\\n", " ")
    found = re.findall(
        r"ssl-mix (?:demo|train|resume|predict|suggest|audit|transfer|show-mixers)[^`\n|]*--out [^`\n]*",
        joined,
    )
    return sorted({" ".join(command.split()) for command in found})


def flags_of(text: str) -> set[str]:
    """The flags that a text names, without the "no-" of a switch."""
    return {f"--{name}" for name in re.findall(r"(?<![\w-])--(?:no-)?([a-z][a-z-]+)", text)}


def python_of(text: str) -> list[str]:
    """The Python blocks of a text."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What ``ssl-mix WORDS --help`` prints."""
    status: object = None
    try:
        main([*words, "--help"])
    except SystemExit as ended:
        status = ended.code
    shown, told = capsys.readouterr()
    assert not status and "usage: ssl-mix" in shown, f"{words}: status {status}, {told}"
    return shown


def unknown_flags(command: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The flags of a command that its own help does not name."""
    words = shlex.split(command)[1:]
    verb = words[:2] if words[0] == "train" else words[:1]
    return sorted(flags_of(command) - flags_of(help_of(verb, capsys)))
