"""Which images to label next, by the name of a method."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_choice, check_count, check_seed, counts_of, verb_for
from ssl_mix.labeling.badge import badge
from ssl_mix.labeling.k_means_plus_plus import Chosen, diverse
from ssl_mix.labeling.typiclust import typiclust
from ssl_mix.labeling.uncertainty import entropy, highest, margin
from ssl_mix.randomness import stream_generator

FEW = 5  # labels a class, below which typical images are worth more than doubtful ones


class Pool(NamedTuple):
    """Images to choose from.

    Attributes:
        features: of the unlabeled images, (N, D).
        known: of the labeled ones, (M, D).
        probabilities: what a classifier says of the unlabeled ones, (N, C); None where nothing is labeled.
    """

    features: Tensor
    known: Tensor
    probabilities: Tensor | None = None


class Method(NamedTuple):
    """One way to choose.

    Attributes:
        about: what it chooses, in a few words.
        choose: of a pool, with a number and a seed.
        asks_classifier: whether it needs probabilities.
    """

    about: str
    choose: Callable[[Pool, int, int], Chosen]
    asks_classifier: bool = True


def suggest(pool: Pool, count: int, by: str, *, seed: int = 0) -> Chosen:
    """The images to label next, the most wanted first.

    Args:
        pool: N unlabeled images.
        count: how many; all N where they are fewer.
        by: a name in ``METHODS``.
        seed: of draws and clusters.

    Raises:
        ValueError: there is no such method, or it asks a classifier and there is none.
    """
    check_choice("by", by, METHODS)
    check_count("n", count)
    check_seed("seed", seed)
    method = METHODS[by]
    if method.asks_classifier and pool.probabilities is None:
        free = ", ".join(name for name, other in METHODS.items() if not other.asks_classifier)
        raise UserError(f"`by={by}` asks a classifier, and nothing is labeled yet: choose {free}")
    return method.choose(pool, count, seed)


def default_method(labels: int, classes: int) -> tuple[str, str]:
    """The method for so many labels in all, and why."""
    if not labels:
        return "typicality", "nothing is labeled yet"
    if labels < FEW * classes:
        return (
            "typicality",
            f"{counts_of(labels, 'label')} of {classes} classes {verb_for(labels)} fewer than {FEW} for each",
        )
    return "badge", f"{counts_of(labels, 'label')} of {classes} classes are {FEW} or more for each"


def _draws(seed: int) -> torch.Generator:
    return stream_generator(seed, "suggest")


def _ranked(scores: Tensor, count: int) -> Chosen:
    indices = highest(scores, count)
    return Chosen(indices, scores[indices])


def _probabilities(pool: Pool) -> Tensor:
    assert pool.probabilities is not None  # suggest has looked
    return pool.probabilities


def _by_chance(pool: Pool, count: int, seed: int) -> Chosen:
    indices = torch.randperm(len(pool.features), generator=_draws(seed))[:count]
    return Chosen(indices, torch.zeros(len(indices)))


METHODS: dict[str, Method] = {
    "typicality": Method(
        "the most typical image of every cluster (TypiClust)",
        lambda pool, count, seed: typiclust(pool.features, count, known=pool.known, seed=seed),
        asks_classifier=False,
    ),
    "badge": Method(
        "images that would change the last layer most, and in different ways (BADGE)",
        lambda pool, count, seed: badge(pool.features, _probabilities(pool), count, generator=_draws(seed)),
    ),
    "margin": Method(
        "images whose two likeliest classes are closest",
        lambda pool, count, seed: _ranked(margin(_probabilities(pool)), count),
    ),
    "entropy": Method(
        "images of which least is known of the class",
        lambda pool, count, seed: _ranked(entropy(_probabilities(pool)), count),
    ),
    "diverse": Method(
        "images that lie apart from each other and from labeled ones (k-means++)",
        lambda pool, count, seed: diverse(pool.features, count, known=pool.known, generator=_draws(seed)),
        asks_classifier=False,
    ),
    "random": Method("images drawn evenly: the control", _by_chance, asks_classifier=False),
}
