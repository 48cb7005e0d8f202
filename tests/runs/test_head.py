"""Runs that train a head on features: the same code as for images, and a network for images at the end."""

from pathlib import Path
from typing import Any

import pytest
import torch
from algorithm_tables import FROM_RUNS

from ssl_mix import MixingTerms
from ssl_mix.algorithms import ALGORITHMS, TRANSFER, FineTuning
from ssl_mix.augment.cached import CachedViews
from ssl_mix.errors import UserError
from ssl_mix.recipes.build import build_run, takes_mixing
from ssl_mix.runs import features as features_module
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.head import check_head_alone
from ssl_mix.runs.session import Session, reopen, start
from ssl_mix.runs.trained import load_trained

ABLE = [name for name, cls in ALGORITHMS.items() if not cls.needs_body]
OPTIONS: dict[str, Any] = {
    "data": "digits",
    "net": "small-cnn",
    "pretrained": "none",
    "tune": "head",
    "head_start": "probe",
    "feature_views": 2,
    "labels_per_class": 5,
    "batch_size": 16,
    "lr": 0.01,
    "threads": 1,
    "steps": 8,
    "eval_every": 4,
    "checkpoint_every": 4,
}


def run_of(algorithm: str, **options: Any) -> Any:
    own: dict[str, Any] = {"mix": "dm-as"} if takes_mixing(ALGORITHMS[algorithm]) else {}
    if algorithm == "supervised":
        own = {"mix": "dm"}
    if algorithm in TRANSFER:  # its head learns ten times as fast
        own["lr"] = 0.001
    return build_run(algorithm, {**OPTIONS, **own, **options}).run


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Any:
    session = start(run_of("fixmatch"), tmp_path_factory.mktemp("head") / "run")
    list(session.records())
    content = features_module.read_tensors(session.folder / features_module.FEATURES)
    return session, content["table"]


@pytest.fixture
def quick(known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are computed once for all tests."""
    monkeypatch.setattr(features_module, "_compute", lambda *_: known[1])


@pytest.mark.usefixtures("quick")
def test_the_time_of_the_features_counts(tmp_path: Path) -> None:
    assert start(run_of("fixmatch"), tmp_path / "run").trainer.seconds > 0


ADJUSTED = {"align": "labeled", "smooth_targets": 0.3}
CASES: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in ABLE if name not in FROM_RUNS]
CASES += [(name, ADJUSTED) for name in ("fixmatch", "flexmatch", "mixmatch", "self-tuning")]
CASES += [(name, {"balance_classes": True}) for name in ("fixmatch", "self-tuning")]
CASES += [("fixmatch", {"rebalance": "abc"})]


@pytest.mark.parametrize(("algorithm", "options"), CASES)
def test_every_algorithm_trains_on_features_and_resumes_to_the_bit(
    algorithm: str, options: dict[str, Any], quick: None, tmp_path: Path
) -> None:
    run = run_of(algorithm, **options)
    whole = start(run, tmp_path / "whole")
    last = list(whole.records())[-1]
    assert last["test_accuracy"] > 0.4  # chance is 0.1
    kept = state_of(whole)  # the algorithm goes on in the next run

    half = start(run, tmp_path / "half")
    for record in half.records():
        if record["step"] == 4:
            half.trainer.stop = True
    assert half.trainer.step == 4
    rest = reopen(tmp_path / "half")
    list(rest.records())
    ours, theirs = state_of(rest), kept
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def state_of(session: Session) -> dict[str, torch.Tensor]:
    """Copies of what a run has learned and remembers."""
    parts = (session.trainer.teacher.net, session.trainer.algorithm)
    return {
        f"{n}.{key}": value.clone()
        for n, part in enumerate(parts)
        for key, value in part.state_dict().items()
    }


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS.keys() - set(ABLE)))
def test_what_needs_a_body_is_refused_before_any_work(algorithm: str, tmp_path: Path) -> None:
    options = OPTIONS if algorithm != "co-tuning" else OPTIONS | {"pretrained": "none"}
    with pytest.raises(UserError, match="tune=head"):
        start(build_run(algorithm, options).run, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_mixers_of_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`mixer=cutmix` mixes pixels"):
        start(run_of("fixmatch", mixer="cutmix"), tmp_path / "run")


@pytest.mark.parametrize("mix", ["mixup", "dm", "as", "dm-as"])
def test_a_head_of_their_own_for_mixed_images_is_refused_where_nothing_else_learns(
    mix: str, tmp_path: Path
) -> None:
    """It would take all that mixed images teach, and nothing of it would reach the head that answers."""
    with pytest.raises(UserError, match="`mix_head=own` .* take `mix_head=shared`, or `tune=norms`"):
        start(run_of("fine-tuning", mix=mix, mix_head="own"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    mixing = MixingTerms(mix="none", mix_head="own")  # which mixes nothing
    check_head_alone(FineTuning(mixing=mixing))


def test_the_network_for_images_answers_as_the_head_on_features_does(known: Any) -> None:
    session, _ = known
    trained = load_trained(session.folder)
    found = evaluate(trained)
    assert found.accuracy == pytest.approx(session.trainer.evaluate()["test_accuracy"], abs=0.005)
    assert (session.folder / "body.pt").exists()


def test_features_that_were_deleted_are_computed_again(known: Any) -> None:
    session, _ = known
    (session.folder / "features.pt").unlink()
    again = reopen(session.folder).trainer.data.augmentation
    assert isinstance(again, CachedViews)
    assert torch.equal(again.table, session.trainer.data.augmentation.table)


def test_a_lost_body_is_told(quick: None, tmp_path: Path) -> None:
    session = start(run_of("fixmatch"), tmp_path / "run")
    (session.folder / "body.pt").unlink()
    with pytest.raises(UserError, match="body.pt, the network behind the head, is missing"):
        load_trained(session.folder)
    torch.save({"other": torch.ones(1)}, session.folder / "body.pt")
    for use in (load_trained, reopen):
        with pytest.raises(UserError, match="body.pt is damaged"):
            use(session.folder)
