"""``ssl-mix check`` says what ``train`` would do, and does nothing."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_mix.cli.check import cell, duration, print_rows, size_range
from ssl_mix.cli.main import main

QUICK = ["--steps", "30", "--batch-size", "4", "--threads", "1"]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def row(output: str, name: str) -> list[str]:
    """The cells of a row behind its first."""
    line = next(line for line in output.splitlines() if re.match(rf"\W*{name} *[|│]", line))
    return [cell.strip() for cell in re.split("[|│]", line)[2:-1]]


def folders() -> None:
    """Two classes, an unlabeled folder with a copy of a labeled image, one of a test image, and junk."""
    generator = np.random.default_rng(0)
    for part, count in (("labeled", 3), ("test", 2), ("unlabeled", 4)):
        for name in ("dark", "light"):
            folder = Path(part) if part == "unlabeled" else Path(part, name)
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                pixels = generator.integers(0, 256, (20 + index, 30, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{part}-{name}-{index}.png")
    Path("unlabeled/copy.png").write_bytes(Path("labeled/dark/labeled-dark-0.png").read_bytes())
    Path("unlabeled/leak.png").write_bytes(Path("test/light/test-light-1.png").read_bytes())
    Path("unlabeled/broken.jpg").write_text("no image")
    Path("labeled/notes.txt").write_text("no image either")


def test_folders_are_looked_through(capsys: pytest.CaptureFixture[str]) -> None:
    folders()
    before = sorted(Path().rglob("*"))
    data = ["--labeled", "labeled", "--unlabeled", "unlabeled", "--test", "test", "--image-size", "16"]
    main(["check", "fixmatch", *data, "--net", "small-cnn", *QUICK])
    output, notes = capsys.readouterr()
    assert sorted(Path().rglob("*")) == before
    assert row(output, "dark") == row(output, "light") == ["3", "?", "2"]
    assert row(output, "all") == ["6", "9", "4"]
    assert row(output, "found") == ["30x20 to 30x23 (4 sizes) pixels"]
    assert row(output, "seen by the network") == ["16x16 pixels, RGB"]
    assert row(output, "files that are read") == ["19 .png"]
    assert row(output, "broken") == ["1 .jpg"]
    assert row(output, "left out, see the notes") == ["1 .png"]
    assert row(output, "passed over, no images") == ["1 .txt"]
    assert row(output, "copies, unlabeled and test") == ["1 test image"]
    assert row(output, "name") == ["small-cnn"] and row(output, "first weights") == ["random"]
    assert row(output, "labeled") == ["4 a step, views weak, 20.0 epochs"]
    assert row(output, "device") == ["cpu, 1 thread"] and "sgd, rate 0.03" in row(output, "optimizer")[0]
    assert row(output, "unlabeled") == ["28 a step, views weak strong, 93.3 epochs"]
    assert "s a step" in row(output, "time")[0] and "GiB" in row(output, "memory")[0]
    assert "broken.jpg" in notes and "labeled too (the same bytes)" in notes


def test_a_long_path_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("title", [("first weights", "/a" * 100)])
    output = capsys.readouterr().out
    assert "".join(re.findall(r"[/a]{2,}", output.replace("title", ""))) == "/a" * 100


def test_named_data_and_weights_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    digits = ["--data", "digits", "--labels", "40", *QUICK]
    main(["train", "supervised", *digits, "--out", "run"])
    capsys.readouterr()
    main(["check", "fine-tuning", *digits, "--net", "run", "--validation", "0.5"])
    output, notes = capsys.readouterr()
    assert row(output, "all") == ["20", "20", "1,397", "360"]
    assert row(output, "unlabeled") == ["not used by this algorithm"]
    assert f"firstweights{Path('run').absolute()}" in re.sub(r"[\s|│]", "", output)  # a long path is folded
    assert row(output, "copies between parts") == ["none"]
    assert "the head is that of" in notes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fixmatch"], "nothing to learn from"),
        (["fixmatch", "--data", "digits", "--labels", "42"], "take 40 or 50"),
        (["fixmatch", "--data", "digits"], "needs unlabeled images"),
        (["fixmatch", "--data", "digits", "--labels", "40", "--net", "wrn28-2"], "Did you mean"),
        (["fixmatch", "--data", "digits", "--labels", "40", "--out", "taken"], "choose another --out"),
        (["fixmatch", "--data", "digits", "--labels", "40", "--device", "cuda:99"], "use --device cpu"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_train_refuses_is_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").mkdir()
    Path("taken/file").write_text("mine")
    for command in ("check", "train"):
        with pytest.raises(SystemExit) as stop:
            main([command, "--out", "x", *words, *QUICK])
        output, told = capsys.readouterr()
        assert (stop.value.code, output) == (2, "") and message in re.sub(r"\s+", " ", told)
    assert not Path("x").exists()


def test_numbers_are_in_words() -> None:
    assert [cell(counts) for counts in ([3], [1, 4000, 2], [None], [2, 2])] == ["3", "1 to 4,000", "?", "2"]
    assert [duration(seconds) for seconds in (90, 600, 7200)] == ["90.0 seconds", "10.0 minutes", "2.0 hours"]
    assert size_range({(4, 3)}) == "4x3 pixels"


def test_images_that_look_the_same_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("imagehash")
    folders()
    small = np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC)
    image.save("test/dark/seen.png")
    image.resize((96, 96)).save("labeled/dark/seen.jpg", quality=70)
    image.save("labeled/light/other.webp", quality=80)
    data = ["--labeled", "labeled", "--unlabeled", "unlabeled", "--test", "test", "--image-size", "32"]
    main(["check", "fixmatch", *data, "--net", "small-cnn", *QUICK])
    output, notes = capsys.readouterr()
    assert row(output, "near copies, labeled and test") == ["1 test image"]
    assert "labeled/dark/seen.jpg = " in notes and "labeled/light/other.webp" in notes
    assert "in two classes (they look the same)" in notes and "--drop-copies near" in notes
