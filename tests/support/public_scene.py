"""A valid call of every public name of the rooms for other people's loops, for the tests that spoil it.

A name that has no entry here, and is not listed as one that takes no tensors, fails the contract.
"""

import copy
import functools
import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from mixer_scene import Net
from torch import Tensor, nn

from ssl_mix import augment, datasets, evaluation, labeling, losses, mixers, models, rebalance
from ssl_mix.algorithms import FixMatch
from ssl_mix.datasets import ResidentImages
from ssl_mix.mixing import MixingLoss, MixingTerms, mix_pool
from ssl_mix.models import adapt
from ssl_mix.targets import Targets
from ssl_mix.types import Batch, MixedTarget, Nets, PseudoLabels, Samples, Step, Task

ROOMS = (
    "augment",
    "datasets",
    "evaluation",
    "export",
    "labeling",
    "losses",
    "mixers",
    "mixing",
    "models",
    "rebalance",
)
CLASSES = 5
# Containers, types, builders, checks and readers of files, which are handed no tensors.
NO_TENSORS = {
    "datasets": {
        "DATASETS",
        "FINE_GRAINED",
        "ImageSource",
        "Split",
        "decode",
        "decode_all",
        "list_images",
        "load_caltech_mini",
        "load_cifar",
        "load_cifar10",
        "load_cifar100",
        "load_digits_data",
        "load_folder",
        "load_own_images",
        "load_stl10",
        "load_svhn",
        "load_table",
        "load_two_folders",
        "read_label_list",
    },
    "evaluation": {
        "CORRUPTIONS",
        "ClassBias",
        "Difference",
        "MixedAnswers",
        "Reliability",
        "Temperature",
        "paired_difference",
        "share_interval",
    },
    "export": {"Compared", "Quantized", "export", "export_int8"},
    "labeling": {"METHODS", "Chosen", "Pool", "WrongLabels", "default_method", "suggest"},
    "mixers": {"History", "MIXERS", "Mixed", "MixedBatch", "Mixer", "MixerName", "Pair", "build_mixer"},
    "mixing": {"Pool", "check_composition"},
    "models": {"MODELS", "default_network", "is_network"},
    "rebalance": {"ADDONS", "Addon", "Rebalance", "build_addon", "check_addon"},
}


class Entry(NamedTuple):
    """One public name.

    Attributes:
        call: takes the inputs as keywords.
        inputs: by the number of samples.
        floats: inputs that are float tensors of any values, (N, ...).
        shares: inputs in [0, 1].
        labels: inputs that are classes.
        network: whether a network of the user's reads the inputs, and says itself what it takes.
        nan_is_wrong: a NaN is counted as a wrong answer, as the docstring says, and so may leave no trace.
    """

    call: Callable[..., Any]
    inputs: Callable[[int], dict[str, Any]]
    floats: tuple[str, ...] = ("logits",)
    shares: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    nan_is_wrong: bool = False
    network: bool = False


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair_inputs(count: int) -> dict[str, Any]:
    labels = torch.arange(count) % CLASSES
    return {
        "logits": torch.randn(count, CLASSES, generator=draw(1)),
        "labels_a": labels,
        "labels_b": (labels + 1) % CLASSES,
        "lam": torch.rand(count, generator=draw(2)) * 0.4 + 0.05,
    }


def of_pairs(
    function: Callable[..., Any], names: tuple[str, str] = ("labels_a", "labels_b"), **options: Any
) -> Entry:
    def call(logits: Tensor, labels_a: Tensor, labels_b: Tensor, lam: Any) -> Any:
        labels = dict(zip(names, (labels_a, labels_b), strict=True))
        drawn = {"generator": draw(3)} if options.get("draws") else {}
        return function(logits, **labels, lam=lam, **drawn)

    return Entry(call, pair_inputs, shares=("lam",), labels=("labels_a", "labels_b"))


def of_criterion(make: Callable[[], nn.Module]) -> Entry:
    def call(logits: Tensor, labels_a: Tensor, labels_b: Tensor, lam: Any) -> Any:
        return make()(logits, (labels_a, labels_b, lam))

    return Entry(call, pair_inputs, shares=("lam",), labels=("labels_a", "labels_b"))


