"""Runs side by side: what groups them, and the numbers against SciPy's paired t."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from report_scene import run_folder

from ssl_mix.cli.main import main
from ssl_mix.errors import UserError
from ssl_mix.reports.compared import as_csv, as_latex, as_markdown, cells
from ssl_mix.reports.comparison import compare, run_folders
from ssl_mix.reports.runs_page import best_of, mean_curve, runs_page
from ssl_mix.runs.folder import read_config

FIRST, SECOND = (0.80, 0.84, 0.83), (0.82, 0.88, 0.84)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Three seeds of each of two learning rates."""
    made = []
    for name, values, rate in (("low", FIRST, 0.01), ("high", SECOND, 0.03)):
        for seed, accuracy in enumerate(values):
            folder = tmp_path / f"{name}{seed}"
            made.append(run_folder(folder, accuracy, train__seed=seed, train__lr=rate))
    return made


def test_groups_means_and_paired_differences(runs: list[Path]) -> None:
    found = compare(runs)
    assert [group.name for group in found.groups] == ["fixmatch --lr 0.01", "fixmatch --lr 0.03"]
    first, second = found.groups
    expected = scipy.stats.ttest_rel(SECOND, FIRST).confidence_interval(0.95)
    difference = found.difference(second, first)
    assert difference.mean == pytest.approx(np.mean(SECOND) - np.mean(FIRST)) and difference.pairs == 3
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
    header, rows = cells(found)
    assert header[:4] == ["runs", "n", "test accuracy %", "to the first, points"]
    assert rows[0][:4] == ["fixmatch --lr 0.01", "3", f"82.3 +- {100 * np.std(FIRST, ddof=1):.1f}", ""]
    text = f"+2.3 ({100 * expected.low:+.1f} to {100 * expected.high:+.1f}, 3 pairs)"
    assert rows[1][3] == text
    assert "fixmatch --lr 0.03 recognizes 84.7 % of 200 test images" in best_of(found)


def test_csv_has_the_numbers_unrounded(runs: list[Path]) -> None:
    _, second = csv.DictReader(io.StringIO(as_csv(compare(runs))))
    expected = scipy.stats.ttest_rel(SECOND, FIRST).confidence_interval(0.95)
    assert float(second["test accuracy %, mean"]) == pytest.approx(100 * np.mean(SECOND))
    assert float(second["test accuracy %, deviation"]) == pytest.approx(100 * np.std(SECOND, ddof=1))
    ends = float(second["95 % low"]), float(second["95 % high"])
    assert ends == pytest.approx((100 * expected.low, 100 * expected.high)) and second["pairs"] == "3"


def test_latex_and_markdown_are_escaped(tmp_path: Path) -> None:
    odd = [
        run_folder(tmp_path / "a", 0.5, data__data="50%_of|<b>&"),
        run_folder(tmp_path / "b", 0.6, data__data="x"),
    ]
    latex, markdown = as_latex(compare(odd)), as_markdown(compare(odd))
    assert r"-{}-data 50\%\_of\textbar{}\textless{}b\textgreater{}\&" in latex
    assert latex.count(r" \\") == 3 and r"\begin{tabular}{lrrrr}" in latex
    assert "& $-$10.0 (1 pair) &" in as_latex(compare(odd[::-1])) and "-{}-data x" in latex
    lines = markdown.splitlines()
    assert r"50%\_of\|\<b>&" in lines[2] and len({line.replace(r"\|", "").count("|") for line in lines}) == 1


def test_only_shared_seeds_and_the_same_test_images_are_paired(tmp_path: Path) -> None:
    folders = [
        run_folder(tmp_path / "a0", 0.5, train__seed=0, train__lr=0.1),
        run_folder(tmp_path / "a1", 0.6, train__seed=1, train__lr=0.1),
        run_folder(tmp_path / "b1", 0.7, train__seed=1, train__lr=0.2, dataset__split_sha256="other"),
        run_folder(tmp_path / "c0", 0.7, train__seed=0, train__lr=0.3, dataset__test_images=9),
        run_folder(tmp_path / "d0", 0.9, train__seed=0, train__lr=0.4, done=50),
    ]
    found = compare(folders)
    _, rows = cells(found)
    assert [row[3] for row in rows] == ["", "+10.0 (1 pair)", "no pairs"]
    assert any("d0 is not finished" in note for note in found.notes)
    assert any("1 of 1 pair learned from other labeled images" in note for note in found.notes)
    with pytest.raises(UserError, match="none of these runs is finished"):
        compare(folders[-1:])


def test_machine_and_seeds_do_not_tell_groups_apart(tmp_path: Path) -> None:
    same = [
        run_folder(tmp_path / "a", 0.5, train__seed=0, train__threads=1, data__data_dir="/x"),
        run_folder(tmp_path / "b", 0.6, train__seed=1, train__threads=4, data__data_dir="/y"),
    ]
    (group,) = compare(same).groups
    assert (group.name, len(group.runs)) == ("fixmatch", 2)
    assert "to the first, points" not in cells(compare(same))[0]


