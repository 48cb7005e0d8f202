"""Options of runs that mean nothing for an exported network are refused, each by name."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from ssl_mix.cli.evaluate import evaluate_command
from ssl_mix.cli.main import main
from ssl_mix.cli.use import predict_command

OF_RUNS: dict[str, dict[str, list[str] | None]] = {
    "predict": {
        "calibrated": [],
        "reject": ["0.05"],
        "weights": ["best"],
        "device": ["cpu"],
        "amp": ["bf16"],
    },
    "evaluate": {
        "suite": ["accuracy"],
        "options": None,  # a group of flags
        "data_dir": ["data"],
        "among_classes": [],
        "crops": ["ten"],
        "weights": ["best"],
        "device": ["cpu"],
        "amp": ["bf16"],
    },
}
OF_BOTH = {
    "predict": {"run", "paths", "out", "top", "overwrite"},
    "evaluate": {"run", "test", "confusion", "overwrite", "json"},
}
COMMANDS: dict[str, Any] = {"predict": predict_command, "evaluate": evaluate_command}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_its_place(command: str) -> None:
    assert (
        OF_RUNS[command].keys() | OF_BOTH[command] == inspect.signature(COMMANDS[command]).parameters.keys()
    )


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [
        (command, option, values)
        for command, options in OF_RUNS.items()
        for option, values in options.items()
        if values is not None
    ],
)
def test_an_option_of_runs_is_refused(
    command: str, option: str, values: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.onnx").touch()
    own = ["x.png", "--out", str(tmp_path / "out.csv")] if command == "predict" else ["--test", "test"]
    flag = f"--{option.replace('_', '-')}"
    with pytest.raises(SystemExit) as stopped:
        main([command, str(tmp_path / "net.onnx"), *own, flag, *values])
    assert stopped.value.code == 2
    assert f"is an exported network: {flag} is for runs" in " ".join(capsys.readouterr().err.split())