def contrast_inputs(count: int) -> dict[str, Any]:
    query, key = torch.randn(2, count, 4, generator=draw(4))
    queue = torch.randn(CLASSES, 3, 4, generator=draw(5))
    return {"query": query, "key": key, "queue": queue, "labels": torch.arange(count) % CLASSES}


def feature_inputs(count: int) -> dict[str, Any]:
    mixed, clean_a, clean_b = torch.randn(3, count, 4, generator=draw(6))
    return {
        "mixed": mixed,
        "clean_a": clean_a,
        "clean_b": clean_b,
        "lam": torch.rand(count, generator=draw(7)),
    }


def multiway_inputs(count: int) -> dict[str, Any]:
    labels = (torch.arange(count)[:, None] + torch.arange(3)) % CLASSES
    weights = torch.tensor([0.5, 0.3, 0.2]).repeat(count, 1)
    return {"logits": pair_inputs(count)["logits"], "labels": labels, "weights": weights}


COUNTS = torch.tensor([9.0, 5.0, 3.0, 2.0, 1.0])


def labeled_inputs(count: int) -> dict[str, Any]:
    return {"logits": pair_inputs(count)["logits"], "labels": torch.arange(count) % CLASSES}


LOSSES = {
    "BalancedSoftmaxLoss": of_criterion(lambda: losses.BalancedSoftmaxLoss(COUNTS)),
    "LogitAdjustedLoss": of_criterion(lambda: losses.LogitAdjustedLoss(COUNTS, 0.5)),
    "adjusted_logits": Entry(
        lambda logits: losses.adjusted_logits(logits, COUNTS),
        lambda n: {"logits": pair_inputs(n)["logits"]},
    ),
    "balanced_softmax_cross_entropy": Entry(
        lambda logits, labels: losses.balanced_softmax_cross_entropy(logits, labels, COUNTS),
        labeled_inputs,
        labels=("labels",),
    ),
    "logit_adjusted_cross_entropy": Entry(
        lambda logits, labels: losses.logit_adjusted_cross_entropy(logits, labels, COUNTS),
        labeled_inputs,
        labels=("labels",),
    ),
    "AsymmetricMixupLoss": of_criterion(losses.AsymmetricMixupLoss),
    "DecoupledMixupBCELoss": of_criterion(losses.DecoupledMixupBCELoss),
    "DecoupledMixupLoss": of_criterion(losses.DecoupledMixupLoss),
    "LUMixLoss": of_criterion(lambda: losses.LUMixLoss(generator=draw(3))),
    "asymmetric_mixup_cross_entropy": of_pairs(
        losses.asymmetric_mixup_cross_entropy, ("labels", "pseudo_labels")
    ),
    "decoupled_cross_entropy": of_pairs(losses.decoupled_cross_entropy),
    "decoupled_mixup_bce": of_pairs(losses.decoupled_mixup_bce),
    "decoupled_mixup_cross_entropy": of_pairs(losses.decoupled_mixup_cross_entropy),
    "lumix_cross_entropy": of_pairs(losses.lumix_cross_entropy, draws=True),
    "lumix_lam": of_pairs(losses.lumix_lam, draws=True),
    "lumix_regularizer": of_pairs(losses.lumix_regularizer),
    "mixup_cross_entropy": of_pairs(losses.mixup_cross_entropy),
    "group_contrast": Entry(
        losses.group_contrast, contrast_inputs, ("query", "key", "queue"), labels=("labels",)
    ),
    "multiway_decoupled_cross_entropy": Entry(
        losses.multiway_decoupled_cross_entropy, multiway_inputs, shares=("weights",), labels=("labels",)
    ),
    "rescale_lam": Entry(
        losses.rescale_lam, lambda n: {"lam": torch.rand(n, generator=draw(8))}, (), shares=("lam",)
    ),
    "semantic_equivariance": Entry(
        losses.semantic_equivariance, feature_inputs, ("mixed", "clean_a", "clean_b"), shares=("lam",)
    ),
    "spectral_shrinkage": Entry(
        losses.spectral_shrinkage,
        lambda n: {"features": torch.randn(n, 4, generator=draw(9))},
        ("features",),
    ),
}


