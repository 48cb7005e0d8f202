"""A mistake in the words of a command is told in one sentence, with what was expected and meant."""

import pytest

from ssl_mix.cli.main import main

TRAIN = ["train", "fixmatch", "--data", "digits"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*TRAIN, "--steps", "1e3"], "--steps must be a whole number, got '1e3': write 1000"),
        ([*TRAIN, "--seed", "1e30"], "--seed must be a whole number, got '1e30'\n"),
        ([*TRAIN, "--eval-every=1e2"], "--eval-every must be a whole number, got '1e2': write 100"),
        ([*TRAIN, "--class-weights", "1,2"], "must be numbers, got '1,2': write 1 2, with spaces"),
        ([*TRAIN, "--threshold", "0,95"], "--threshold must be a number, got '0,95': write 0.95"),
        ([*TRAIN, "--class-weights", "1", "x"], "--class-weights must be numbers, got '1 x'"),
        ([*TRAIN, "--lr"], "--lr needs a value behind it"),
        ([*TRAIN, "--norms", "froze"], "--norms must be one of frozen, training, got"),
        ([*TRAIN, "--augment", "augmx"], "got 'augmx'. Did you mean 'augmix'?"),
        (["train", "fixmatch", "-labeled", "x"], "Did you mean --labeled?"),
        (["predict", "r", "i", "-out", "x"], "'-out' means nothing here"),
        (["predict"], "predict needs PATH (folder of the run, or a file that export has written) and --out"),
        (["resume", "r", "--steps", "ten"], "--steps must be a whole number, got 'ten'"),
        (["evaluate", "r", "--suit", "x"], "evaluate has no option --suit. Did you mean --suite?"),
        (["export", "r", "--to", "onx", "--out", "x"], "--to must be one of onnx,"),
        (["list", "algorithm"], "Did you mean 'algorithms'?"),
        (["--seed", "1", "train", "fixmatch"], "expected a command before --seed"),
    ],
)
def test_one_sentence(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    said = capsys.readouterr().err
    assert said.startswith("ssl-mix: ") and said.count("\n") == 1 and told in said
