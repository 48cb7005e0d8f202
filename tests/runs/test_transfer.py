"""Transfer as a user does it: from a trained network to few labels, and on after an interruption."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from augmentations import augmentation_of
from PIL import Image
from sessions import train
from torch import nn

from ssl_mix import MixingTerms, TrainConfig, Trainer
from ssl_mix.algorithms import BiTuning, CoTuning, FineTuning, SelfTuning
from ssl_mix.algorithms.delta import last_convolutions
from ssl_mix.cli.main import main
from ssl_mix.cli.train import read_run
from ssl_mix.datasets import choose_split, load_digits_data
from ssl_mix.engine.optimizer import learning_rate
from ssl_mix.evaluation import accuracy, predict_probabilities
from ssl_mix.models import SmallCNN, build_model
from ssl_mix.models.pretrained import keep_source_head
from ssl_mix.runs.folder import read_metrics
from ssl_mix.runs.net_options import named_after
from ssl_mix.runs.session import Session, reopen, start

QUICK = ("--steps", "4", "--batch-size", "4", "--threads", "1")
DIGITS = ("--data", "digits", "--labels", "40", *QUICK)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def base(in_an_empty_folder: None, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run to start from."""
    main(["train", "supervised", "--data", "digits", *QUICK, "--out", "base"])
    capsys.readouterr()
    return Path("base")


OF_THEIR_OWN = ("delta", "stochnorm", "co-tuning", "self-tuning")  # each keeps something that others do not