def network(colors: int = 3) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net(colors)


def image_inputs(count: int) -> dict[str, Any]:
    images_a, images_b = torch.rand(2, count, 3, 24, 24, generator=draw(10))
    return {"images_a": images_a, "images_b": images_b, "lam": torch.full((count,), 0.4)}


def mix(mixer: mixers.Mixer, images_a: Tensor, images_b: Tensor, lam: Any) -> Any:
    net = network()
    with torch.random.fork_rng():
        mixer.prepare(net, (3, 24, 24))
        if isinstance(mixer, nn.Module):
            for number, parameter in enumerate(mixer.parameters()):
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=draw(number))
    options: dict[str, Any] = {"net": net, "lam": lam, "generator": draw(11)}
    if "saliency" in mixer.needs:
        shape = (len(images_a if isinstance(images_a, Tensor) and images_a.ndim else images_b), 24, 24)
        options |= dict(
            zip(("saliency_a", "saliency_b"), torch.rand(2, *shape, generator=draw(12)), strict=True)
        )
    return mixer.mix(images_a, images_b, **options)


def recursive_call(images: Tensor, target: Tensor) -> Any:
    history = mixers.History(torch.rand(9, 3, 8, 8, generator=draw(27)), torch.rand(9, 4, generator=draw(28)))
    return mixers.RecursiveMix()(images, target, history, generator=draw(23))[:2]


def transformer() -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return adapt(VisionTransformer(24, 8, embed_dim=8, depth=2, num_heads=2, num_classes=CLASSES))


def of_mixer(make: Callable[[], mixers.Mixer]) -> Entry:
    return Entry(
        lambda **inputs: mix(make(), **inputs),
        image_inputs,
        ("images_a", "images_b"),
        shares=("lam",),
        network="net" in make().needs,
    )


def attention_call(images: Tensor) -> Tensor:
    from torchvision.models import VisionTransformer

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = VisionTransformer(8, 4, 1, 1, 4, 4)
    with mixers.capture_class_attention(net) as attention:
        net(images)
    return attention()


MIXERS = {
    "AlignMix": of_mixer(mixers.AlignMix),
    "AttentiveMix": of_mixer(mixers.AttentiveMix),
    "HardPatchUp": of_mixer(lambda: mixers.HardPatchUp(layers=("input", "one"))),
    "MoEx": of_mixer(mixers.MoEx),
    "RecursiveMix": Entry(
        recursive_call,
        lambda n: {
            "images": torch.rand(n, 3, 8, 8, generator=draw(24)),
            "target": torch.rand(n, 4, generator=draw(25)),
        },
        ("images", "target"),
    ),
    "SnapMix": of_mixer(mixers.SnapMix),
    "SoftPatchUp": of_mixer(lambda: mixers.SoftPatchUp(layers=("input", "one"))),
    "StyleCutMix": of_mixer(mixers.StyleCutMix),
    "StyleMix": of_mixer(mixers.StyleMix),
    "TokenMix": of_mixer(mixers.TokenMix),
    "TokenMixup": Entry(
        lambda **inputs: mixers.TokenMixup().mix(net=transformer(), generator=draw(11), **inputs),
        image_inputs,
        ("images_a", "images_b"),
        shares=("lam",),
        network=True,
    ),
    "AutoMix": of_mixer(mixers.AutoMix),
    "CutMix": of_mixer(mixers.CutMix),
    "FMix": of_mixer(mixers.FMix),
    "GridMix": of_mixer(mixers.GridMix),
    "ManifoldMix": of_mixer(lambda: mixers.ManifoldMix(layers=("input", "one"))),
    "Mixup": of_mixer(mixers.Mixup),
    "PatchMixup": of_mixer(mixers.PatchMixup),
    "PatchShuffle": of_mixer(mixers.PatchShuffle),
    "PuzzleMix": of_mixer(mixers.PuzzleMix),
    "CoMixup": of_mixer(mixers.CoMixup),
    "RandomMixer": of_mixer(lambda: mixers.RandomMixer([mixers.Mixup(), mixers.CutMix()])),
    "ResizeMix": of_mixer(mixers.ResizeMix),
    "SAMix": of_mixer(mixers.SAMix),
    "SaliencyMix": of_mixer(mixers.SaliencyMix),
    "SmoothMix": of_mixer(mixers.SmoothMix),
    "MixupCutMix": of_mixer(mixers.MixupCutMix),
    "MixingSchedule": of_mixer(lambda: mixers.MixingSchedule(mixers.CutMix())(Step(1, 2))),
    "Unmixed": of_mixer(mixers.Unmixed),
    "capture_class_attention": Entry(
        attention_call,
        lambda n: {"images": torch.rand(n, 3, 8, 8, generator=draw(13))},
        ("images",),
        network=True,
    ),
    "transmix_lam": Entry(
        mixers.transmix_lam,
        lambda n: {
            "attention": torch.rand(n, 4, generator=draw(14)),
            "mask": torch.rand(n, 1, 8, 8, generator=draw(15)),
            "lam": torch.rand(n, generator=draw(16)),
        },
        ("attention",),
        shares=("mask", "lam"),
    ),
}


