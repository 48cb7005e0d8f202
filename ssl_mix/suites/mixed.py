"""What the run makes of mixed images: both classes, its confidence, its features."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, counts_of
from ssl_mix.evaluation import equivariance_error, mixed_answers
from ssl_mix.mixers import Mixer, build_mixer
from ssl_mix.passes import backbone
from ssl_mix.randomness import stream_generator
from ssl_mix.suites.changed import sample_words, sampled_rows
from ssl_mix.suites.figures import new_figure
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAMS = tuple(tenth / 10 for tenth in range(11))
CURVES = ("top1", "top2", "confidence", "probability_a", "probability_b", "equivariance_error")
TOLD = (0.5, 0.7, 0.9)


def measure(scene: Scene) -> dict[str, Any]:
    """Answers to pairs of test images of two classes, mixed by eleven shares of the first."""
    mixer = _mixer(scene)
    rows = sampled_rows(scene)
    generator = stream_generator(scene.options.suite_seed, "mixed")
    partners = partners_of(scene.answered.labels, rows, generator)
    found: list[list[dict[str, Tensor]]] = [[] for _ in LAMS]
    done = 0
    for (a, labels_a), (b, labels_b) in zip(scene.batches(rows), scene.batches(partners), strict=True):
        pair = scene.normalized(a), scene.normalized(b)
        labels = {"labels_a": labels_a, "labels_b": labels_b}
        for place, mixed in enumerate(_answers(scene, mixer, pair, labels, generator)):
            found[place].append({**labels, **mixed})
        done += len(a)
        scene.tell("mixing images", done, len(rows))
    numbers = {"mixer": scene.options.mixed_mixer, "images": len(rows), "of": len(scene.answered.labels)}
    curves = [_measures(_joined(parts)) for parts in found]
    shares = [float(_joined(parts)["lam"].mean()) for parts in found]
    return {**numbers, "lam": shares, **{name: [one[name] for one in curves] for name in CURVES}}


def _mixer(scene: Scene) -> Mixer:
    name = scene.options.mixed_mixer
    mixer = build_mixer(name)
    if mixer.hidden or isinstance(mixer, nn.Module):
        why = "mixes hidden layers, not images" if mixer.hidden else "learns to mix while training"
        raise UserError(f"`mixed_mixer={name}` {why}: take another, mixup or cutmix for example")
    mixer.prepare(scene.answered.trained.net, scene.answered.trained.shape)
    return mixer


def partners_of(labels: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    """For each row another one of another class, (n,), drawn at random among all that there are.

    Args:
        labels: of all images, (N,) int64.
        rows: that are looked at, (n,) int64.
        generator: of the draws.

    Raises:
        ValueError: there are no two classes.
    """
    own = labels[rows]
    order, counts = rows[own.argsort(stable=True)], own.bincount()
    others = len(rows) - counts[own]
    if not others.all():
        raise UserError("mixed images are of two classes, and the test images that are looked at have one")
    drawn = (torch.rand(len(rows), generator=generator, dtype=torch.float64) * others).long()
    return order[(counts.cumsum(0)[own] + drawn) % len(rows)]  # from behind the own class on, round the end


def _answers(
    scene: Scene,
    mixer: Mixer,
    pair: tuple[Tensor, Tensor],
    labels: dict[str, Tensor],
    generator: torch.Generator,
) -> list[dict[str, Tensor]]:
    """Features and logits of a batch of pairs, mixed by each share, with those of the images themselves."""
    net = scene.answered.trained.net
    body = backbone(net)
    saliency = [
        mixer.saliency(images, own, net) if "saliency" in mixer.needs else None
        for images, own in zip(pair, labels.values(), strict=True)
    ]

    @torch.inference_mode()
    def seen(images: Tensor) -> tuple[Tensor, Tensor]:
        features = body.features(images)
        return features.float().cpu(), scene.answered.of_columns(body.head(features)).float().cpu()

    clean = {"clean_a": seen(pair[0])[0], "clean_b": seen(pair[1])[0]}
    found = []
    for share in LAMS:
        mixed, lam = mixer.mix(
            *pair, lam=share, generator=generator, saliency_a=saliency[0], saliency_b=saliency[1], net=net
        )
        features, logits = seen(mixed)
        found.append({**clean, "mixed": features, "logits": logits, "lam": lam.cpu()})
    return found


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name].cpu() for part in parts]) for name in parts[0]}


def _measures(joined: dict[str, Tensor]) -> dict[str, float]:
    answers = mixed_answers(joined["logits"], joined["labels_a"], joined["labels_b"])
    features = (joined[name] for name in ("mixed", "clean_a", "clean_b", "lam"))
    return {**answers._asdict(), "equivariance_error": equivariance_error(*features)}


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers at some shares in words."""
    places = {share: LAMS.index(share) for share in TOLD}

    def at(name: str, form: str = "percent") -> str:
        values = {share: numbers[name][place] for share, place in places.items()}
        said = {s: percent(v, 1) if form == "percent" else f"{v:.2f}" for s, v in values.items()}
        return ", ".join(f"{value} at lam {share}" for share, value in said.items())

    pairs = sample_words(numbers["images"], numbers["of"])
    return [
        ("images", f"{pairs}, each mixed by {numbers['mixer']} with one of another class"),
        ("Top-1, either class is the likeliest", at("top1")),
        ("Top-2, both classes are the two likeliest", at("top2")),
        ("confidence, the largest probability", at("confidence")),
        ("error of equivariance of features, 0 at best", at("equivariance_error", "number")),
    ]


def draw(numbers: dict[str, Any]) -> "Figure | None":
    """Accuracies, probabilities and the error of equivariance over lam."""
    figure = new_figure(10.5, 3.2)
    panels = figure.subplots(1, 3)
    curves = (
        {"top1": "Top-1, either class", "top2": "Top-2, both classes"},
        {"confidence": "largest", "probability_a": "of class a", "probability_b": "of class b"},
        {"equivariance_error": "error of equivariance"},
    )
    titles = ("accuracy in %", "mean probability in %", "in distances of the two images")
    for axes, names, title in zip(panels, curves, titles, strict=True):
        factor = 100 if title.endswith("%") else 1
        for name, label in names.items():
            axes.plot(numbers["lam"], [factor * value for value in numbers[name]], marker=".", label=label)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel(f"lam, share of image a ({counts_of(numbers['images'], 'pair')})")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")
    return figure
