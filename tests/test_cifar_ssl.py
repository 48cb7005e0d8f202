"""The semi-supervised benchmark script on digits: what it runs, skips, resumes, refuses and prints."""

import argparse
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.cli import main as ssl_mix_main
from ssl_mix.engine.run_folder import read_metrics

ROOT = Path(__file__).resolve().parents[1]
TINY = ["--net", "small-cnn", "--steps", "4", "--batch-size", "4", "--eval-every", "2", "--threads", "1"]


@pytest.fixture
def script(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("cifar_ssl", ROOT / "scripts/cifar_ssl.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arguments(*extra, algorithms=("fixmatch",), mix=("none",), train=TINY):
    own = ["--data", "digits", "--labels", "40", "--seeds", "0", "--json", "r.jsonl", "--out", "runs"]
    return [*own, "--algorithms", *algorithms, "--mix", *mix, *extra, "--", *train]


def lines():
    return [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]


def test_runs_once_resumes_and_prints(script, capsys):
    mix = ("none", "dm-as")
    chosen = arguments("--markdown", "t.md", algorithms=("supervised", "fixmatch"), mix=mix)
    script.main(chosen)
    assert capsys.readouterr().out.count("ssl-mix train") == 3  # supervised has nothing to mix with "dm-as"
    found = lines()
    assert [(x["algorithm"], x["mix"]) for x in found] == [
        ("supervised", "none"), ("fixmatch", "none"), ("fixmatch", "dm-as"),
    ]  # fmt: skip
    assert len({x["split_sha256"] for x in found}) == 1
    records = read_metrics(Path("runs/digits-40/fixmatch-none/seed0"))
    assert found[1]["last"] == pytest.approx(100 * (1 - records[-1]["test_accuracy"]), abs=1e-3)
    assert found[1]["steps"] == 4 and found[1]["coverage"] is not None
    text = Path("t.md").read_text()
    assert f"| fixmatch | none | {found[1]['last']:.2f} (1) |" in text

    script.main(chosen)  # everything is finished: nothing is trained, no line is added
    assert "ssl-mix train" not in capsys.readouterr().out
    assert lines() == found


def test_a_cut_run_is_resumed_to_the_same_numbers(script, capsys):
    script.main(arguments())
    whole = lines()[0]
    folder = Path("runs/digits-40/fixmatch-none/seed0")
    Path("r.jsonl").unlink()
    folder.rename("kept")
    flags = script.Job("fixmatch", "none", 40, 0).flags(script.read_options(arguments()))
    process = [sys.executable, "-c", CUT, "train", "fixmatch", *flags, "--out", str(folder)]
    assert script.subprocess.run(process, capture_output=True).returncode == 9
    assert len(read_metrics(folder)) < len(read_metrics(Path("kept")))
    capsys.readouterr()
    script.main(arguments())
    assert "cut  ssl-mix resume" in capsys.readouterr().out
    assert {k: lines()[0][k] for k in ("last", "median20", "best")} == {
        k: whole[k] for k in ("last", "median20", "best")
    }


# The process dies as if killed, just after a checkpoint.
CUT = """
import os
import ssl_mix.training as training
save = training.save
def save_and_die(opened):
    save(opened)
    os._exit(9)
training.save = save_and_die
from ssl_mix.cli import main
main()
"""


def test_a_run_with_other_flags_is_refused(script):
    script.main(arguments())
    with pytest.raises(SystemExit, match="--lr None then, 0.5 now"):
        script.main(arguments(train=[*TINY, "--lr", "0.5"]))
    with pytest.raises(SystemExit, match="--threshold None then, 0.5 now"):
        script.main(arguments("--only", "fixmatch", "--threshold 0.5"))
    assert len(lines()) == 1


def test_a_failing_run_says_why(script):
    with pytest.raises(SystemExit, match=r"--treshold(.|\n)*--threshold"):
        script.main(arguments("--only", "fixmatch", "--treshold 0.5"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--data", "digits", "--algorithms", "fixmach"], "Did you mean 'fixmatch'"),
        (["--data", "digits", "--only", "fixmach", "--lr 1"], "Did you mean 'fixmatch'"),
        (["--data", "digits"], "give --labels"),
    ],
)
def test_wrong_options(script, wrong, words):
    with pytest.raises(SystemExit, match=words):
        script.main([*wrong, "--json", "r.jsonl"])


def test_what_makes_no_sense_is_left_out(script, capsys):
    script.main(arguments("--dry-run", algorithms=tuple(ALGORITHMS), mix=script.MIXES))
    listed = re.findall(r"new +runs/digits-40/(\S+)/seed0", capsys.readouterr().out)
    assert len(listed) == 12 * 5 - 2 - 2
    assert not {"supervised-as", "supervised-dm-as", "mixmatch-mixup", "remixmatch-mixup"} & set(listed)
    assert not Path("runs").exists()


def line(options, script, **changes):
    base = {
        "algorithm": "fixmatch",
        "mix": "none",
        "labels": 250,
        "seed": 0,
        "split_sha256": "s",
        "fingerprint": "f",
    }
    return base | {"settings": script.settings(options), "last": 5.0, "median20": 5.5, "best": 4.0} | changes


def test_the_table_has_means_deviations_and_published_numbers(script):
    options = argparse.Namespace(data="cifar10", flags=[], only=[])
    found = [line(options, script, seed=seed, last=last) for seed, last in enumerate((4.0, 5.0, 6.0))]
    found += [line(options, script, mix="dm-as", last=3.0), line(options, script, labels=40, last=None)]
    text = script.table(found, "cifar10")
    assert "| algorithm | mixing | 40 labels | 250 labels |" in text
    assert "| fixmatch | none |  | 5.00 +- 1.00 (3) |" in text
    assert "| fixmatch | dm-as |  | 3.00 (1) |" in text
    assert "published, fixmatch, 250 labels: 4.86 +- 0.05 (TorchSSL" in text


def test_lines_of_different_splits_are_not_compared(script):
    options = script.read_options(arguments())
    other = line(options, script, algorithm="uda", split_sha256="t")
    Path("r.jsonl").write_text("".join(json.dumps(x) + "\n" for x in (line(options, script), other)))
    with pytest.raises(SystemExit, match="different pictures or splits"):
        script.main(arguments())


def test_the_flags_are_those_of_the_command(script, monkeypatch):
    """The line that is printed can be typed."""
    flags = script.Job("uda", "as", 40, 1).flags(script.read_options(arguments()))
    ssl_mix_main(["train", "uda", *flags, "--out", "typed"])
    assert read_metrics(Path("typed"))[-1]["step"] == 4