def pool_call(images: Tensor, targets: Tensor) -> Any:
    return mix_pool(
        network(), images, targets, 1, alpha=0.7, lam_per="sample", interleave=True, generator=draw(17)
    )


def pool_inputs(count: int) -> dict[str, Any]:
    targets = torch.rand(count, 65, generator=draw(18)).softmax(1)
    return {"images": torch.rand(count, 3, 16, 16, generator=draw(19)), "targets": targets}


def terms_call(images: Tensor, labels: Tensor, unlabeled: Tensor) -> Any:
    ones = torch.ones(4 if labels is None or isinstance(labels, list) else labels.numel())
    pseudo = PseudoLabels(None, labels, ones, ones)
    terms = MixingTerms(mix="dm-as", mix_ramp="none")
    step = Step(1, 2, draw(20))
    return terms(network(), images, labels, step, unlabeled={"strong": unlabeled}, pseudo=pseudo)[0]


def terms_inputs(count: int) -> dict[str, Any]:
    images, unlabeled = torch.rand(2, count, 3, 16, 16, generator=draw(21))
    return {"images": images, "labels": torch.arange(count) % CLASSES, "unlabeled": unlabeled}


def loss_call(logits: Tensor, labels_a: Tensor, labels_b: Tensor, lam: Tensor) -> Tensor:
    loss = MixingLoss(MixingTerms(mix="dm"), label_policy="lumix")
    return loss(logits, MixedTarget(labels_a, labels_b, lam), draw(22))


MIXING = {
    "MixingLoss": Entry(loss_call, pair_inputs, shares=("lam",), labels=("labels_a", "labels_b")),
    "MixingTerms": Entry(terms_call, terms_inputs, ("images", "unlabeled"), labels=("labels",), network=True),
    "mix_pool": Entry(pool_call, pool_inputs, ("images", "targets"), network=True),
}


def accuracy_inputs(count: int) -> dict[str, Any]:
    probabilities = torch.rand(count, CLASSES, generator=draw(23)).softmax(1)
    return {"probabilities": probabilities, "labels": torch.arange(count) % CLASSES}


def of_probs(function: Callable[..., Any]) -> Entry:
    def inputs(count: int) -> dict[str, Any]:
        given = accuracy_inputs(count)
        return {"probs": given["probabilities"], "labels": given["labels"]}

    return Entry(function, inputs, ("probs",), shares=("probs",), labels=("labels",))


def of_probabilities(function: Callable[..., Any]) -> Entry:
    """Of probabilities alone."""
    return Entry(
        function,
        lambda n: {"probabilities": accuracy_inputs(n)["probabilities"]},
        ("probabilities",),
        shares=("probabilities",),
    )


def of_logits(function: Callable[..., Any]) -> Entry:
    return Entry(function, lambda n: {"logits": pair_inputs(n)["logits"]})


