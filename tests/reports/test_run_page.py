"""The page of a run: what is in it, that no text is taken for HTML, and what stands for missing parts."""

import json
import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_scene import HOSTILE, config_of, record_of, told_of

from ssl_mix.cli.main import main
from ssl_mix.cli.terminal import as_flags
from ssl_mix.reports.curves import charts
from ssl_mix.reports.headline import answer, command_of, data_name, duration
from ssl_mix.reports.run_page import run_page
from ssl_mix.reports.told import told_in

DIGITS = ["--data", "digits", "--batch-size", "8", "--threads", "1", "--steps", "4", "--log-every", "2"]


class Parts(HTMLParser):
    """Tags, addresses, texts and data of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.data: list[Any] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(page)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attributes)
        self.addresses += [given[name] or "" for name in ("src", "href") if name in given]
        self.inside = "json" if given.get("type") == "application/json" else tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "json":
            self.data.append(json.loads(data))
        elif self.inside not in ("script", "style"):
            self.words.append(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "run"
    few = ["--labels-per-class", "4", "--eval-every", "2", "--threshold", "0.1"]
    main(["train", "fixmatch", *DIGITS, *few, "--mix", "as", "--out", str(folder)])
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


def page_of(folder: Path) -> Parts:
    return Parts(run_page(told_in(folder, "cpu")))


def test_a_trained_run_leaves_a_whole_page(run: Path) -> None:
    for parts in (Parts((run / "report.html").read_text()), page_of(run)):
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        assert (
            f"{100 * last['test_accuracy']:.1f} % of 360 test images are recognized, 95 % interval"
            in parts.text
        )
        assert (
            "fixmatch learned digits from 40 labeled images of 10 classes and 1,397 unlabeled" in parts.text
        )
        assert "ssl-mix train fixmatch --data digits" in parts.text or "began in Python" in parts.text
        assert "--threshold 0.1 0.95" in parts.text and "{" not in parts.text  # no dictionary
        for heading in ("Accuracy by class", "Accuracy by confidence", "Pseudo-labels", "What mixers do"):
            assert heading in parts.text
        (matrix,) = [
            data for data in parts.data if "cells" in data and sum(c[2] for c in data["cells"]) == 360
        ]
        right = sum(images for truth, predicted, images in matrix["cells"] if truth == predicted)
        assert right / 360 == pytest.approx(last["test_accuracy"])
        galleries = [data for data in parts.data if "pictures" in data]
        assert list(galleries[0]["sets"])[:2] == ["most confident mistakes", "least sure"]
        assert len(galleries[0]["pictures"]) == 360
        for name, places in galleries[0]["sets"].items():
            chosen = [galleries[0]["pictures"][place] for place in places]
            if name == "most confident mistakes":
                assert all(one[1] != one[2] for one in chosen)
                assert [one[3] for one in chosen] == sorted((one[3] for one in chosen), reverse=True)
        assert "changed most" in galleries[1]["sets"] or "least sure" in galleries[1]["sets"]


def test_nothing_is_fetched_and_pictures_are_jpeg(run: Path) -> None:
    parts = page_of(run)
    assert all(address.startswith(("data:", "#part-")) for address in parts.addresses)
    assert parts.tags.count("script") == 1 + len(parts.data)
    uris = [picture[0] for data in parts.data if "pictures" in data for picture in data["pictures"]]
    assert uris and all(uri.startswith("data:image/jpeg;base64,") for uri in uris)


def test_names_of_classes_are_never_html(tmp_path: Path) -> None:
    told = told_of(tmp_path, HOSTILE, 30)
    page = run_page(told)
    parts = Parts(page)
    assert "<script>alert" not in page and "<b>name" not in page
    assert parts.tags.count("script") == 1 + len(parts.data) and "b" not in parts.tags
    for name in HOSTILE:
        assert re.sub(r"\s+", " ", name) in parts.text
        assert any(name in data.get("classes", ()) for data in parts.data)


def test_one_value_is_a_row_and_not_a_curve() -> None:
    once = charts([record_of(100, 0.5)])
    assert [block.kind for block in once] == ["table"]
    assert ("Accuracy", "test images", "50.00 %", "100") in once[0].rows
    mixed = charts([{"step": 50, "loss": 2.0}, record_of(100, 0.5)])
    assert [block.kind for block in mixed] == ["chart", "table", "fold"] or [b.kind for b in mixed] == [
        "chart",
        "table",
    ]
    assert all(len(series.points) > 1 for block in mixed if block.kind == "chart" for series in block.series)
    assert charts([]) == []


def test_a_long_run_has_short_curves_that_end_where_it_does() -> None:
    records = [record_of(step, step / 9999) for step in range(1, 9999)]
    (accuracy, *_) = charts(records)
    points = accuracy.series[0].points
    assert len(points) <= 500 and points[-1] == (9998, pytest.approx(100 * 9998 / 9999))
    assert [step for step, _ in points] == sorted(step for step, _ in points)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda run: (run / "checkpoint.pt").write_bytes(b"cut"), "no checkpoint|No checkpoint|recognized"),
        (lambda run: [p.unlink() for p in run.glob("checkpoint*")], "has no checkpoint yet"),
        (lambda run: (run / "split.json").unlink(), "Which images were labeled is not known"),
        (lambda run: (run / "labels.json").unlink(), "labels.json"),
        (lambda run: (run / "metrics.jsonl").unlink(), "nothing is recorded yet"),
        (
            lambda run: (run / "metrics.jsonl").write_text('{"step": 1}\nno\n{"step": 2}\n'),
            "nothing is recorded",
        ),
        (lambda run: (run / "evaluation.json").write_text("{"), "suites have measured cannot be read"),
    ],
)
def test_a_run_that_lacks_something_has_a_page_with_a_sentence(
    copy: Path, change: Any, sentence: str
) -> None:
    change(copy)
    assert re.search(sentence, page_of(copy).text)


def test_a_crash_in_the_middle(copy: Path) -> None:
    lines = (copy / "metrics.jsonl").read_text().splitlines()
    (copy / "metrics.jsonl").write_text(lines[0] + '\n{"step": 4, "lo')
    text = page_of(copy).text
    assert "not finished: step 2 of 4" in text and "ssl-mix resume" in text


def test_data_that_have_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    for part in ("train", "test"):
        for place, name in enumerate(("cat", "dog")):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (16, 16), (200 * place, 30 * number, 0)).save(
                    tmp_path / part / name / f"{number}.png"
                )
    images = ["--train", str(tmp_path / "train"), "--test", str(tmp_path / "test"), "--labels-per-class", "2"]
    out = tmp_path / "run"
    main(
        [
            "train",
            "pseudo-label",
            *images,
            "--image-size",
            "16",
            "--net",
            "small-cnn",
            *DIGITS[2:],
            "--out",
            str(out),
        ]
    )
    (tmp_path / "train").rename(tmp_path / "elsewhere")
    (tmp_path / "test").rename(tmp_path / "gone")
    text = page_of(out).text
    assert "of 8 test images are recognized" in text  # as it was recorded
    assert "cannot be found" in text and "training image" in text
    assert "coverage: pseudo-labels that count" in text  # of the run's own files


def test_without_unlabeled_and_test_images_and_with_one_class(tmp_path: Path) -> None:
    import numpy as np

    import ssl_mix

    images = np.zeros((6, 8, 8), np.uint8)
    options: dict[str, Any] = {"steps": 2, "threads": 1, "net": "small-cnn", "image_size": 8, "batch_size": 4}
    ssl_mix.fit("supervised", (images, [0, 1] * 3), out=tmp_path / "plain", **options)
    text = Parts((tmp_path / "plain/report.html").read_text()).text
    assert "there are no test images" in text and "--test DIR" in text and "makes no pseudo-labels" in text
    told = told_of(tmp_path, ("only",), 5)
    text = Parts(run_page(told)).text
    assert "of 1 class and" in text and "Nothing is confused" in text


def test_suites_are_shown_by_their_rows_and_figures(copy: Path) -> None:
    main(["evaluate", str(copy), "--suite", "pseudo-labels", "--device", "cpu"])
    parts = page_of(copy)
    assert "Measured by suites" in parts.text and "last weights after step 4" in parts.text
    assert any(address.startswith("data:image/png;base64,") for address in parts.addresses)


def test_a_thousand_classes_and_ten_thousand_images_are_below_20_megabytes(tmp_path: Path) -> None:
    told = told_of(tmp_path, tuple(f"class number {place}" for place in range(1000)), 10_000, side=64)
    began = time.perf_counter()
    page = run_page(told)
    assert time.perf_counter() - began < 20
    assert 5_000_000 < len(page.encode()) < 20_000_000
    gallery = next(data for data in Parts(page).data if "pictures" in data)
    shown = {picture[1] for picture in gallery["pictures"]}
    assert len(shown) == 1000  # some of each class


def test_a_program_of_somebody_else_is_not_taken_for_ours() -> None:
    ours, theirs = "/usr/lib/ssl_mix/__main__.py", "/home/me/tool/__main__.py"
    assert command_of({"command": [ours, "train", "fixmatch"]}) == "ssl-mix train fixmatch"
    assert command_of({"command": [theirs, "go"]}).endswith(f"{theirs} go")


def test_data_of_ones_own_are_named_by_their_folder() -> None:
    own = config_of(("a", "b"), images=4, data__labeled="/home/me/birds/labeled")
    assert data_name(own) == "birds/labeled" and data_name(config_of(("a",), images=4)) == "made up"
    assert (duration(0.2), duration(1.2), duration(2.0)) == ("less than a second", "1 second", "2 seconds")


def test_the_probe_that_a_suite_has_found_stands_beside_the_result(tmp_path: Path) -> None:
    told = told_of(tmp_path, ("a", "b"), 40)
    assert "evaluate" in answer(told) and "random weights" in answer(told)
    about = {"step": 100, "weights": "last", "test": None, "images": 40, "probe_accuracy": 0.25}
    for found, known in (
        (about, True),
        (about | {"test": "elsewhere"}, False),
        (about | {"step": 50}, False),
    ):
        (tmp_path / "evaluation.json").write_text(json.dumps({"suites": {"accuracy": found}}))
        assert ("a linear probe on the features before training has 25.0 %" in answer(told)) is known


def test_values_of_another_version_leave_the_rest_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps({"suites": {"accuracy": {"images": 40}}}))
    text = Parts(run_page(told_of(tmp_path, ("a", "b"), 40))).text
    assert "evaluation.json is damaged" in text and "Accuracy by class" in text
    (tmp_path / "evaluation.json").write_text(json.dumps({"suites": [1]}))
    text = Parts(run_page(told_of(tmp_path, ("a", "b"), 40))).text
    assert "suites have measured cannot be read" in text and "Accuracy by class" in text


def test_numbers_say_of_how_many_images_they_are(tmp_path: Path) -> None:
    told = told_of(tmp_path, ("a", "b"), 40)
    titles = [data["title"] for data in Parts(run_page(told)).data if "title" in data]
    assert "Accuracy, 40 test images" in titles


def test_messages_name_flags(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["data"] |= {"data": None, "train": "/nowhere/train"}
    (copy / "config.json").write_text(json.dumps(config))
    told = told_in(copy, "cpu", worded=as_flags)
    assert isinstance(told.tested, str) and "`" not in told.tested


LADDER = {
    "chosen": "whitened",
    "reason": "it is ahead",
    "ladder": [
        {"name": "probe", "accuracy": 0.5, "gain": 0.0, "error": 0.0, "seconds": 1.0},
        {"name": "whitened", "accuracy": 0.75, "gain": 0.25, "error": 0.04, "seconds": 2.0},
    ],
}


@pytest.mark.parametrize("body", [None, {"name": "body", "folds": 2, "reason": "the body gains"}])
def test_a_run_of_auto_says_what_was_tried(tmp_path: Path, body: dict[str, Any] | None) -> None:
    tried = {"accuracy": 0.8, "gain": 0.05, "error": 0.01, "seconds": 9.0}
    told = LADDER if body is None else LADDER | {"body": body | tried}
    (tmp_path / "auto.json").write_text(json.dumps(told))
    text = Parts(run_page(told_of(tmp_path, ("a", "b"), 40))).text
    assert "auto on made up" in text and "auto chose whitened: it is ahead." in text
    assert "whitened (chosen) 75.0 % +25.0 +- 4.0 the probe 2.0" in text
    assert ("body 80.0 % +5.0 +- 1.0 the head it began from, 2 folds 9.0" in text) is (body is not None)
    (tmp_path / "auto.json").write_text("{")
    assert "That cannot be read" in Parts(run_page(told_of(tmp_path, ("a", "b"), 40))).text
