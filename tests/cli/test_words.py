"""The words of ``ssl-mix train`` mean the same in any order and either spelling."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_mix.cli.main import main
from ssl_mix.cli.train import read_run
from ssl_mix.cli.words import read_words
from ssl_mix.runs.run import Run

GROUPS = [
    ["fine-tuning"],
    ["--data", "digits"],
    ["--labels", "40"],
    ["--mix", "dm"],
    ["--eta", "0.3"],
    ["--net", "small-cnn"],
    ["--pretrained", "none"],
    ["--steps", "12"],
    ["--milestones", "4", "8"],
    ["--schedule", "step"],
    ["--no-ema-warmup"],
    ["--recipe", "small"],
    ["--out", "x"],
]
MANY = ("--milestones",)  # which take more than one value


def said(run: Run) -> tuple[object, ...]:
    return repr(run.algorithm), run.data, run.net, run.config


@given(order=st.permutations(GROUPS), joined=st.lists(st.booleans(), min_size=13, max_size=13))
@settings(max_examples=8, deadline=None)
def test_any_order_and_spelling_give_the_same_run(order: list[list[str]], joined: list[bool]) -> None:
    words = [
        ["=".join(group)] if join and len(group) == 2 else group
        for group, join in zip(order, joined, strict=True)
    ]
    last = next(index for index, group in enumerate(words) if group[0] in MANY)
    if ["fine-tuning"] in words[last + 1 : last + 2]:  # would read as one more value
        words[last], words[last + 1] = words[last + 1], words[last]
    found = read_run(list(itertools.chain.from_iterable(words)))
    assert said(found) == said(read_run(list(itertools.chain.from_iterable(GROUPS))))
    assert found.config.lr == 0.003 and found.config.head_lr_factor == 10  # the defaults of fine-tuning
    assert found.config.milestones == (4, 8) and not found.config.ema_warmup


@pytest.mark.parametrize(
    ("words", "warms_up"),
    [
        ([], True),
        (["--recipe", "paper"], False),
        (["--recipe", "paper", "--ema-warmup"], True),
        (["--ema-warmup", "--recipe", "paper"], True),
        (["--no-ema-warmup"], False),
        (["--recipe=paper", "--no-ema-warmup"], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_flag_that_says_yes_or_no_wins_over_the_recipe(words: list[str], warms_up: bool) -> None:
    for order in (["fixmatch", *words], [*words, "fixmatch"]):
        assert read_run(["--data", "digits", *order]).config.ema_warmup == warms_up


@pytest.mark.parametrize(
    ("algorithm", "flag"),
    [("mixmatch", "interleave"), ("flexmatch", "threshold-warmup")],
)
def test_an_algorithms_own_yes_or_no_counts(algorithm: str, flag: str) -> None:
    for word, value in ((f"--{flag}", True), (f"--no-{flag}", False)):
        for order in ([algorithm, word], [word, algorithm]):
            made = read_run(["--data", "digits", *order]).algorithm.hyperparameters()
            assert made[flag.replace("-", "_")] is value


def test_what_is_not_given_is_not_an_option() -> None:
    words = read_words(["--steps", "3", "fixmatch", "--mix=dm-as", "--data=digits"])
    assert (words.algorithm, words.recipe, words.out, words.help) == ("fixmatch", "small", None, "")
    assert words.options == {"steps": 3, "mix": "dm-as", "data": "digits"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fixmatch", "--treshold=0.9"], "fixmatch has no option --treshold. Did you mean --threshold?"),
        (["--temperature=0.9", "fixmatch"], "fixmatch has no --temperature; these have: .*mixmatch"),
        (["--data", "digits"], "expected an algorithm: choose supervised"),
        (["fixmatc", "--data", "digits"], "got 'fixmatc'. Did you mean 'fixmatch'?"),
        (["fixmatch", "--recipe=papr"], "recipe must be one of small, paper, recommended, .*got 'papr'"),
        (["fixmatch", "softmatch"], "softmatch"),
        (["fixmatch", "--steps", "many"], "many"),
        (["fixmatch", "--mix", "dmas"], "dm-as"),
        (["fixmatch", "--steps"], "--steps"),
        (["fixmatch", "-x", "--data=digits"], "'-x' means nothing here"),
        (["fixmatch", "--data", "digits", "--mixed-by", "cutmix"], "no option --mixed-by"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_that_mean_nothing_are_named(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", *words, "--out", "x"])
    output, told = capsys.readouterr()
    assert stop.value.code == 2 and output == ""
    assert re.search(message, re.sub(r"[\s│]+", " ", told)), told