def temperature_inputs(count: int) -> dict[str, Any]:
    given = pair_inputs(count)
    return {"logits": given["logits"], "labels": given["labels_a"]}


def ood_inputs(count: int) -> dict[str, Any]:
    inside, outside = torch.randn(2, count, generator=draw(29))
    return {"in_scores": inside + 1, "out_scores": outside}


def stored(function: Callable[..., Any]) -> Entry:
    """Of stored images."""

    def call(images: Tensor) -> Any:
        augmentation = augment.Augmentation((0.5,) * 3, (0.5,) * 3)
        return function(network(), ResidentImages(images), augmentation, torch.device("cpu"))

    return Entry(call, lambda n: {"images": bytes_of(n)}, (), network=True)


def bytes_of(count: int) -> Tensor:
    return torch.randint(256, (count, 3, 16, 16), generator=draw(24)).to(torch.uint8)


def boxes_of(count: int, seed: int) -> Tensor:
    corner, size = torch.rand(2, count, 2, generator=draw(seed))
    return torch.cat((corner, corner + size), 1)


def masks_of(count: int, seed: int) -> Tensor:
    return torch.rand(count, 6, 6, generator=draw(seed)) < 0.5


def answer_inputs(count: int) -> dict[str, Any]:
    return {name: value for name, value in pair_inputs(count).items() if name != "lam"}


def pixel_counts(count: int) -> dict[str, Any]:
    return {"confusion": torch.arange(1, count**2 + 1).view(count, count)}


