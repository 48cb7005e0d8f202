"""What the pages show works: their Python runs, their commands are known, their tables are complete and hold
what was measured."""

import importlib
import json
import re
import statistics
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from documented import commands_of, flags_of, help_of, python_of, unknown_flags

import ssl_mix
import ssl_mix.losses
from ssl_mix.algorithms import ALGORITHMS, TRANSFER
from ssl_mix.mixers import MIXERS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
RESULTS = ROOT / "scripts/results"


def page(name: str) -> str:
    """The text of a page."""
    return (DOCS / f"{name}.md").read_text()


@pytest.mark.parametrize("command", commands_of("\n".join(path.read_text() for path in PAGES)))
def test_commands_are_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert unknown_flags(command, capsys) == []


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/semi-supervised.md"])
def test_counts_are_those_of_the_registries(name: str) -> None:
    """Numbers in words, from twenty on, but for those of algorithms that were measured."""
    tens, ones = (
        ["twenty", "thirty", "forty"],
        ["-one", "-two", "-three", "-four", "-five", "-six", "-seven", "-eight", "-nine"],
    )
    words = [ten + one for ten in tens for one in ("", *ones)]
    counts = {"algorithms": len(ALGORITHMS) - len(TRANSFER), "mixers": len(MIXERS)}
    told = r"\b((?:twenty|thirty|forty)(?:-\w+)?) (?:semi-supervised )?(algorithms(?! that)|mixers)"
    found = re.findall(told, (ROOT / name).read_text().lower())
    assert found and all(20 + words.index(number) == counts[thing] for number, thing in found)


