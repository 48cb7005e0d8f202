"""A run from weights: where its head starts, what its batch norm does, and the probe beside its results."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sessions import train
from sklearn.linear_model import LogisticRegression
from torch import nn

import ssl_mix
from ssl_mix.cli.main import main
from ssl_mix.cli.train import instead, read_run
from ssl_mix.evaluation import plain_features
from ssl_mix.models import SmallCNN
from ssl_mix.reports.curves import charts
from ssl_mix.reports.summary import summarize, summary_rows
from ssl_mix.runs.folder import read_metrics
from ssl_mix.runs.session import Session, reopen, start

QUICK = ("--steps", "2", "--batch-size", "4", "--threads", "1", "--out", "x")
DIGITS = ("--data", "digits", "--labels", "40", *QUICK)


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a network for seven classes."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = SmallCNN(7, channels=1)
        net.train()(torch.randn(64, 1, 8, 8))
        torch.save(net.state_dict(), "small.pth")
    return Path("small.pth")


def opened(name: str, *flags: str, folder: str = "run") -> Session:
    net = ("--net", "small-cnn", "--pretrained", "small.pth")
    return start(read_run([name, *net, *DIGITS, *flags]), Path(folder))


def told(folder: str = "run") -> Any:
    return json.loads(Path(folder, "config.json").read_text())["start"]


@pytest.mark.parametrize(("name", "kind"), [("fine-tuning", "probe"), ("fixmatch", "prototypes")])
def test_the_probe_stands_beside_every_result(
    name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    session = opened(name, "--test-scored", "always", "--eval-every", "1", "--validation", "0.5")
    trainer, data = session.trainer, session.trainer.data
    assert data.test is not None
    labeled = torch.tensor(trainer.split.labeled)
    cpu = trainer.device
    known = plain_features(trainer.student, data.train.images, data.augmentation, cpu, indices=labeled)
    theirs = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit(known, data.train.labels[labeled])
    tested = plain_features(trainer.student, data.test.images, data.augmentation, cpu)
    expected = theirs.score(tested, data.test.labels)
    assert (told()["head"], told()["strength"]) == (kind, 1.0)
    assert told()["scores"]["probe_accuracy"] == pytest.approx(expected, abs=0.004)
    start_is_another = {"start_accuracy", "start_validation_accuracy"} if kind == "prototypes" else set()
    assert told()["scores"].keys() == {"probe_accuracy", "probe_validation_accuracy"} | start_is_another
    head = trainer.student.head
    found = (head(tested).argmax(1) == data.test.labels).float().mean().item()
    assert found == pytest.approx(
        told()["scores"]["start_accuracy" if start_is_another else "probe_accuracy"]
    )
    assert torch.equal(trainer.teacher.net.head.weight, head.weight)
    assert any(f"`head_start={kind}`" in note for note in session.notes)

    assert train(session)
    records = read_metrics(Path("run"))
    assert [record["probe_accuracy"] for record in records] == [told()["scores"]["probe_accuracy"]] * 2
    assert all(record.keys() >= told()["scores"].keys() for record in records)
    rows = dict(summary_rows(summarize(records)))
    probe_row = next(value for name, value in rows.items() if "linear probe" in name)
    assert probe_row == f"{100 * told()['scores']['probe_accuracy']:.2f} %"
    assert "linear probe" in Path("run/report.html").read_text()
    levels = dict(charts(records)[0].levels)
    probe = 100 * told()["scores"]["probe_accuracy"]
    assert levels["linear probe on test images"] == pytest.approx(probe)
    main(["evaluate", "run"])
    assert "linear probe" in capsys.readouterr().out


def test_a_run_of_random_weights_has_no_probe() -> None:
    session = start(read_run(["fixmatch", *DIGITS]), Path("run"))
    assert told() is None and train(session)
    assert not any("probe_accuracy" in record for record in read_metrics(Path("run")))
    assert not any("linear probe" in name for name, _ in summary_rows(summarize(read_metrics(Path("run")))))


def test_a_head_that_came_with_the_weights_stays_and_is_compared_with_the_probe() -> None:
    torch.save(SmallCNN(10, channels=1).state_dict(), "small.pth")
    state = torch.load("small.pth")
    session = opened("fixmatch")
    assert torch.equal(session.trainer.student.head.weight, state["head.weight"])
    assert told()["head"] == "random" and told()["scores"].keys() == {"probe_accuracy"}
    other = opened("fixmatch", "--head-start", "probe", folder="other")
    assert not torch.equal(other.trainer.student.head.weight, state["head.weight"])


def test_a_start_can_be_asked_for_and_refused() -> None:
    heads = {
        kind: opened("fine-tuning", "--head-start", kind, folder=kind).trainer.student.head.weight
        for kind in ("random", "probe", "prototypes")
    }
    assert len({tuple(weight.flatten().tolist()) for weight in heads.values()}) == 3
    random = start(read_run(["fixmatch", "--head-start", "probe", *DIGITS]), Path("run"))
    assert told()["head"] == "probe" and random.baseline == told()["scores"]
    with pytest.raises(ValueError, match="head_start must be one of"):
        ssl_mix.fit("fixmatch", data="digits", head_start="prototype")


def test_a_run_that_was_stopped_before_its_first_checkpoint_starts_the_same() -> None:
    first = opened("fixmatch").trainer.student.state_dict()
    again = reopen(Path("run"))
    assert again.baseline == told()["scores"] != {}
    assert all(torch.equal(value, first[name]) for name, value in again.trainer.student.state_dict().items())


def test_a_resumed_run_keeps_the_probe() -> None:
    session = opened("fixmatch", "--test-scored", "always", "--checkpoint-every", "1", "--log-every", "1")
    for record in session.records():
        session.trainer.stop = record["step"] == 1
    Path("small.pth").unlink()
    resumed = reopen(Path("run"))
    assert resumed.trainer.step == 1 and train(resumed)
    assert read_metrics(Path("run"))[-1]["probe_accuracy"] == told()["scores"]["probe_accuracy"]


def test_a_network_that_is_handed_over_starts_where_it_is_told() -> None:
    torch.manual_seed(0)
    mine = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    common: Any = {"data": "digits", "labels": 40, "steps": 1, "batch_size": 4, "threads": 1}
    ssl_mix.fit("fine-tuning", net=mine, pretrained="none", out="plain", **common)
    assert told("plain") is None
    ssl_mix.fit("fine-tuning", net=mine, out="tuned", **common)  # nothing in it tells, so the method decides
    assert told("tuned")["head"] == "probe"
    ssl_mix.fit("fixmatch", net=mine, head_start="probe", out="probed", **common)
    assert told("probed")["head"] == "probe" and 0.2 < told("probed")["scores"]["probe_accuracy"] < 1


@pytest.mark.parametrize("name", ["mean-teacher", "self-tuning", "bi-tuning", "fixmatch", "fine-tuning"])
def test_norms_keep_their_statistics_from_weights_in_student_and_teacher(name: str) -> None:
    before = torch.load("small.pth")
    session = opened(name)
    assert session.trainer.algorithm.training and train(session)
    for net in (session.trainer.student, session.trainer.teacher.net):
        for key, value in net.state_dict().items():
            if "running" in key or "num_batches" in key:
                assert torch.equal(value, before[key]), key
    assert not torch.equal(session.trainer.student.state_dict()["blocks.0.weight"], before["blocks.0.weight"])
    assert json.loads(Path("run/config.json").read_text())["net"]["norms"] == "frozen"


def test_norms_follow_the_batches_where_that_is_asked_for_and_without_weights() -> None:
    before = torch.load("small.pth")["blocks.1.running_mean"]
    for flags in (["--norms", "training"], ["--pretrained", "none"]):
        session = start(
            read_run(["fixmatch", "--net", "small-cnn", "--pretrained", "small.pth", *DIGITS, *flags]),
            Path(flags[1]),
        )
        train(session)
        assert not torch.equal(session.trainer.student.state_dict()["blocks.1.running_mean"], before)
    assert read_run(["stochnorm", "--pretrained", "small.pth", *DIGITS]).net.norms == "training"


@pytest.mark.parametrize("name", ["supervised", "fixmatch", "mixmatch", "fine-tuning", "self-tuning"])
def test_defaults_for_weights_are_told_and_a_flag_wins(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({}, "resnet18.pth")
    folder = ("--labeled", "DIR", "--out", "x")
    run = read_run([name, "--net", "resnet18.pth", *folder])
    said = capsys.readouterr().err
    assert (run.data.image_size, run.data.crop) == (224, "resized")
    assert (run.config.steps, run.config.lr, run.config.head_lr_factor) == (200, 0.001, 1.0)
    assert all(flag in said for flag in ("--image-size 224", "--steps 200", "--lr 0.001"))
    own = read_run([name, "--net", "resnet18.pth", *folder, "--lr", "0.1", "--image-size", "32"])
    said = capsys.readouterr().err
    assert (own.config.lr, own.data.image_size, own.data.crop) == (0.1, 32, None)
    new = read_run([name, "--net", "resnet18.pth", *folder, "--head-start", "random"])
    assert new.config.head_lr_factor == 10 and "the head is new" in capsys.readouterr().err
    assert "--steps 200" in said and "--lr" not in said and "--image-size" not in said
    random = read_run([name, "--net", "torchvision:resnet18", "--pretrained", "none", *folder])
    assert random.data.image_size is None and random.config.steps == 1000
    assert "weights" not in capsys.readouterr().err


def test_a_contrast_weighs_little_from_weights(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({}, "resnet18.pth")
    for name in ("self-tuning", "bi-tuning"):
        flags = [name, "--net", "resnet18.pth", "--labeled", "DIR", "--out", "x"]
        assert read_run(flags).algorithm.hyperparameters()["contrast_weight"] == 0.03
        assert "--contrast-weight 0.03" in capsys.readouterr().err
        own = read_run([*flags, "--contrast-weight", "1"]).algorithm
        assert own.hyperparameters()["contrast_weight"] == 1


def test_a_run_that_ends_below_the_probe_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    net = ["--net", "small-cnn", "--pretrained", "small.pth", *DIGITS[:-2]]
    main(["train", "fine-tuning", *net, "--lr", "3", "--out", "bad"])
    assert "below the linear probe" in capsys.readouterr().err
    main(["train", "fine-tuning", *net, "--lr", "1e-9", "--out", "same"])
    assert "below the linear probe" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("head", "began_at", "ended_at", "auto", "advice"),
    [
        ("probe", None, 0.6, False, "lower `lr`"),
        ("prototypes", 0.7, 0.6, False, "lower `lr`"),
        (
            "prototypes",
            0.6,
            0.6,
            False,
            ", as was the head that it started from (60.0%): take `head_start=pro",
        ),
        ("random", None, 0.6, False, "begin with it (`head_start=probe`), or take more `steps`"),
        ("random", None, 0.6, True, "lower `lr`"),  # auto chooses the start
    ],
)
def test_what_to_do_about_a_run_below_the_probe(
    head: str, began_at: float | None, ended_at: float, auto: bool, advice: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"start": {"head": head}}))
    if auto:
        (tmp_path / "auto.json").write_text('{"chosen": "body"}')
    scores = {} if began_at is None else {"start_accuracy": began_at}
    ended = summarize([{"test_accuracy": ended_at, "probe_accuracy": 0.8, **scores}])
    session: Any = SimpleNamespace(folder=tmp_path, trainer=SimpleNamespace(config=SimpleNamespace(steps=5)))
    assert advice in instead(ended, session)
    session.trainer.config.steps = 1  # a head that is not trained
    assert instead(ended, session) == ""
