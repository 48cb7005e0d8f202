"""What a network makes of mixed images: whether it finds both classes, and whether its features mix too."""

from typing import NamedTuple

from torch import Tensor

from ssl_mix.datasets.label_range import check_label_range
from ssl_mix.errors import UserError
from ssl_mix.evaluation.confusion import check_finite
from ssl_mix.evaluation.values import check_values
from ssl_mix.losses import semantic_equivariance
from ssl_mix.losses._common import check_labels


class MixedAnswers(NamedTuple):
    """Of images mixed from two classes each, as means over the images.

    Attributes:
        top1: share whose likeliest class is one of the two.
        top2: share whose two likeliest classes are the two.
        confidence: the largest probability.
        probability_a: that of the class of the base image.
        probability_b: that of the class of its partner.

    Examples:
        >>> mixed_answers(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([1])).confidence
        0.5
    """

    top1: float
    top2: float
    confidence: float
    probability_a: float
    probability_b: float


def mixed_answers(logits: Tensor, labels_a: Tensor, labels_b: Tensor) -> MixedAnswers:
    """How often the classes of mixed images are found, and how sure the network is; all in [0, 1].

    Args:
        logits: of the mixed images, (N, C), C from 2 on.
        labels_a: of the base images, (N,) int64.
        labels_b: of their partners, (N,) int64, nowhere the same.

    Raises:
        ValueError: other shapes, no images, logits that are not finite, a label that is no class, or a pair
            of one class, which has no two classes to be found.

    Source: figures 1 and 6 of Liu et al., "Harnessing Hard Mixed Samples with Decoupled Regularization"
    (2022): Top-1 is right with either class, Top-2 with both.

    Examples:
        >>> logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 0.0, 1.0]])
        >>> found = mixed_answers(logits, torch.tensor([0, 0]), torch.tensor([1, 1]))
        >>> found.top1, found.top2
        (1.0, 0.5)
    """
    check_values(logits=logits)
    if logits.ndim != 2 or logits.shape[1] < 2 or not len(logits):
        raise UserError(f"logits must be (N, C) of 2 classes or more, got {tuple(logits.shape)}")
    check_finite(logits, "logits")
    check_labels(logits, labels_a=labels_a, labels_b=labels_b)
    for name, labels in (("labels_a", labels_a), ("labels_b", labels_b)):
        check_label_range(labels, logits.shape[1], name, unknown=False)
    if (labels_a == labels_b).any():
        raise UserError("labels_a and labels_b must be two classes each: leave out pairs of one class")
    probabilities = logits.double().softmax(dim=1)
    first, second = probabilities.topk(2, dim=1).indices.unbind(1)
    either = (first == labels_a) | (first == labels_b)
    both = either & ((second == labels_a) | (second == labels_b))
    return MixedAnswers(
        either.double().mean().item(),
        both.double().mean().item(),
        probabilities.amax(dim=1).mean().item(),
        *(probabilities.gather(1, labels[:, None]).mean().item() for labels in (labels_a, labels_b)),
    )


def equivariance_error(mixed: Tensor, clean_a: Tensor, clean_b: Tensor, lam: Tensor | float) -> float:
    """``sum |f(mixed) - lam f(a) - (1 - lam) f(b)| / sum |f(a) - f(b)|`` over the images, by Euclidean
    lengths: how far features of mixed images are from the mixture of features, in units of how far the two
    images are from each other.

    0 means that features mix as images do; an encoder that gives every mixed image the features of one of the
    two has ``1 - lam`` or ``lam``. The unit makes networks comparable whose features differ in scale.

    Args:
        mixed: features of the mixed images, (N, D) float.
        clean_a: features of the base images.
        clean_b: features of their partners.
        lam: share of the base images, (N,) or one number.

    Raises:
        ValueError: other shapes, or features that are not finite or do not differ at all.

    Source: the assumption of Han et al., "Semantic Equivariant Mixup" (2023), which its figure 3 shows as a
    picture; the length in place of :func:`ssl_mix.losses.semantic_equivariance`'s square, and its unit, are
    ours.

    Examples:
        >>> a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        >>> equivariance_error(torch.tensor([[1.0, 1.0]]), a, b, 0.5), equivariance_error(a, a, b, 0.75)
        (0.0, 0.25)
    """
    check_values(mixed=mixed, clean_a=clean_a, clean_b=clean_b)
    first, second, seen = clean_a.double(), clean_b.double(), mixed.double()
    squares = semantic_equivariance(seen, first, second, lam, reduction="none")
    for name, given in (("mixed", mixed), ("clean_a", clean_a), ("clean_b", clean_b)):
        check_finite(given, name)
    apart = (first - second).flatten(1).norm(dim=1).sum()
    if not apart > 0:
        raise UserError("the features of the images do not differ: there is nothing between them")
    error: float = ((squares * seen[0].numel()).sqrt().sum() / apart).item()
    return error
