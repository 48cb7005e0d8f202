"""Segmentations of whole images held against their masks, and what is reached without training."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.augment.views import Views
from ssl_mix.evaluation import class_ious, mean_iou, mean_pixel_accuracy, pixel_confusion
from ssl_mix.evaluation.segmentation import VOID
from ssl_mix.passes import evaluating
from ssl_mix.randomness import stream_generator
from ssl_mix.segmentation.data import PairSource, Progress, read_pair
from ssl_mix.segmentation.encoder import dense_features
from ssl_mix.segmentation.head import enlarged
from ssl_mix.segmentation.pairs import Pair
from ssl_mix.transfer.starts import LinearHead, probe

BATCH = 8
MOST = 5000  # places that the linear probe learns from
GridLogits = Callable[[Tensor], Tensor]  # (N, C, h, w) of normalized images (N, 3, S, S)


class Score(NamedTuple):
    """How good a segmentation is.

    Attributes:
        mean_iou: mIoU.
        mean_pixel_accuracy: mAcc.
        pixel_accuracy: share of right pixels.
        class_ious: of each class, None where it occurs nowhere.
    """

    mean_iou: float
    mean_pixel_accuracy: float
    pixel_accuracy: float
    class_ious: list[float | None]


def score_of(confusion: Tensor) -> Score:
    """The score that the counts (C, C) of :func:`ssl_mix.evaluation.pixel_confusion` give."""
    ious = [None if iou != iou else iou for iou in class_ious(confusion).tolist()]
    right = (confusion.diagonal().sum() / confusion.sum()).item()
    return Score(mean_iou(confusion), mean_pixel_accuracy(confusion), right, ious)


def majority(test: Tensor, train: Tensor, num_classes: int) -> tuple[int, Score]:
    """The class with the most pixels to learn from, and the score of giving it to every pixel.

    Args:
        test: pixels of each number in the masks to score on, (256,) int64.
        train: likewise of those to learn from.
        num_classes: C.
    """
    common = int(train[:num_classes].argmax())
    confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    confusion[:, common] = test[:num_classes]
    return common, score_of(confusion)


@torch.inference_mode()
def predict_mask(logits_of: GridLogits, images: Tensor, size: tuple[int, int]) -> Tensor:
    """The likeliest class of each pixel, (N, H, W) int64, of normalized images (N, 3, S, S) as large as
    ``size``."""
    return enlarged(logits_of(images), size).argmax(dim=1)


def score_pairs(
    net: nn.Module,
    logits_of: GridLogits,
    pairs: Sequence[Pair],
    views: Views,
    num_classes: int,
    *,
    size: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Score:
    """The score over all pixels of all images together, in the size of their own masks.

    The network sees each whole image squashed to a square, and its logits are enlarged to the mask. Published
    numbers are of windows that slide over the image instead.

    Args:
        net: what is put into evaluation mode.
        logits_of: of the network.
        pairs: images and masks, read one after the other.
        views: normalizes the images.
        num_classes: C.
        size: side S of what the network sees.
        device: where the network is.
        progress: told how far it is.
    """
    counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    with evaluating(net):
        for place, pair in enumerate(pairs):
            stored, mask = read_pair(pair, size)
            images = views.normalize(views.plain(stored[None].to(device)), channels_last=True)
            found = predict_mask(logits_of, images, (mask.shape[0], mask.shape[1]))
            counts += pixel_confusion(found[0], mask.to(device), num_classes).cpu()
            if progress is not None:
                progress("scoring", place + 1, len(pairs))
    return score_of(counts)


@torch.inference_mode()
def linear_probe(
    net: nn.Module, source: PairSource, views: Views, num_classes: int, *, seed: int, device: torch.device
) -> GridLogits:
    """Logistic regression on the features of places, with the class in the middle of each: what a linear head
    makes of the network as it is.

    At most 5000 places are learned from, equally many of each image and drawn at random.

    Args:
        net: see :func:`ssl_mix.segmentation.encoder.dense_features`.
        source: images and masks to learn from.
        views: normalizes the images.
        num_classes: C.
        seed: of the draw.
        device: where the network is.
    """
    features, labels = [], []
    each, generator = max(1, MOST // len(source)), stream_generator(seed, "probe")
    order = torch.randperm(len(source), generator=generator)[:MOST]
    with evaluating(net):
        for stored in source.batches(torch.split(order, BATCH), device):
            found = dense_features(net, views.normalize(views.plain(stored), channels_last=True))
            masks = F.interpolate(stored[:, 3:].float(), size=found.shape[2:], mode="nearest-exact").long()
            for image, mask in zip(found.flatten(2).cpu(), masks.flatten(1).cpu(), strict=True):
                known = (mask != VOID).nonzero()[:, 0]
                chosen = known[torch.randperm(len(known), generator=generator)[:each]]
                features.append(image[:, chosen].T)
                labels.append(mask[chosen])
    fitted = probe(torch.cat(features), torch.cat(labels), num_classes, seed=seed)
    return _of_net(net, LinearHead(fitted.weight.to(device), fitted.bias.to(device)))


def _of_net(net: nn.Module, head: LinearHead) -> GridLogits:
    def logits(images: Tensor) -> Tensor:
        return F.conv2d(dense_features(net, images).float(), head.weight[:, :, None, None], head.bias)

    return logits