def mistake(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("name", OF_THEIR_OWN)
def test_from_a_run_to_predictions_without_the_weights_it_began_with(
    name: str, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", name, "--net", str(base), *DIGITS, "--out", "run"])
    output = capsys.readouterr().out
    assert "step 4/4" in output and ("before the first step" in output) == (
        name in ("co-tuning", "self-tuning", "bi-tuning")
    )
    records = read_metrics(Path("run"))
    assert [("test_accuracy" in record) for record in records] == [False] * (len(records) - 1) + [True]
    shutil.rmtree(base)
    main(["resume", "run"])
    main(["evaluate", "run"])
    assert "360 test images" in capsys.readouterr().out
    Image.new("L", (8, 8), 90).save("digit.png")
    main(["predict", "run", "digit.png", "--out", "predictions.csv"])
    rows = list(csv.DictReader(Path("predictions.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == ["digit.png"]


@pytest.mark.parametrize("name", ["fine-tuning", "co-tuning", "self-tuning"])
def test_mixing_is_a_flag(name: str, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--net", str(base), *DIGITS, "--mix", "dm-as", "--mix-head", "own", "--log-every", "1"]
    main(["train", name, *arguments, "--out", "run"])
    records = read_metrics(Path("run"))
    assert {"loss/labeled_pairs", "loss/asymmetric", "coverage"} <= records[-1].keys()
    main(["pseudo-labels", "run", "--out", "pseudo_labels.csv"])
    guessed = list(csv.DictReader(Path("pseudo_labels.csv").read_text().splitlines()))
    assert 4 <= len(guessed) <= 16 and all(row["passed"] == "" for row in guessed)


@pytest.mark.parametrize("name", OF_THEIR_OWN)
def test_an_interrupted_run_goes_on_to_the_same_bits_without_the_weights_it_began_with(
    name: str, base: Path
) -> None:
    flags = [name, "--net", str(base), "--data", "digits", "--labels", "60", "--steps", "6", "--out", "x"]
    flags += ["--batch-size", "4", "--threads", "1", "--checkpoint-every", "2", "--validation", "0.25"]
    if name == "self-tuning":
        flags += ["--mix", "dm-as"]
    whole = start(read_run(flags), Path("whole"))
    assert train(whole)
    cut = start(read_run(flags), Path("cut"))

    for record in cut.records():
        cut.trainer.stop = record["step"] == 2
    assert not cut.finished
    shutil.rmtree(base)
    resumed: Session = reopen(Path("cut"))
    assert resumed.trainer.step == 2
    assert train(resumed)
    for part, expected in whole.trainer.state_dict().items():
        if part != "seconds":
            same(resumed.trainer.state_dict()[part], expected)


def same(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            same(found[name], expected[name])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            same(*pair)
    else:
        assert found == expected


def test_weights_come_from_somewhere_unless_random_ones_are_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm

    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        if pretrained:
            raise OSError("no route to host")
        model: nn.Module = create(name, **options)
        return model

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("ssl_mix.models.from_timm.check_hub", lambda _: None)
    digits = ["--data", "digits", "--labels", "40", *QUICK, "--out", "run"]
    message = mistake(["train", "self-tuning", "--net", "timm:resnet10t", *digits], capsys)
    assert "no route to host" in message and "--pretrained FILE" in message and "--pretrained none" in message
    message = mistake(["train", "fine-tuning", *digits], capsys)
    assert "'small-cnn'" in message and "--pretrained FILE" in message and "--pretrained none" in message
    assert not Path("run").exists()
    main(["train", "fine-tuning", "--pretrained", "none", *digits])
    assert Path("run").exists()


def test_co_tuning_says_where_a_source_head_would_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["co-tuning", "--pretrained", "none", *DIGITS, "--out", "run"]
    assert "--pretrained" in mistake(["train", *arguments], capsys)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("file", "network"),
    [
        ("resnet50-0676ba61.pth", "torchvision:resnet50"),
        ("resnet18.safetensors", "torchvision:resnet18"),
        ("resnet50d_ra2-464e36ba.pth", "timm:resnet50d"),
        ("vit_b_16-c867db91.pth", "torchvision:vit_b_16"),
        ("deit_small_patch16_224.fb_in1k.safetensors", "timm:deit_small_patch16_224"),
    ],
)
def test_a_file_of_weights_tells_its_network(file: str, network: str) -> None:
    assert named_after(Path("some/where", file)) == network


def test_a_file_that_names_no_network_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": torch.zeros(2)}, "mine.pth")
    assert "--net timm:resnet50 and --pretrained" in mistake(
        ["train", "fine-tuning", "--net", "mine.pth", *DIGITS, "--out", "run"], capsys
    )


def trainer(algorithm: Any, **config: Any) -> Trainer:
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, labels_total=80, seed=0, validation=0.5, classes=data.classes)
    torch.manual_seed(0)
    net = SmallCNN(10, channels=1)
    keep_source_head(net, nn.Linear(64, 7))
    options: dict[str, Any] = {"steps": 4, "batch_size": 8, "lr": 0.1, "head_lr_factor": 10.0, **config}
    return Trainer(algorithm, net, data, split, TrainConfig(**options))


@pytest.mark.parametrize(
    ("algorithm", "new"),
    [
        (SelfTuning(width=8, mixing=MixingTerms(mix="as", mix_head="own")), {"head", "mix_head"}),
        (BiTuning(width=8), {"head"}),
        (CoTuning(), {"head"}),
        (FineTuning(mixing=MixingTerms(mix="dm", mix_head="own")), {"head", "mix_head"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_new_classifiers_alone_learn_ten_times_as_fast(algorithm: Any, new: set[str]) -> None:
    made = trainer(algorithm)
    fast = {
        id(parameter)
        for group in made.optimizer.param_groups
        for parameter in group["params"]
        if group["factor"] == 10
    }
    found = {name.split(".")[0] for name, p in made.student.named_parameters() if id(p) in fast}
    assert found == new
    slow = {name.split(".")[0] for name, p in made.student.named_parameters() if id(p) not in fast}
    assert not slow & new and "blocks" in slow


def test_the_relationship_is_what_the_source_says_of_the_labeled_pictures() -> None:
    made = trainer(CoTuning(relationship="direct"))
    matrix = made.algorithm.relationship_matrix
    assert torch.equal(matrix, torch.full((10, 7), 1 / 7))
    net, labels = made.student.eval(), made.feed.labels
    images = next(made.data.train.images.batches(iter([made.feed.labeled]), made.device))
    with torch.no_grad():
        said = net.source_head(net.features(made.data.augmentation.normalize(images))).softmax(1)
    expected = torch.stack([said[labels == label].mean(0) for label in range(10)])
    net.train()
    made.train_step(next(made.feed.batches(0)))
    torch.testing.assert_close(matrix, expected)


def test_the_best_on_validation_is_kept_and_the_test_part_scored_once() -> None:
    made = trainer(FineTuning(), steps=30, lr=0.3, test_scored="once", eval_every=3, log_every=30)
    records = list(made.fit())
    scores = [record["validation_accuracy"] for record in records]
    assert made.best is not None and made.data.test is not None
    assert made.best["validation_accuracy"] == max(scores)
    assert made.best["step"] == records[scores.index(max(scores))]["step"]
    assert [("test_accuracy" in record) for record in records] == [False] * 9 + [True]
    made.teacher.net.load_state_dict(made.best["teacher"])
    said = predict_probabilities(made.teacher.net, made.data.test.images, made.data.augmentation, made.device)
    assert accuracy(said, made.data.test.labels) == records[-1]["test_accuracy_best"]


def test_milestones_are_those_of_the_schedule_of_pytorch() -> None:
    config = TrainConfig(steps=30, schedule="step", milestones=(6, 12, 20), lr=0.5)
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [6, 12, 20], gamma=0.1)
    for step in range(30):
        assert learning_rate(config, step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    with pytest.raises(ValueError, match="milestones"):
        TrainConfig(schedule="cosine", milestones=(3,))


def test_the_first_stages_stay_to_the_bit_where_the_last_are_trained(base: Path) -> None:
    flags = ["self-tuning", "--net", str(base), *DIGITS, "--tune", "stages:2", "--norms", "frozen"]
    opened = start(read_run(flags), Path("run"))
    before = {name: value.clone() for name, value in opened.trainer.student.state_dict().items()}
    assert train(opened)
    after = opened.trainer.student.state_dict()
    frozen = [name for name in before if name.startswith(("blocks.0", "blocks.1")) or "running" in name]
    assert len(frozen) > 4 and all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["blocks.3.weight"], after["blocks.3.weight"])


def test_waiting_for_pictures_is_a_share_of_the_time() -> None:
    records = list(trainer(FineTuning()).fit())
    assert all(0 <= record["data_wait"] <= 1 for record in records)


def test_an_identity_within_an_identity_is_compared_option_by_option(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", "fine-tuning", "--net", str(base), *DIGITS, "--mix", "dm", "--out", "run"])
    config = json.loads(Path("run/config.json").read_text())
    config["algorithm"]["mixing"]["eta"] = 0.7
    Path("run/config.json").write_text(json.dumps(config))
    assert "algorithm.mixing.eta: 0.1 then, 0.7 now" in mistake(["resume", "run"], capsys)


def test_pictures_are_normalized_as_the_weights_are_used_to(base: Path) -> None:
    recorded = json.loads((base / "config.json").read_text())["dataset"]["augmentation"]
    run = read_run(["fine-tuning", "--net", str(base), "--data", "digits", "--out", "x"]).settled()
    assert (run.data.mean, run.data.std) == (tuple(recorded["mean"]), tuple(recorded["std"]))
    given = read_run(
        ["fine-tuning", "--net", str(base), "--data", "digits", "--mean", "0.25", "--out", "x"]
    ).settled()
    assert augmentation_of(given.data.load()).mean == (0.25,)
    for flags, mean in (
        (["--net", "torchvision:resnet18"], (0.485, 0.456, 0.406)),
        (["--net", "timm:vit_base_patch16_224.augreg_in21k"], (0.5, 0.5, 0.5)),
        (["--net", "torchvision:resnet18", "--pretrained", "none"], None),
    ):
        settled = read_run(["fine-tuning", *flags, "--data", "digits", "--out", "x"]).settled()
        assert settled.data.mean == mean
        loaded = augmentation_of(settled.data.load()).mean
        assert loaded == pytest.approx((sum(mean) / 3,) if mean else (0.305,))
    wrong = read_run(["fixmatch", "--data", "digits", "--std", "0.2", "--out", "x"])
    assert augmentation_of(wrong.data.load()).std == (0.2,)


def test_the_published_recipe_on_birds_in_folders(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part, count in (("train", 14), ("test", 2)):
        for label, name in enumerate(("001.Albatross", "002.Auklet")):
            folder = Path("cub", part, name)
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (30, 24), (100 * label, 20 * number, 60)).save(folder / f"{number}.jpg")
    main(["train", "supervised", "--train", "cub/train", "--test", "cub/test", *QUICK, "--out", "source"])
    smaller = [
        "--image-size",
        "16",
        "--stored-size",
        "20",
        "--steps",
        "4",
        "--milestones",
        "2",
        "--threads",
        "1",
    ]
    flags = ["--data", "cub200", "--data-dir", "cub", "--label-rate", "0.3", "--recipe", "paper", *smaller]
    main(
        [
            "train",
            "co-tuning",
            "--net",
            "source",
            *flags,
            "--batch-size",
            "4",
            "--mix",
            "dm-as",
            "--out",
            "run",
        ]
    )
    split = json.loads(Path("run/split.json").read_text())
    assert (len(split["labeled"]), len(split["unlabeled"])) == (10, 18)
    assert (
        json.loads(Path("run/config.json").read_text())["dataset"]["augmentation"]["variant"] == "self-tuning"
    )
    capsys.readouterr()
    main(["evaluate", "run", "--crops", "ten"])
    assert "4 test images" in capsys.readouterr().out


def test_a_network_without_its_weights_must_be_asked_for(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--net RUN starts from its weights, with --pretrained none beside it the network is taken without
    them."""
    built = {}
    for flags in ([], ["--pretrained", "default"], ["--pretrained", "none"]):
        run = read_run(["fine-tuning", "--net", str(base), *flags, "--data", "digits", "--out", "x"])
        built[" ".join(flags)] = run.net.build((1, 8, 8), 10, 0).blocks[0].weight
        assert run.net.resolved().net == "small-cnn"
    trained = torch.load(base / "checkpoint.pt", weights_only=True)["teacher"]["blocks.0.weight"]
    assert torch.equal(built[""], trained) and torch.equal(built["--pretrained default"], trained)
    assert not torch.equal(built["--pretrained none"], trained)
    random = read_run(["fixmatch", "--net", "small-cnn", "--data", "digits", "--out", "x"])
    assert torch.equal(random.net.build((1, 8, 8), 10, 0).blocks[0].weight, built["--pretrained none"])
    for gone in ("gone.pth", "runs/gone"):
        assert "no such file or folder" in mistake(
            ["train", "bss", "--net", gone, *DIGITS, "--out", "x"], capsys
        )


def test_delta_compares_stages_by_convolutions_of_their_own() -> None:
    assert last_convolutions(build_model("timm:resnet50", 3))[0] == "body.layer1.2.conv3"
    assert len(last_convolutions(build_model("timm:resnet50", 3))) == 4
    with pytest.raises(ValueError, match="has none"):
        last_convolutions(build_model("timm:vit_tiny_patch16_224", 3, image_size=224))


def test_milestones_of_a_recipe_can_be_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["bss", "--recipe", "paper", "--data", "cub200", "--out", "x"]
    run = read_run([*asked, "--schedule", "half-cosine", "--milestones"])
    assert run.config.milestones == () and run.config.schedule == "half-cosine"
    with pytest.raises(ValueError, match="lie beyond 100 steps"):
        TrainConfig(steps=100, schedule="step", milestones=(100, 200))
