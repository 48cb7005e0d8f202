"""The command line as a user types it."""

import csv
import re
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.cli.main import main
from ssl_mix.engine.config import TrainConfig
from ssl_mix.mixers import MIXERS
from ssl_mix.rebalance import ADDONS
from ssl_mix.recipes import RECIPES
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.run import NESTED

QUICK = ["--steps", "4", "--batch-size", "4", "--threads", "1"]
DIGITS = ["--data", "digits", "--labels", "20", *QUICK]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def mistake(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The message on stderr of a command that must end with status 2 and print nothing else."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    output, message = capsys.readouterr()
    assert stop.value.code == 2
    assert output == "" and "Traceback" not in message
    return re.sub(r"\s+", " ", message)


def folders(root: Path, size: int = 20) -> None:
    """train, test and labeled with two classes of colors, unlabeled with both."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 3), ("labeled", 3), ("unlabeled", 8)):
        for label, name in enumerate(("dark", "light")):
            folder = root / part if part == "unlabeled" else root / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                pixels = generator.integers(0, 90, (size, size, 3)) + 150 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{part}-{name}-{index}.png")


@pytest.mark.parametrize(
    "arguments",
    [
        ["fixmatch", *DIGITS, "--seed", "1"],
        *[[name, *DIGITS, "--mix", "dm-as"] for name in ("mixmatch", "comatch", "meta-pseudo-labels", "s4l")],
        ["supervised", *DIGITS, "--mixer", "mixup", "--mix", "dm"],
        ["supervised", "--data", "digits", *QUICK, "--mix", "mixup", "--mixer", "cutmix"],
        [
            *("supervised", *DIGITS, "--mixer", "cutmix", "--mix", "dm", "--label-policy", "lumix"),
            *("--regularizer", "sem", "--stop-mixing", "0.25"),
        ],
        ["supervised", *DIGITS, "--mix", "mixup", "--mixer", "automix", "--label-smoothing", "0.1"],
        ["fixmatch", *DIGITS, "--validation", "0.5", "--labels", "40"],
        ["fixmatch", *DIGITS, "--device", "cpu", "--amp", "bf16", "--log-every", "1", "--eval-every", "2"],
    ],
    ids=" ".join,
)
def test_train_and_use_what_was_trained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", *arguments, "--out", "run"])
    output = capsys.readouterr().out
    assert "step 4/4" in output and "test accuracy, last" in output and "ssl-mix evaluate run" in output
    main(["evaluate", "run"])
    assert "360 test images" in capsys.readouterr().out
    Image.new("L", (8, 8), 90).save("digit.png")
    main(["predict", "run", "digit.png", "--out", "predictions.csv", "--top", "2"])
    rows = list(csv.DictReader(Path("predictions.csv").read_text().splitlines()))
    assert (
        [row["file"] for row in rows] == ["digit.png"] and "class_2" in rows[0] and "class_3" not in rows[0]
    )
    main(["resume", "run"])
    assert "test accuracy, last" in capsys.readouterr().out


def test_folder_with_a_sub_folder_per_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(tmp_path)
    options = ["--labels-per-class", "2", "--image-size", "16", "--net", "wrn-28-1", *QUICK]
    main(
        [
            "train",
            "fixmatch",
            "--data",
            "folder",
            "--train",
            "train",
            "--test",
            "test",
            *options,
            "--out",
            "run",
        ]
    )
    capsys.readouterr()
    main(["pseudo-labels", "run", "--out", "labels.csv"])
    rows = list(csv.DictReader(Path("labels.csv").read_text().splitlines()))
    assert 0 < len(rows) <= 8
    told = capsys.readouterr().out
    assert told.startswith(f"{len(rows)} pseudo-labels in labels.csv")
    assert (f"the other {8 - len(rows)} yet" in told) == (len(rows) < 8)
    assert {row["class"] for row in rows} <= {"dark", "light"}
    assert all(Path(row["file"]).exists() for row in rows)
    Path("broken.png").write_text("no image")
    capsys.readouterr()
    main(["predict", "run", "test", "broken.png", "--out", "predictions.csv"])
    output, notes = capsys.readouterr()
    assert "6 predictions" in output and "broken.png" in notes
    main(["evaluate", "run", "--test", "test"])
    assert "dark" in capsys.readouterr().out


@pytest.mark.parametrize("test", [[], ["--test", "test"]], ids=["no test", "test"])
def test_a_labeled_and_an_unlabeled_folder(
    tmp_path: Path, test: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folders(tmp_path)
    options = ["--labeled", "labeled", "--unlabeled", "unlabeled", "--image-size", "16", "--net", "small-cnn"]
    main(["train", "fixmatch", *options, *test, *QUICK, "--out", "run"])
    assert ("test accuracy, last" in capsys.readouterr().out) == bool(test)
    if not test:
        assert "--test DIR" in mistake(["evaluate", "run"], capsys)


def test_labeled_images_alone_are_enough_to_fine_tune(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders(tmp_path)
    folder = ["--labeled", "labeled", "--test", "test", "--image-size", "16"]
    options = [*folder, "--net", "small-cnn", "--pretrained", "none", *QUICK]
    main(["train", "fine-tuning", *options, "--out", "run"])
    assert "6 labeled, 0 held out and 0 unlabeled images, 2 classes" in capsys.readouterr().out
    assert "choose fewer labels" in mistake(["train", "fixmatch", *options, "--out", "other"], capsys)
    main(["train", "fine-tuning", *options, "--unlabeled", "unlabeled", "--out", "both"])
    assert "16 unlabeled images (not used)" in capsys.readouterr().out
    main(["evaluate", "both", "--test", "labeled"])  # how well it knows what it learned from may be asked for
    assert "6 test images" in capsys.readouterr().out


def test_list_names_everything_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list"])
    output = capsys.readouterr().out
    others = ("small-cnn", "wrn-28-K", "digits", "cifar100", "folder")
    for name in (*ALGORITHMS, *MIXERS, *ADDONS, *others, *RECIPES):
        assert re.search(rf"^ *{re.escape(name)} +\S", output, re.MULTILINE), name


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tran"], "unknown command 'tran'.*Did you mean 'train'"),
        (["train", "fixmach"], "got 'fixmach'. Did you mean 'fixmatch'"),
        (
            ["train", "fixmatch", "--treshold", "0.9", "--out", "x"],
            "fixmatch has no option --treshold. Did you mean --threshold",
        ),
        (
            ["train", "fixmatch", *DIGITS, "--threshold", "1.5", "--out", "x"],
            r"threshold must lie in \[0, 1\], got 1.5",
        ),
        (
            ["train", "fixmatch", *DIGITS, "--steps", "0", "--out", "x"],
            "^ssl-mix: steps must be above 0, got 0 $",
        ),
        (["train", "fixmatch", *DIGITS, "--mix", "dmas", "--out", "x"], "dm-as"),
        (
            ["train", "bss", *DIGITS, "--mix", "dm", "--out", "x"],
            r"^ssl-mix: bss takes no mixing terms \(--mix\)",
        ),
        (["train", "supervised", *DIGITS, "--mix", "as", "--out", "x"], "supervised training has none"),
        (["train", "supervised", *DIGITS, "--label-policy", "lumix", "--out", "x"], "choose --mix mixup or"),
        (["train", "fixmatch", *DIGITS, "--device", "cuda:99", "--out", "x"], "'cuda:99' is not there"),
        (["train", "fixmatch", *DIGITS, "--device", "gpu", "--out", "x"], "auto, cpu or cuda, got 'gpu'"),
        (["train", "fixmatch", *DIGITS, "--net", "wrn28-2", "--out", "x"], "Did you mean 'wrn-28-2'"),
        (["train", "fixmatch", *DIGITS, "--recipe", "papr", "--out", "x"], "Did you mean 'paper'"),
        (["train", "fixmatch", *QUICK, "--data", "digits", "--labels", "0", "--out", "x"], "above 0, got 0"),
        (["train", "fixmatch", *QUICK, "--data", "digits", "--labels", "42", "--out", "x"], "take 40 or 50"),
        (
            ["train", "fixmatch", *QUICK, "--data", "digits", "--labels", "5000", "--out", "x"],
            "fewer than the 500",
        ),
        (["train", "fixmatch", *QUICK, "--out", "x"], "nothing to learn from"),
        (["train", "fixmatch", *QUICK, "--unlabeled", "a", "--out", "x"], "--unlabeled needs --labeled"),
        (["train", "fixmatch", *QUICK, "--labeled", "a", "--test", "b/../a", "--out", "x"], "same folder"),
        (["train", "fixmatch", *QUICK, "--data", "folder", "--out", "x"], "needs --train DIR"),
        (
            ["train", "fixmatch", *QUICK, "--data", "digits", "--test", "a", "--out", "x"],
            "--data digits takes no --test, only these do: folder",
        ),
        (["train", "fixmatch", *QUICK, "--data", "folder", "--train", "nowhere", "--out", "x"], "nowhere"),
        (["train", "fixmatch", *QUICK, "--data", "cifar10", "--labels", "40", "--out", "x"], "--download"),
        (["resume", "nowhere"], "nowhere holds no run: there is no such folder"),
        (["evaluate", "nowhere"], "nowhere holds no run"),
        (["predict", "nowhere", "a.png", "--out", "p.csv"], "nowhere holds no run"),
        (["pseudo-labels", "nowhere", "--out", "l.csv"], "nowhere holds no run"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_mistakes_end_with_one_clear_message(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(expected, mistake(arguments, capsys))
    assert not Path("x").exists()


def test_options_of_mixing_that_mean_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "fixmatch", *DIGITS, "--eta=0.3", "--out", "run"]
    assert "--eta has no effect with --mix none: choose mixup" in mistake(words, capsys)
    assert not Path("run").exists()


def test_mistakes_in_using_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "supervised", *DIGITS, "--out", "run"])
    capsys.readouterr()
    assert "already holds a run" in mistake(["train", "supervised", *DIGITS, "--out", "run"], capsys)
    assert "does not exist" in mistake(["predict", "run", "nowhere.png", "--out", "p.csv"], capsys)
    Path("empty").mkdir()
    assert "holds no images" in mistake(["predict", "run", "empty", "--out", "p.csv"], capsys)
    assert "does not exist: make it first" in mistake(
        ["predict", "run", "a.png", "--out", "no/p.csv"], capsys
    )
    assert "top must be above 0" in mistake(
        ["predict", "run", "a.png", "--out", "p.csv", "--top", "0"], capsys
    )
    assert "Supervised makes none" in mistake(["pseudo-labels", "run", "--out", "l.csv"], capsys)


def test_ctrl_c_outside_training_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ssl_mix.cli.train.start", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(["train", "fixmatch", *DIGITS, "--out", "x"])
    assert stop.value.code == 130
    begins = "note: x had not begun, and nothing is kept of it: the same command starts again\n"
    assert capsys.readouterr().err == f"{begins}ssl-mix: interrupted\n"


def test_debug_shows_where_a_mistake_was_found() -> None:
    with pytest.raises(ValueError, match="holds no run"):
        main(["--debug", "resume", "nowhere"])


@pytest.mark.parametrize("command", ["demo", "resume", "evaluate", "predict", "pseudo-labels", "list"])
def test_help_of_each_command_explains_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    output = capsys.readouterr().out
    assert stop.value.code == 0
    assert f"ssl-mix {command}" in output
    documented = {"demo": "unlabeled images", "list": "a line each"}.get(command, "folder of the run")
    assert documented in re.sub(r"[\s│]+", " ", output)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_flag_of_train_has_its_help(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")  # one column
    main(["train", name, "--help-all"])
    output = capsys.readouterr().out
    parts = (ALGORITHMS[name], DataOptions, NetOptions, TrainConfig)
    names = {keyword for part in parts for keyword in signature(part).parameters}
    for group in NESTED.keys() & names:
        names = names - {group} | set(signature(NESTED[group]).parameters)
    for keyword in (*names, "out", "overwrite", "recipe"):
        flag = "--" + keyword.replace("_", "-")
        found = re.search(
            rf"^[│ ] {flag}[ ,].*?\((default|required|optional)", output, re.DOTALL | re.MULTILINE
        )
        assert found, flag
        explained = re.sub(r"--\S+|\{.*?\}|\((default|optional).*|[│\s]+", " ", found[0])
        assert len(re.findall(r"[a-z]{3,}", explained)) >= 2, f"{flag} is not explained"


def test_show_mixers_draws_every_mixer_that_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(tmp_path)
    main(["show-mixers", "--data", "folder", "--train", "train", "--out", "grid.png", "--sizes", "16", "8"])
    picture = np.asarray(Image.open("grid.png").convert("L"))
    assert picture.std() > 20  # something is drawn
    notes = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert "manifoldmix at 16 x 16: it mixes hidden layers" in notes
    assert "patchshuffle at 8 x 8" in notes and "patchshuffle at 16 x 16" not in notes


def test_show_mixers_asks_the_network_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(tmp_path)
    train = ["--data", "folder", "--train", "train"]
    main(["train", "supervised", *train, *QUICK, "--net", "small-cnn", "--out", "run"])
    main(["show-mixers", *train, "--out", "grid.png", "--sizes", "16", "--run", "run"])
    assert "random weights" not in capsys.readouterr().out
    message = mistake(["show-mixers", *DIGITS[:2], "--out", "other.png", "--run", "run"], capsys)
    assert "3 channels" in message
    message = mistake(["show-mixers", *train, "--out", "nowhere/grid.png"], capsys)
    assert "does not exist: make it first" in message


def test_a_home_that_the_shell_left_and_a_folder_with_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "my home"))
    main(["train", "supervised", *DIGITS, "--out=~/run"])
    assert (tmp_path / "my home" / "run" / "config.json").exists() and not Path("~").exists()
    assert f"ssl-mix evaluate '{tmp_path}/my home/run'\n" in capsys.readouterr().out
    again = mistake(["train", "supervised", *DIGITS, "--out", "~/run"], capsys)
    assert f"(ssl-mix resume '{tmp_path}/my home/run')" in again