EVALUATION = {
    "aurra": of_probs(evaluation.aurra),
    "bootstrap_intervals": Entry(
        lambda **given: list(evaluation.bootstrap_intervals(**given, resamples=20).values()),
        accuracy_inputs,
        ("probabilities",),
        labels=("labels",),
    ),
    "brier_score": of_probs(evaluation.brier_score),
    "energy": of_logits(evaluation.energy),
    "expected_calibration_error": of_probs(evaluation.expected_calibration_error),
    "fit_temperature": Entry(evaluation.fit_temperature, temperature_inputs, labels=("labels",)),
    "max_logit": of_logits(evaluation.max_logit),
    "max_softmax": of_logits(evaluation.max_softmax),
    "negative_log_likelihood": of_probs(evaluation.negative_log_likelihood),
    "ood_metrics": Entry(
        lambda **given: list(evaluation.ood_metrics(**given).values()),
        ood_inputs,
        ("in_scores", "out_scores"),
    ),
    "reliability": of_probs(evaluation.reliability),
    "response_accuracy": of_probs(evaluation.response_accuracy),
    "rms_calibration_error": of_probs(evaluation.rms_calibration_error),
    "top_k_accuracy": Entry(
        lambda **given: evaluation.top_k_accuracy(**given, k=2),
        accuracy_inputs,
        ("probabilities",),
        labels=("labels",),
        nan_is_wrong=True,
    ),
    "class_bias": Entry(
        lambda **given: [found for found in evaluation.class_bias(**given) if isinstance(found, float)],
        lambda n: {"counts": torch.arange(n) + 1, "prior": torch.arange(n).flip(0) + 1},
        (),
    ),
    "class_weights": Entry(
        lambda labels: evaluation.class_weights(labels, CLASSES),
        lambda n: {"labels": torch.arange(n) % CLASSES},
        (),
        labels=("labels",),
    ),
    "confusion_matrix": Entry(
        evaluation.confusion_matrix, accuracy_inputs, ("probabilities",), labels=("labels",)
    ),
    "attention_masks": Entry(
        evaluation.attention_masks,
        lambda n: {"attention": torch.rand(n, 9, generator=draw(31))},
        ("attention",),
    ),
    "box_iou": Entry(
        evaluation.box_iou,
        lambda n: {"boxes": boxes_of(n, 32), "truth": boxes_of(n, 33)},
        ("boxes", "truth"),
    ),
    "boxes_of_masks": Entry(evaluation.boxes_of_masks, lambda n: {"masks": masks_of(n, 34)}, ()),
    "corrupt": Entry(
        lambda images: evaluation.corrupt(images, "elastic_transform", 3, draw(35)),
        lambda n: {"images": bytes_of(n)},
        (),
    ),
    "corruption_errors": Entry(
        evaluation.corruption_errors,
        lambda n: {"errors": torch.rand(n, 5, generator=draw(36))},
        ("errors",),
        shares=("errors",),
    ),
    "equivariance_error": Entry(
        evaluation.equivariance_error, feature_inputs, ("mixed", "clean_a", "clean_b"), shares=("lam",)
    ),
    "jaccard_index": Entry(
        evaluation.jaccard_index, lambda n: {"masks": masks_of(n, 37), "truth": masks_of(n, 38)}, ()
    ),
    "mixed_answers": Entry(
        evaluation.mixed_answers, answer_inputs, labels=("labels_a", "labels_b"), nan_is_wrong=True
    ),
    "patch_drop": Entry(
        lambda images, saliency: evaluation.patch_drop(images, 0.4, 4, order="salient", saliency=saliency),
        lambda n: {"images": bytes_of(n), "saliency": torch.rand(n, 16, 16, generator=draw(39))},
        ("saliency",),
    ),
    "patch_shuffle": Entry(
        lambda images: evaluation.patch_shuffle(images, 4, draw(40)), lambda n: {"images": bytes_of(n)}, ()
    ),
    "geometric_mean_recall": Entry(
        evaluation.geometric_mean_recall, accuracy_inputs, ("probabilities",), labels=("labels",)
    ),
    "shot_accuracies": Entry(
        lambda probabilities, labels: torch.tensor(
            list(evaluation.shot_accuracies(probabilities, labels, COUNTS).values())
        ),
        accuracy_inputs,
        ("probabilities",),
        labels=("labels",),
    ),
    "macro_f1": Entry(evaluation.macro_f1, accuracy_inputs, ("probabilities",), labels=("labels",)),
    "accuracy": Entry(
        evaluation.accuracy, accuracy_inputs, ("probabilities",), labels=("labels",), nan_is_wrong=True
    ),
    "mean_class_accuracy": Entry(
        evaluation.mean_class_accuracy,
        accuracy_inputs,
        ("probabilities",),
        labels=("labels",),
        nan_is_wrong=True,
    ),
    "class_ious": Entry(evaluation.class_ious, pixel_counts, ()),
    "mean_iou": Entry(evaluation.mean_iou, pixel_counts, ()),
    "mean_pixel_accuracy": Entry(evaluation.mean_pixel_accuracy, pixel_counts, ()),
    "pixel_confusion": Entry(
        lambda predicted, truth: evaluation.pixel_confusion(predicted, truth, CLASSES),
        lambda n: {"predicted": torch.arange(n) % CLASSES, "truth": torch.arange(n) % 2},
        (),
        labels=("predicted", "truth"),
    ),
    "plain_features": stored(evaluation.plain_features),
    "predict_logits": stored(evaluation.predict_logits),
    "predict_probabilities": stored(evaluation.predict_probabilities),
}


def of_bytes(function: Callable[..., Any]) -> Entry:
    return Entry(function, lambda n: {"images": bytes_of(n)}, ())


def views_call(images: Tensor) -> list[Tensor]:
    views = augment.Augmentation((0.5,) * 3, (0.5,) * 3).views(images, ("plain", "weak", "strong"), draw(25))
    return list(views.values())


def probed_call(images: Tensor) -> list[Tensor]:
    policy = augment.CTAugment()
    return [policy(images, generator=draw(29)), *policy.probe(images, generator=draw(30))]


AUGMENT = {
    "AugMix": of_bytes(lambda images: augment.AugMix()(images, generator=draw(31))),
    "Augmentation": of_bytes(views_call),
    "CTAugment": of_bytes(probed_call),
    "RandAugment": of_bytes(lambda images: augment.RandAugment()(images, generator=draw(26))),
    "TrivialAugment": of_bytes(lambda images: augment.TrivialAugment()(images, generator=draw(32))),
    "cutout": of_bytes(lambda images: augment.cutout(images, generator=draw(27))),
    "flip_and_crop": of_bytes(lambda images: augment.flip_and_crop(images, generator=draw(28))),
}


