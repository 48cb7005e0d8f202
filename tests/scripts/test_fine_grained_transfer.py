"""The transfer benchmark script: what it runs, compares, refuses and prints."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_mix.algorithms import TRANSFER
from ssl_mix.cli.main import main as ssl_mix_main
from ssl_mix.runs.folder import read_metrics
from ssl_mix.runs.trained import load_trained

ROOT = Path(__file__).resolve().parents[2]
PICTURES = 12  # of each class and part
TINY = [
    "--pretrained",
    "none",
    "--net",
    "small-cnn",
    "--steps",
    "4",
    "--batch-size",
    "4",
    "--eval-every",
    "2",
]
FOLDER = ["--train", "p/train", "--test", "p/test", "--image-size", "8", "--threads", "1"]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The script, in an empty folder, with runs in this process; those of their own are tested in
    test_cifar_ssl.py."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.chdir(tmp_path)
    shared = importlib.import_module("benchmark_runs")
    monkeypatch.setattr(shared, "train", train_here)
    return importlib.import_module("fine_grained_transfer")


def train_here(planned: Any, lock: int) -> None:
    assert lock > 2
    if planned.state == "new":
        print("trained", planned.folder)
        ssl_mix_main(["train", *planned.arguments])


@pytest.fixture
def pictures(tmp_path: Path) -> None:
    """A folder of noisy images in which a class is a color."""
    draw = np.random.default_rng(0)
    for part in ("train", "test"):
        for color, name in enumerate(("a", "b")):
            (tmp_path / "p" / part / name).mkdir(parents=True)
            for index in range(PICTURES):
                pixels = draw.integers(0, 150, (8, 8, 3)).astype(np.uint8)
                pixels[..., color] += 100
                Image.fromarray(pixels).save(tmp_path / "p" / part / name / f"{index}.png")


def arguments(
    *extra: Any,
    methods: Any = ("fine-tuning",),
    mix: Any = ("none",),
    seeds: Any = ("0",),
    train: Any = (*FOLDER, *TINY),
) -> Any:
    own = ["--data", "folder", "--rates", "50", "--seeds", *seeds, "--json", "r.jsonl", "--out", "runs"]
    return [*own, "--methods", *methods, "--mix", *mix, *extra, "--", *train]


def lines() -> Any:
    return [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]


def plan(script: Any, given: Any) -> Any:
    return script.plan(script.read_options(given))


def test_runs_once_and_prints(script: Any, pictures: Any, capsys: pytest.CaptureFixture[str]) -> None:
    train = [*FOLDER, *TINY, "--validation", "0.4"]
    chosen = arguments(
        "--markdown", "t.md", mix=("none", "mce"), methods=("fine-tuning", "l2-sp"), train=train
    )
    script.main(chosen)
    assert capsys.readouterr().out.count("trained") == 3  # l2-sp takes no mixing
    found = {(x["method"], x["mix"]): x for x in lines()}
    assert list(found) == [("fine-tuning", "none"), ("fine-tuning", "mce"), ("l2-sp", "none")]
    mixing = found["fine-tuning", "mce"]["identity"]["algorithm.mixing"]
    assert (mixing["mix"], mixing["eta"]) == ("as", 0.0)
    assert {x["identity"]["algorithm.view"] for x in lines()} == {"strong"}
    final = read_metrics(Path("runs/folder-50/fine-tuning-mce/split0-seed0"))[-1]
    line = found["fine-tuning", "mce"]
    assert line["error_last"] == pytest.approx(100 * (1 - final["test_accuracy"]), abs=1e-3)
    assert line["error_at_best_validation"] == pytest.approx(
        100 * (1 - final["test_accuracy_best"]), abs=1e-3
    )
    assert line["coverage"] == pytest.approx(100 * final["bank_coverage"], abs=1e-3)
    text = Path("t.md").read_text()
    assert line["error_ten_crops"] is None and "ten crops" not in text
    assert "folder: accuracy in %, step best on the held-out part" in text
    assert f"| fine-tuning | mce | {100 * final['test_accuracy']:.2f} (1) |" in text
    gain = found["fine-tuning", "none"]["error_last"] - line["error_last"]
    assert f"| fine-tuning | mce | none | {gain:+.2f} (1) |" in text

    before = lines()
    script.main(chosen)  # everything is finished: nothing is trained, no line is added
    assert "trained" not in capsys.readouterr().out
    assert lines() == before


def test_ten_crops_are_scored_where_the_network_sees_a_part(script: Any, pictures: Any) -> None:
    train = [
        "--train",
        "p/train",
        "--test",
        "p/test",
        "--image-size",
        "6",
        "--stored-size",
        "8",
        "--threads",
        "1",
        *TINY,
    ]
    script.main(arguments(train=train))
    (line,) = lines()
    trained = load_trained(Path("runs/folder-50/fine-tuning-none/split0-seed0"))
    data = trained.run.data.load()
    views = [(top, left) for top in (0, 2) for left in (0, 2)] + [(1, 1)]
    pixels = next(data.test.images.batches([torch.arange(2 * PICTURES)], torch.device("cpu")))
    crops = [pixels[:, :, top : top + 6, left : left + 6] for top, left in views]
    crops += [crop.flip(-1) for crop in crops]
    with torch.no_grad():
        logits = sum(trained.net(trained.augmentation.normalize(crop)) for crop in crops)
    right = (logits.argmax(dim=1) == data.test.labels).double().mean().item()
    assert line["error_ten_crops"] == pytest.approx(100 * (1 - right), abs=1e-3)


def test_seeds_share_a_split_unless_it_shall_vary(script: Any, pictures: Any) -> None:
    def splits(*extra: Any) -> Any:
        planned = plan(script, arguments(*extra, seeds=("0", "1")))
        assert [each.identity["train.seed"] for each in planned] == [0, 1]
        assert len({each.folder for each in planned}) == 2
        return [each.identity["dataset.split_sha256"] for each in planned]

    assert len(set(splits())) == 1 and splits() == splits("--split-seed", "0")
    assert len(set(splits("--split-seed", "7"))) == 1 and splits("--split-seed", "7") != splits()
    varied = splits("--vary-split")
    assert len(set(varied)) == 2 and varied[0] == splits()[0]
    assert varied[1] == splits("--split-seed", "1")[1]


def test_a_published_list_takes_the_place_of_a_share(script: Any, pictures: Any) -> None:
    listed = [f"train/{name}/{index}.png" for name in "ab" for index in (3, 5, 7)]
    Path("list.txt").write_text("\n".join(listed))
    (planned,) = plan(script, arguments("--only", "folder-50: --label-list list.txt"))
    assert "--label-rate" not in planned.arguments
    data = planned.run.data.load()
    chosen = planned.run.data.choose_split(data, 0).labeled
    assert [str(Path(data.train.files[i]).relative_to(Path("p").resolve())) for i in chosen] == listed


def test_what_is_compared_has_the_same_of_everything_else(script: Any, pictures: Any) -> None:
    for flags, words in (
        ("--steps 5", "train.steps is 5, not 4"),
        ("--batch-size 3", "train.batch_size is 3, not 4"),
        ("--schedule constant", "train.schedule is 'constant'"),
        ("--randaugment google", "dataset.augmentation"),
        ("--validation 0.4", "dataset.split_sha256"),
    ):
        with pytest.raises(SystemExit, match=words):
            script.main(arguments("--only", f"l2-sp: {flags}", methods=("fine-tuning", "l2-sp")))
    script.main(arguments("--only", "l2-sp: --weight-decay 0", "--dry-run", methods=("fine-tuning", "l2-sp")))
    assert not Path("runs").exists()


def test_methods_that_need_unlabeled_pictures_are_refused_without(script: Any, pictures: Any) -> None:
    with pytest.raises(SystemExit, match="SelfTuning needs unlabeled images"):
        script.main(arguments("--rates", "100", methods=("fine-tuning", "self-tuning")))
    assert not Path("runs").exists()


def test_what_makes_no_sense_is_left_out(
    script: Any, pictures: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = (*TRANSFER, "supervised", "mixmatch", "fixmatch")
    jobs = script.jobs(script.read_options(arguments(methods=methods, mix=tuple(script.CONTROLS))))
    found = [f"{job.method}-{job.mix}" for job in jobs]
    mixing = {method: len([x for x in found if x.startswith(f"{method}-")]) for method in methods}
    assert mixing == dict.fromkeys(TRANSFER, 1) | {
        "fine-tuning": 7, "co-tuning": 7, "self-tuning": 7, "fixmatch": 7, "supervised": 3, "mixmatch": 4,
    }  # fmt: skip
    assert not {"mixmatch-mixup", "mixmatch-mce", "mixmatch-mixup-mce", "supervised-mce"} & set(found)
    train = (*FOLDER, *TINY, "--schedule", "constant")
    chosen = {"methods": ("bss", "mixmatch", "fixmatch"), "mix": ("none", "mce", "dm-as")}
    script.main(arguments("--dry-run", **chosen, train=train))
    planned = re.findall(r"new +4 steps +runs/folder-50/(\S+)/split0-seed0", capsys.readouterr().out)
    assert planned == [name for name in found if name in planned] and len(planned) == 6


def test_options_that_came_later_had_their_default(script: Any, pictures: Any) -> None:
    """A line without an option is of the run with its default, and of no other."""
    train = [*FOLDER, *TINY]
    (planned,) = plan(script, arguments(mix=("as",), train=train))
    (other,) = plan(script, arguments(mix=("as",), train=[*train, "--mix-variant", "openmixup"]))
    identity = json.loads(json.dumps(planned.identity))
    del identity["algorithm.mixing"]["mix_variant"], identity["train.milestones"]
    line = planned.job._asdict() | {"identity": identity}
    assert planned.has(line) and not other.has(line)
    assert not planned.has(line | {"rate": 30.0}) and not planned.has(line | {"identity": other.identity})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--methods", "fine-tunning"], "Did you mean 'fine-tuning'"),
        (["--only", "l2-sq: --lr 1"], "Did you mean 'l2-sp'"),
        (["--", "--label-rate", "0.2"], "--label-rate is set for each run"),
        (["--", "--view=weak"], "--view=weak is set for each run"),
        (["--jobs", "0"], "jobs must be above 0"),
    ],
)
def test_wrong_options(script: Any, wrong: Any, words: Any) -> None:
    with pytest.raises(SystemExit, match=words):
        script.main(["--data", "digits", "--json", "r.jsonl", *wrong])


def line(**changes: Any) -> Any:
    job = {"data": "cub200", "rate": 15.0, "method": "self-tuning", "mix": "none", "split_seed": 0, "seed": 0}
    found = {
        "error_last": 40.0,
        "error_ten_crops": 39.0,
        "error_at_best_validation": None,
        "error_mean_of_classes": None,
    }
    return job | found | changes


def test_the_tables_have_means_pairs_and_published_numbers(script: Any) -> None:
    found = [line(seed=seed, error_last=last) for seed, last in enumerate((40.0, 42.0, 50.0))]
    found += [line(seed=seed, error_last=last, mix="dm-as") for seed, last in enumerate((37.0, 40.0))]
    found += [
        line(seed=1, error_last=41.5, mix="mixup-mce"),
        line(seed=1, error_last=1.0, rate=30.0, method="l2-sp"),
    ]
    found += [
        line(seed=2, split_seed=1, error_last=0.0, mix="dm-as", rate=30.0),
        line(data="fgvc-aircraft", error_last=2.0),
    ]
    text = script.table(found, "cub200")
    assert "| method | mixing | 15 % | 30 % |" in text
    assert "| self-tuning | none | 56.00 +- 5.29 (3) |  |" in text
    assert (
        "| self-tuning | dm-as | none | +2.50 +- 0.71 (2) |  |" in text
    )  # 3 and 2; no partner for the third
    assert "| self-tuning | dm-as | mixup-mce | +1.50 (1) |  |" in text
    assert "| self-tuning | dm-as | as |" not in text
    ours = "| self-tuning | none | 15 % | 56.00 +- 5.29 (3) |"
    assert (
        f"{ours} 61.00 +- 0.00 (3) | 64.17 +- 0.47 | Wang et al. 2021 (Self-Tuning), Table 1 | ten crops, "
        "last step |" in text
    )
    assert text.index("| l2-sp |") < text.index("| self-tuning |")  # in the order of the papers
    assert "held-out" not in text and "98.00" not in text
    classes = script.table([line(error_mean_of_classes=87.5)], "cub200")
    assert "mean of classes" in classes and "| self-tuning | none | 12.50 (1) |" in classes