def test_algorithms_are_told_apart_by_name_and_options_that_are_no_defaults(tmp_path: Path) -> None:
    mixed: dict[str, Any] = {"algorithm__mixing": {"mix": "dm-as"}}
    kinds = [
        run_folder(tmp_path / "a", 0.5),
        run_folder(tmp_path / "b", 0.5, algorithm__name="flexmatch", **mixed),
        run_folder(tmp_path / "c", 0.5, algorithm__threshold=0.8),
    ]
    names = [group.name for group in compare(kinds).groups]
    assert names == ["fixmatch --threshold 0.95", "flexmatch --mix dm-as", "fixmatch --threshold 0.8"]


def test_a_folder_of_runs_stands_for_them_each_once(runs: list[Path]) -> None:
    assert len(compare([runs[0].parent, runs[0]]).runs) == 6


def test_compare_prints_and_writes(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {kind: tmp_path / f"table.{kind}" for kind in ("csv", "latex", "markdown")}
    words = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    main(["compare", *map(str, runs), *words])
    output = capsys.readouterr().out
    assert "82.3" in output and "84.7" in output and "accuracies are of 200 test images" in output
    found = compare(runs)
    for kind, write in (("csv", as_csv), ("latex", as_latex), ("markdown", as_markdown)):
        assert files[kind].read_bytes().decode() == write(found)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["compare"], "folders of runs"),
        (["compare", "nothing"], "holds no run"),
        (["report", "nothing", "--out", "x.html"], "holds no run"),
        (["report", "{run}", "--out", "{run}/config.json"], "is there already"),
        (["compare", "{run}", "--csv", "missing/x.csv"], "--csv missing/x.csv does not exist"),
    ],
)
def test_mistakes(
    words: list[str],
    told: str,
    runs: list[Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(runs[0].parent)
    with pytest.raises(SystemExit) as stop:
        main([word.format(run=runs[0]) for word in words])
    output, message = capsys.readouterr()
    assert stop.value.code == 2 and output == "" and told in message


def test_the_page_of_several_runs(runs: list[Path]) -> None:
    page = runs_page(compare(runs))
    for told in (
        "6 runs on made up",
        "Mean +- deviation over the seeds",
        "ssl-mix compare",
        "low0",
        "3 pairs",
    ):
        assert told in page
    assert '"thin": [[' in page


def test_mean_curves_are_over_the_steps_that_all_have() -> None:
    assert mean_curve([[(1, 2.0), (2, 4.0), (3, 9.0)], [(1, 4.0), (2, 8.0)]]) == [(1, 3.0), (2, 6.0)]
    assert mean_curve([[(1, 2.0), (2, 4.0)], [(3, 4.0), (4, 8.0)]]) == [(1, 2.0), (2, 4.0)]


def test_a_damaged_config_is_told(runs: list[Path]) -> None:
    (runs[0] / "config.json").write_text(json.dumps({"format": "ssl-mix demo 1"}))
    with pytest.raises(UserError, match="holds no run"):
        compare(runs[:1])


def test_the_folder_of_a_benchmark_stands_for_its_runs(runs: list[Path], tmp_path: Path) -> None:
    top = tmp_path / "benchmark"
    for run in runs[:2]:
        shutil.copytree(run, top / "digits-40" / "fixmatch-none" / run.name)
    (top / "exported").mkdir()
    (top / "exported" / "config.json").write_text("{}")
    assert [folder.name for folder in run_folders([top])] == sorted(run.name for run in runs[:2])
    with pytest.raises(UserError, match=rf"holds no run .*name one, .*{runs[0].name}"):
        read_config(top / "digits-40")


def test_runs_of_auto_are_one_row_whatever_it_chose(tmp_path: Path) -> None:
    chosen = ({"net__head_start": "whitened", "train__lr": 1e-12}, {"net__head_start": "probe"})
    for seed, settings in enumerate(chosen):
        folder = run_folder(tmp_path / f"auto{seed}", 0.5, train__seed=seed, **settings)
        (folder / "auto.json").write_text("{}")
    run_folder(tmp_path / "plain", 0.5)
    assert [group.name for group in compare([tmp_path]).groups] == ["auto", "fixmatch"]


def test_what_is_written_down_when_tells_no_groups_apart(tmp_path: Path) -> None:
    run_folder(tmp_path / "a", 0.5)
    run_folder(tmp_path / "b", 0.5, train__seed=1, train__eval_every=7, train__log_every=3)
    (group,) = compare([tmp_path]).groups
    assert len(group.runs) == 2


def test_runs_that_are_all_unfinished_have_a_page(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path / name, 0.5, done=50) for name in "ab"]
    out = tmp_path / "page.html"
    main(["report", *map(str, folders), "--out", str(out)])
    page = out.read_text()
    assert "None of these runs is finished" in page and page.count("This run is not finished") == 2
    with pytest.raises(SystemExit):
        main(["compare", *map(str, folders)])