def to_choose_from(count: int) -> dict[str, Any]:
    return {
        "features": torch.randn(count, 4, generator=draw(41)),
        "known": torch.randn(2, 4, generator=draw(42)),
    }


def answered(count: int) -> dict[str, Any]:
    features = torch.randn(count, 4, generator=draw(43))
    return {"features": features, "probabilities": accuracy_inputs(count)["probabilities"]}


def judged(count: int) -> dict[str, Any]:
    """Two images of each of two classes, for each one that is asked for."""
    features = torch.randn(4 * count, 4, generator=draw(44))
    return {"features": features, "labels": torch.arange(4 * count) % 2}


LABELING = {
    "badge": Entry(
        lambda **given: labeling.badge(**given, count=2, generator=draw(45)),
        answered,
        ("features", "probabilities"),
        shares=("probabilities",),
    ),
    "diverse": Entry(
        lambda **given: labeling.diverse(**given, count=2, generator=draw(46)),
        to_choose_from,
        ("features", "known"),
    ),
    "entropy": of_probabilities(labeling.entropy),
    "margin": of_probabilities(labeling.margin),
    "out_of_sample": Entry(
        lambda **given: labeling.out_of_sample(**given, num_classes=CLASSES),
        judged,
        ("features",),
        labels=("labels",),
    ),
    "outlier_scores": Entry(
        lambda features: labeling.outlier_scores(features, neighbors=2),
        lambda n: {"features": torch.randn(n, 4, generator=draw(47))},
        ("features",),
    ),
    "typiclust": Entry(
        lambda **given: labeling.typiclust(**given, count=2), to_choose_from, ("features", "known")
    ),
    "wrong_labels": Entry(
        labeling.wrong_labels,
        accuracy_inputs,
        ("probabilities",),
        shares=("probabilities",),
        labels=("labels",),
    ),
}


class Pixels(nn.Module):
    """A linear classifier of pixels over a linear body."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(48, 6)
        self.head = nn.Linear(6, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        found: Tensor = self.body(images.flatten(1)).relu()
        return found

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def of_addon(name: Any) -> Entry:
    """The loss of FixMatch with an add-on, in a loop of somebody's own."""

    def call(labeled: Tensor, weak: Tensor, strong: Tensor) -> Tensor:
        algorithm = FixMatch(targets=Targets(rebalance=name), threshold=0.0)
        shares = (0.4, 0.3, 0.1, 0.1, 0.1)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            student = algorithm.extend(Pixels(), Task(CLASSES, 8, (3, 4, 4), 8, shares))
            teacher = copy.deepcopy(student).eval()
        place, labels = torch.arange(len(labeled)), torch.arange(len(labeled)) % CLASSES
        batch = Batch(
            Samples({"weak": labeled}, place, labels), Samples({"weak": weak, "strong": strong}, place)
        )
        loss: Tensor = algorithm(Nets(student, teacher), batch, Step(6, 12, draw(48))).loss
        return loss

    def inputs(count: int) -> dict[str, Any]:
        views = torch.randn(3, count, 3, 4, 4, generator=draw(49))
        return dict(zip(("labeled", "weak", "strong"), views, strict=True))

    return Entry(call, inputs, ("labeled", "strong"), network=True)


REBALANCE = {addon.__name__: of_addon(name) for name, addon in rebalance.ADDONS.items()}

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "PreActResNet18": lambda: models.PreActResNet18(CLASSES),
    "SmallCNN": lambda: models.SmallCNN(CLASSES),
    "WideResNet": lambda: models.WideResNet(1, CLASSES),
    "adapt": lambda: adapt(nn.Sequential(nn.Flatten(), nn.Linear(192, CLASSES))),
    "build_model": lambda: models.build_model("wrn-28-1", CLASSES),
}


