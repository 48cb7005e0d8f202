"""Every recipe is a run that could start, with the settings that the papers name."""

from typing import Any

import pytest

from ssl_mix import TrainConfig
from ssl_mix.algorithms import ALGORITHMS, TRANSFER
from ssl_mix.recipes import GENERAL, RECIPES, Request
from ssl_mix.recipes.build import build_run


@pytest.mark.parametrize("recipe", GENERAL)
@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_a_recipe_makes_a_run_of_every_algorithm(name: str, recipe: str) -> None:
    for data in ("cifar10", "cifar100", "svhn"):
        run, notes = build_run(name, {"data": data}, recipe)
        assert type(run.algorithm) is ALGORITHMS[name] and run.data.data == data
        assert all("weights" in note for note in notes) and (not notes or name in TRANSFER)


def test_options_that_are_given_win_over_those_of_the_recipe() -> None:
    options = {"data": "cifar100", "net": "small-cnn", "steps": 7, "unlabeled_weight": 3.0, "mix": "dm"}
    run, _ = build_run("mixmatch", {**options, "ema_warmup": True}, "paper")
    assert (run.net.net, run.config.steps, run.config.ema_warmup) == ("small-cnn", 7, True)
    made = run.algorithm.hyperparameters()
    assert (made["unlabeled_weight"], made["mixing"].mix) == (3.0, "dm")
    assert run.config.weight_decay == 1e-3 and run.net.bn_momentum == 0.001  # still those of the recipe


def test_the_paper_recipe_follows_the_data() -> None:
    for data, net, weight, decay in (("cifar10", "wrn-28-2", 100, 5e-4), ("cifar100", "wrn-28-8", 150, 1e-3)):
        run, _ = build_run("mixmatch", {"data": data}, "paper")
        found = run.algorithm.hyperparameters()["unlabeled_weight"]
        assert (run.net.net, found, run.config.weight_decay) == (net, weight, decay)
        assert run.config.steps == 2**20 and run.data.include_labeled
    bounds = build_run("freematch", {"data": "svhn"}, "paper").run.algorithm.hyperparameters()
    assert (bounds["lowest_threshold"], bounds["highest_threshold"]) == (0.9, 0.95)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fixmach", {}), "must be one of .*, got 'fixmach'. Did you mean 'fixmatch'?"),
        (("fixmatch", {}, "papr"), "recipe must be one of small, paper, recommended, .*, got 'papr'"),
        (("fixmatch", {"treshold": 0.9}), "fixmatch has no option `treshold`. Did you mean `threshold`?"),
        (("fixmatch", {"temperature": 0.5}), "fixmatch has no `temperature`; these have: .*mixmatch"),
        (("bss", {"mix": "dm"}), r"bss takes no mixing terms \(`mix`\); these do: .*fixmatch"),
        (("fixmatch", {"data": "digits", "mix": "dmas"}), "mix must be one of none, mixup, dm, as, dm-as"),
        (("fixmatch", {"steps": 0}), "^steps must be above 0, got 0"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_the_argument(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        build_run(*arguments)
    assert "--" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": "adamm"}, "optimizer"),
        ({"schedule": "half-cosin"}, "half-cosine"),
        ({"final_lr": 0.1}, "half-cosine"),
        ({"warmup_steps": 1000}, "fewer than steps"),
        ({"warmup_steps": -1}, "warmup_steps"),
    ],
)
def test_wrong_schedules_are_refused(options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrainConfig(**options)


@pytest.mark.parametrize("recipe", ["small", "paper", "recommended"])
@pytest.mark.parametrize("name", list(TRANSFER))
def test_transfer_starts_from_weights_and_scores_the_test_part_once(name: str, recipe: str) -> None:
    found = RECIPES[recipe](Request(name, "cub200"))
    assert found.net.pretrained == "default"
    assert found.config.test_scored == "once"
    assert found.config.head_lr_factor == (1 if recipe == "small" else 10)
    if recipe != "small":
        assert (found.data.image_size, found.data.stored_size, found.data.crop) == (224, 256, "resized")


def test_the_published_codes_are_followed() -> None:
    """Steps, batch, weight decay, milestones, view and teacher of each method's own code."""
    codes = {
        "fine-tuning": (9050, 48, 5e-4, (6000,), "weak", 0.0),
        "l2-sp": (10_000, 48, 0.0, (6000,), "weak", 0.0),
        "bss": (9002, 48, 5e-4, (6000,), "weak", 0.0),
        "co-tuning": (9050, 48, 5e-4, (6000,), "weak", 0.0),
        "bi-tuning": (10_000, 48, 5e-4, (6000,), "weak", 0.999),
        "self-tuning": (27005, 24, 1e-4, (6000, 12000, 18000, 24000), "strong", 0.998001),
    }
    for name, expected in codes.items():
        found = RECIPES["paper"](Request(name, "cub200"))
        config = found.config
        settings = (config.steps, config.batch_size, config.weight_decay, config.milestones)
        assert (*settings, found.options["view"], config.ema_decay) == expected
        fit = "cut" if name in ("l2-sp", "bi-tuning") else "squash"
        assert (config.lr, found.data.fit, found.data.randaugment) == (1e-3, fit, "self-tuning")
    assert not RECIPES["paper"](Request("bss", "cub200")).config.nesterov


def test_the_authors_code_and_their_paper_mix_differently() -> None:
    paper = build_run("self-tuning", {"data": "cub200", "mix": "dm-as"}, "paper").run.algorithm
    code = build_run(
        "self-tuning", {"data": "cub200", "mix": "dm-as", "mix_variant": "openmixup"}, "paper"
    ).run.algorithm
    for made, variant in ((paper, "paper"), (code, "openmixup")):
        terms = made.hyperparameters()["mixing"]
        assert (terms.mix_variant, terms.mix_alpha, terms.mix_ramp) == (variant, 0.2, "none")


def test_recommended_treats_all_alike() -> None:
    found = {name: RECIPES["recommended"](Request(name, "cub200")) for name in (*TRANSFER, "mean-teacher")}
    assert {found[name].options["view"] for name in TRANSFER} == {"strong"}
    assert len({(each.config.steps, each.config.batch_size, each.config.lr) for each in found.values()}) == 1
    assert {name for name, each in found.items() if each.config.weight_decay == 0} == {"l2-sp", "delta"}
    assert {name for name, each in found.items() if each.config.ema_decay > 0} == {
        "bi-tuning",
        "self-tuning",
        "mean-teacher",
    }
    smaller = RECIPES["recommended"](Request("bss", "cub200", 56)).data
    assert (smaller.image_size, smaller.stored_size) == (56, 64)