@pytest.mark.parametrize("built_in", [True, False], ids=["fit", "loops"])
def test_python_of_the_python_page_runs(
    built_in: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sections that are marked share names, the others stand alone; both with few steps."""
    if built_in and not hasattr(ssl_mix, "fit"):
        pytest.skip("this version has no ssl_mix.fit")
    monkeypatch.chdir(tmp_path)
    sections = re.split(r"^(?=## )", page("python"), flags=re.MULTILINE)
    chosen = [section for section in sections if ("<!-- fit -->" in section) == built_in]
    parts = [block for section in chosen for block in python_of(section)]
    assert len(parts) >= 4
    names: dict[str, Any] = {"__name__": "page"}
    for part in parts:
        exec(compile(part.replace("steps=2000", "steps=20"), "python.md", "exec"), names)


def test_the_algorithm_of_the_page_trains(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for block in python_of(page("adding-an-algorithm")):
        exec(compile(block, "adding-an-algorithm.md", "exec"), names)
    assert "20 " in capsys.readouterr().out.splitlines()[-1]
    assert 0 < names["record"]["test_accuracy"] <= 1


def test_every_name_has_its_row() -> None:
    for name in ALGORITHMS:
        details = page("transfer" if name in TRANSFER else "semi-supervised")
        assert f"| `{name}` |" in details, name
        assert re.search(rf"^\| \[?`{name}`", page("algorithms"), re.MULTILINE), name
    for name in MIXERS:
        assert re.search(rf"^\| .*`{name}`.* \|", page("mixing"), re.MULTILINE), name
    for name in ssl_mix.losses.__all__:
        assert f"`{name}" in page("mixing"), name


def test_the_switches_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """Each flag where papers and codes differ, and of the words of mixing, is one of an algorithm."""
    known = {"--help"}.union(*(flags_of(help_of(["train", name], capsys)) for name in ALGORITHMS))
    flags = flags_of(page("semi-supervised") + page("mixing"))
    assert len(flags) > 30
    assert sorted(flags - known) == []


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that makes the tables."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("results_tables")


def test_the_tables_are_those_of_the_script(tables: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    tables.main(["--check"])
    assert capsys.readouterr().out == ""
    text = "".join(path.read_text() for path in PAGES)
    assert sorted(re.findall(r"<!-- table: (\S+) -->", text)) == sorted(tables.TABLES)


def test_the_script_writes_tables_anew_and_says_where(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "TABLES", {"a": lambda: "| new |"})
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("No table.\n")
    (tmp_path / "docs/x.md").write_text("Before\n\n<!-- table: a -->\n\n| old |\n\n<!-- end -->\n\nafter\n")
    with pytest.raises(SystemExit, match="not up to date"):
        tables.main(["--check"])
    assert "| old |" in (tmp_path / "docs/x.md").read_text()
    tables.main([])
    assert (tmp_path / "docs/x.md").read_text() == (
        "Before\n\n<!-- table: a -->\n\n| new |\n\n<!-- end -->\n\nafter\n"
    )
    assert capsys.readouterr().out == "docs/x.md\ndocs/x.md\n"


def read(name: str) -> list[dict[str, Any]]:
    """The lines of a file of results."""
    return [json.loads(line) for line in (RESULTS / f"{name}.jsonl").read_text().splitlines()]


def cell(values: list[float], digits: int = 1) -> str:
    """Mean and deviation of the three seeds of a row."""
    assert len(values) == 3
    return f"{statistics.mean(values):.{digits}f} +- {statistics.stdev(values):.{digits}f}"


def test_the_semi_supervised_tables_hold_what_was_measured() -> None:
    lines, text = read("cifar_ssl"), page("results/semi-supervised")
    rows = {(x["identity"]["dataset.name"], x["algorithm"], x["mix"]) for x in lines}
    open_set = {line["method"] for line in read("tail_study") if line["part"] == "open"}  # measured there
    wanted = ALGORITHMS.keys() - TRANSFER.keys() - open_set | {"supervised", "fixmatch"}
    assert rows >= {("digits", name, "none") for name in wanted}
    for data, algorithm, mix in rows:
        found = [
            100 - x["error_last"]
            for x in lines
            if (x["identity"]["dataset.name"], x["algorithm"], x["mix"]) == (data, algorithm, mix)
        ]
        row = rf"^\| `({algorithm}|{mix})` \|.*{re.escape(cell(found))}"
        assert re.search(row, text, re.MULTILINE), (data, algorithm, mix)


def test_the_transfer_tables_hold_what_was_measured() -> None:
    text = page("results/transfer")
    found: dict[tuple[Any, ...], list[float]] = {}
    for x in read("transfer"):
        key = x["set"], x["identity"]["train.lr"], x["method"], x["mix"], x["rate"]
        found.setdefault(key, []).append(100 - x["error_last"])
    for (data, lr, method, mix, rate), values in found.items():
        start = "random weights" if data == "CIFAR-10, 5 classes" else "pre-trained"
        row = rf"^\| (`{method}`|`{mix}`|{start}) \|.*{re.escape(cell(values))}"
        assert re.search(row, text, re.MULTILINE), (data, lr, method, mix, rate)


def test_the_mixing_table_holds_what_was_measured() -> None:
    lines, text = read("supervised_mixup"), page("results/mixing")
    methods = {line["method"] for line in lines}
    assert len(methods) == 11
    for method in methods:
        values = [line["last"] for line in lines if line["method"] == method]
        assert f"| {cell(values, 2)} |" in text, method


def test_the_sentences_about_the_gpu_say_what_was_measured() -> None:
    """The aims that were kept and missed, and the numbers outside of the tables, line breaks aside."""
    text, lines = " ".join(page("results/gpu").split()), read("gpu_checks")
    steps = [line for line in lines if "step_ms" in line]

    def found(net: str, ahead: bool = False, name: str = "wrn-28-2") -> list[dict[str, Any]]:
        kind = net, ahead, name, "bf16", True
        names = ("net", "ahead", "net_name", "amp", "deterministic")
        return [line for line in steps if tuple(line[x] for x in names) == kind]

    (eager,), (wide,), (compiled,), (graphs,) = (
        found("eager"),
        found("eager", name="wrn-28-8"),
        found("compile"),
        found("reduce-overhead"),
    )
    graphed = found("graphed")
    (free,) = (line for line in steps if line["net"] == "eager" and not line["deterministic"])
    assert eager["step_over_bound"] > 1.15 > wide["step_over_bound"] and wide["step_ms"] > 50
    factor = eager["step_ms"] / graphs["step_ms"]
    beside = graphed[-1]["busy_ms"] - graphed[-1]["network_busy_ms"]
    for sentence in (
        f"misses the ratio**, at {eager['step_over_bound']:.2f}",
        f"busy for {eager['busy_ms']:.1f} of {eager['step_ms']:.1f} ms",
        f"took {free['step_ms']:.1f} ms",
        f"eager network alone take {eager['bound_ms']:.1f} ms",
        f"take {compiled['busy_ms']:.1f} ms of the GPU",
        f"keeps the ratio**, at {wide['step_over_bound']:.2f}, "
        f"and misses 50 ms by {wide['step_ms'] - 50:.1f}",
        f"captured passes take {wide['bound_ms']:.1f} ms",
        f"was {graphed[0]['step_over_bound']:.2f} and",
        f"{graphed[1]['step_over_bound']:.2f} in another",
        f"takes {beside:.1f} ms of the GPU beside the network's {graphed[-1]['network_busy_ms']:.1f}",
        f"takes {graphs['step_ms']:.1f} ms, {factor:.1f} times as fast",
        f"Its {graphs['step_over_bound']:.2f} is",
        f"no CUDA graphs: {compiled['step_ms']:.1f} ms",
        f"the {found('eager', ahead=True)[0]['step_ms']:.1f} ms are from another process",
    ):
        assert sentence in text, sentence
    readme = (ROOT / "README.md").read_text()
    assert f"whole step is {eager['busy_ms'] / eager['network_busy_ms']:.2f} times its network's" in readme


def test_a_difference_is_taken_seed_by_seed(tables: ModuleType) -> None:
    """The same deviation in both, none in the difference."""
    assert tables.difference({0: 3.0, 1: 5.0}, {1: 4.0, 0: 2.0}) == "+1.0 +- 0.0"
    assert tables.cell([1.0, 3.0]) == "2.0 +- 1.4"
    assert tables.cell([]) == ""
