"""Algorithms of somebody's own, by the place of their class, in every command and in ``fit``."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ssl_mix
from ssl_mix.algorithms import ALGORITHMS, FixMatch
from ssl_mix.cli.main import main
from ssl_mix.runs.folder import read_config

OWN = '''
from ssl_mix.algorithms import Supervised

class Mine(Supervised):
    """Supervised, with a keyword of its own."""

    def __init__(self, *, boost: float = 2.0) -> None:
        super().__init__()
        self.boost = boost

    def forward(self, nets, batch, step):
        output = super().forward(nets, batch, step)
        return output._replace(loss=self.boost * output.loss)

NONE = 3
'''
WORDS = ["--data", "digits", "--labels", "20", "--steps", "1", "--batch-size", "4", "--threads", "1"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with ``mine_of_a_test.py``; what is registered is forgotten afterwards."""
    (tmp_path / "mine_of_a_test.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = dict(ALGORITHMS)
    yield
    ALGORITHMS.clear()
    ALGORITHMS.update(known)
    sys.modules.pop("mine_of_a_test", None)


def test_the_commands_know_it(capsys: pytest.CaptureFixture[str]) -> None:
    name = "mine_of_a_test:Mine"
    main(["train", name, *WORDS, "--boost", "3", "--out", "run"])
    assert read_config(Path("run"))["algorithm"] == {"name": name, "boost": 3.0}
    main(["train", name, "--help-all"])
    assert "--boost" in capsys.readouterr().out
    del ALGORITHMS[name]  # another process
    main(["evaluate", "run"])
    assert "360" in capsys.readouterr().out
    ALGORITHMS["lost"] = ALGORITHMS.pop(name)
    main(["train", "lost", *WORDS, "--out", "lost"])
    del ALGORITHMS["lost"]
    with pytest.raises(SystemExit):
        main(["evaluate", "lost"])
    assert "trained by 'lost', which is no algorithm of this package" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("mine_of_a_test:NONE", "expected a subclass of ssl_mix.algorithm.Algorithm"),
        ("mine_of_a_test:Absent", "named 'Absent' in .*mine_of_a_test.py, got none: define it there"),
        ("nowhere:Mine", "cannot import 'nowhere'.*start where nowhere.py is"),
        ("fixmatc", "Did you mean 'fixmatch'"),
    ],
)
def test_what_is_none_is_told(word: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", word, "--help"])
    told = capsys.readouterr()
    assert re.search(message, told.err) and not told.out


def test_fit_takes_the_class() -> None:
    class Nearly(FixMatch):
        """FixMatch."""

    options: Any = {"data": "digits", "labels": 20, "steps": 1, "batch_size": 4, "threads": 1}
    trained = ssl_mix.fit(Nearly, threshold=0.5, out="a", **options)
    assert isinstance(trained.run.algorithm, Nearly) and trained.run.algorithm.threshold == 0.5
    assert "Nearly, step 1 of 1" in repr(trained) and len(repr(trained)) < 200
    ssl_mix.fit(FixMatch, out="b", **options)
    assert read_config(Path("b"))["algorithm"]["name"] == "fixmatch"
    for wrong, message in ((Nearly(), "got an object: pass Nearly and"), (3, "got int"), (int, "got type")):
        with pytest.raises(ValueError, match=message):
            ssl_mix.fit(wrong, **options)  # type: ignore[arg-type]
