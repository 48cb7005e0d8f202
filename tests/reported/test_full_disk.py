"""A full disk ends in one sentence, and what was there before stays: files may grow to a limit alone."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ssl_mix.cli.main import main
from ssl_mix.runs.checkpoint import read_checkpoint
from ssl_mix.runs.trained import load_trained

resource = pytest.importorskip("resource")
DIGITS = ["--data", "digits", "--labels", "20", "--batch-size", "4", "--threads", "1", "--net", "small-cnn"]
LIMITS = (0, 500, 5_000, 500_000)  # a checkpoint is larger


@contextmanager
def files_below(size: int) -> Iterator[None]:
    """Within the block no file of this process can grow beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def ending(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence that a command ends with; "" for a result."""
    try:
        main(words)
    except SystemExit as stop:
        said = capsys.readouterr().err
        sentences = [line for line in said.splitlines() if line.startswith("ssl-mix: ")]
        assert stop.code in (1, 2) and len(sentences) == 1 and "Traceback" not in said
        return sentences[0]
    return ""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    main(["train", "supervised", *DIGITS, "--steps", "3", "--out", str(folder)])
    return folder


@pytest.mark.parametrize("limit", LIMITS)
def test_a_full_disk_ends_in_one_sentence_and_leaves_what_was_there(
    limit: int, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, table = tmp_path / "run", tmp_path / "matrix.csv"
    shutil.copytree(trained, run)
    table.write_text("kept")
    capsys.readouterr()
    with files_below(limit):
        began = ending(
            ["train", "supervised", *DIGITS, "--steps", "3", "--out", str(tmp_path / "new")], capsys
        )
        went_on = ending(["resume", str(run), "--steps", "6"], capsys)
        told = ending(["evaluate", str(run), "--confusion", str(table), "--overwrite"], capsys)
    assert began and went_on and bool(told) == (limit == 0)
    assert (table.read_text() == "kept") == bool(told)
    assert load_trained(run).step in (3, 4, 5, 6) and read_checkpoint(run / "checkpoint.pt")
    assert not list(tmp_path.rglob("*.partial"))
    assert ending(["resume", str(run), "--steps", "8"], capsys) == ""  # with room again