@functools.cache
def built(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NETWORKS[name]().eval().requires_grad_(False)


def of_network(name: str) -> Entry:
    def call(images: Tensor) -> Tensor:
        logits: Tensor = built(name)(images)
        return logits

    return Entry(
        call, lambda n: {"images": torch.randn(n, 3, 8, 8, generator=draw(50))}, ("images",), network=True
    )


MODELS = {name: of_network(name) for name in NETWORKS}


def batch_of(source: datasets.ImageSource) -> Tensor:
    return next(iter(source.batches([torch.arange(len(source))], torch.device("cpu"))))


def labeled_images(count: int) -> dict[str, Any]:
    """An image of each of two classes, for each one that is asked for."""
    return {"images": bytes_of(2 * count), "labels": torch.arange(2 * count) % 2}


def as_given(images: Any, labels: Any) -> list[Tensor]:
    data = datasets.as_dataset((images, labels), image_size=16)
    return [batch_of(data.train.images), data.train.labels]


def as_set(images: Any, labels: Any) -> list[Tensor]:
    part = datasets.ImageSet(ResidentImages(images), labels)
    found = datasets.DataSet("own", tuple("abcde"), part, part, augment.Augmentation((0.5,), (0.5,)))
    return [batch_of(found.train.images), found.train.labels]


def as_tensors(inputs: Any, labels: Any) -> list[Tensor]:
    data = datasets.tensor_data((inputs, labels), classes=("a", "b"))
    return [batch_of(data.train.images), data.train.labels]


def split_of(labels: Any) -> list[Tensor]:
    found = datasets.choose_split(labels, CLASSES, rate=0.5, seed=0, classes=tuple("abcde"))
    return [torch.tensor(part) for part in (found.labeled, found.unlabeled)]


FROM_DATA = {
    "DataSet": Entry(as_set, labeled_images, (), labels=("labels",)),
    "ImageSet": Entry(as_set, labeled_images, (), labels=("labels",)),
    "ResidentImages": Entry(
        lambda images: batch_of(ResidentImages(images)),
        lambda n: {"images": torch.rand(n, 3, 8, 8, generator=draw(51))},
        (),
        shares=("images",),
    ),
    "ShuffledIndex": Entry(
        lambda index: datasets.ShuffledIndex(index, 4, seed=0, stream="own").batch(3),
        lambda n: {"index": 2 * torch.arange(n)},
        (),
    ),
    "StreamedImages": Entry(
        lambda images: batch_of(datasets.StreamedImages(images, (3, 8, 8), workers=0)),
        lambda n: {"images": torch.rand(n, 3, 8, 8, generator=draw(52))},
        (),
        shares=("images",),
    ),
    "as_dataset": Entry(as_given, labeled_images, (), labels=("labels",)),
    "choose_split": Entry(split_of, lambda n: {"labels": torch.arange(n) % CLASSES}, (), labels=("labels",)),
    "tensor_data": Entry(
        as_tensors,
        lambda n: {"inputs": torch.randn(2 * n, 2, 5, generator=draw(53)), "labels": torch.arange(2 * n) % 2},
        ("inputs",),
        labels=("labels",),
    ),
}

ENTRIES: dict[str, dict[str, Entry]] = {
    "augment": AUGMENT,
    "datasets": FROM_DATA,
    "evaluation": EVALUATION,
    "labeling": LABELING,
    "losses": LOSSES,
    "mixers": MIXERS,
    "mixing": MIXING,
    "models": MODELS,
    "rebalance": REBALANCE,
    "export": {},
}
NAMED = {f"{room}.{name}": entry for room, entries in ENTRIES.items() for name, entry in entries.items()}


def public_names(room: str) -> set[str]:
    return set(importlib.import_module(f"ssl_mix.{room}").__all__)


def tensors_of(found: Any) -> Iterator[Tensor]:
    """Every tensor of a result, numbers as 0-d ones."""
    if isinstance(found, Tensor):
        yield found
    elif isinstance(found, int | float):
        yield torch.tensor(float(found))
    elif isinstance(found, tuple | list):
        for part in found:
            yield from tensors_of(part)


def numbers(found: Any) -> list[Tensor]:
    return [part for part in tensors_of(found) if part.is_floating_point()]
