"""Mixed images to be looked at: which ones, by which mixers."""

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import Supervised
from ssl_mix.augment import Augmentation
from ssl_mix.datasets import ImageSource
from ssl_mix.errors import UserError
from ssl_mix.mixers import MIXERS, CoMixup, Mixed, Mixer, Pair, build_mixer
from ssl_mix.reports.blocks import Pictures
from ssl_mix.reports.thumbnails import data_uri

SHARES = (0.35, 0.5, 0.7)
SIDE = 96  # pixels of a picture in a page
SMALL = 40
CPU = torch.device("cpu")


def choose_rows(labels: Tensor, num_classes: int, count: int, seed: int) -> list[int]:
    """Rows of ``count`` images, neighbors of different classes where possible.

    Raises:
        ValueError: none has a label.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    by_class = [order[labels[order] == label].tolist() for label in range(num_classes)]
    by_class = [members for members in by_class if members]
    if not by_class:
        raise UserError("there are no labeled images to show")
    turns = [divmod(turn, len(by_class)) for turn in range(count)]
    return [by_class[place][number % len(by_class[place])] for number, place in turns]


def resized(pictures: Tensor, size: int) -> Tensor:
    """uint8 images with sides of ``size`` pixels."""
    values = F.interpolate(pictures.float(), (size, size), mode="bilinear", antialias=True)
    return values.round().clamp(0, 255).to(torch.uint8)


def learned_mixers(algorithm: Algorithm) -> dict[str, Mixer]:
    """Mixers that a run has trained, by name."""
    return {algorithm.mixing.mixer: algorithm.built_mixer} if isinstance(algorithm, Supervised) else {}


def own_mixer(algorithm: Algorithm) -> str:
    """The mixer of an algorithm; "" where it mixes nothing."""
    mixing = getattr(algorithm, "mixing", None)
    return "" if mixing is None or mixing.mix == "none" else str(mixing.mixer)


def mix_with_all(
    pictures: Tensor,
    labels: Tensor,
    net: nn.Module,
    augmentation: Augmentation,
    trained: Mapping[str, Mixer],
    seed: int,
    names: Iterable[str] = MIXERS,
) -> tuple[dict[str, Mixed], dict[str, str]]:
    """Each other image mixed with the one after it by every mixer, as values in [0, 1]; and why a mixer is
    left out.

    All mixers are asked for the same shares and draw from the same seed.
    """
    images = augmentation.normalize(pictures)
    mean, std = (torch.tensor(values)[:, None, None] for values in (augmentation.mean, augmentation.std))
    found, refused = {}, {}
    for name in names:
        mixer = trained.get(name) or build_mixer(name)
        if mixer.hidden:
            refused[name] = "it mixes hidden layers, which are no images"
            continue
        try:
            mixed = mix_pairs(mixer, images, labels, net, seed)
        except UserError as error:
            refused[name] = str(error)
        else:
            found[name] = mixed._replace(images=mixed.images.detach() * std + mean)
    return found, refused


def mix_pairs(mixer: Mixer, images: Tensor, labels: Tensor, net: nn.Module, seed: int) -> Mixed:
    """The images at even places mixed with those at odd ones; a learned mixer that no run has trained gets a
    fresh block, and Co-Mixup makes its images of all."""
    if isinstance(mixer, CoMixup):
        return mix_together(mixer, images, mixer.saliency(images, labels, net), seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        mixer.prepare(net, (images.shape[1], images.shape[2], images.shape[3]))
    pair = Pair(images[0::2], images[1::2], net=net)
    saliency = mixer.saliency(images, labels, net)
    if saliency is not None:
        pair = pair._replace(saliency_a=saliency[0::2], saliency_b=saliency[1::2])
    return mixer.blend(pair, torch.tensor(SHARES), torch.Generator().manual_seed(seed))


def mix_together(mixer: CoMixup, images: Tensor, saliency: Tensor, seed: int) -> Mixed:
    """Of the images that are made of all, for each image at an even place the one that shows most of it; its
    mask is where it does."""
    marks = torch.eye(len(images))[:, :, None, None].expand(-1, -1, *images.shape[2:])
    mixed, shown = (
        mixer.jointly(given, saliency, torch.Generator().manual_seed(seed)).images
        for given in (images, marks)
    )
    base = torch.arange(0, len(images), 2)
    best = shown.mean((2, 3)).argmax(0)[base]
    mask = shown[best, base, None]
    return Mixed(mixed[best], mask.mean((1, 2, 3)), mask)


def mixed_pictures(
    images: ImageSource,
    positions: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    net: nn.Module,
    augmentation: Augmentation,
    algorithm: Algorithm,
) -> Pictures:
    """Three pairs of a run's images, and what its mixer and those that ask no network make of them.

    Args:
        images: of which ``positions`` have the classes ``labels``, both (N,).
        positions: see there.
        labels: see there.
        classes: names.
        net: of the run, on the CPU, in evaluation mode.
        augmentation: of the run.
        algorithm: of the run.

    Raises:
        ValueError: none has a label.
    """
    rows = torch.tensor(choose_rows(labels, len(classes), 2 * len(SHARES), seed=0))
    [pictures] = images.batches([positions[rows]], CPU)
    own = own_mixer(algorithm)
    shown = [name for name in MIXERS if name == own or not build_mixer(name).needs]
    mixed, _ = mix_with_all(pictures, labels[rows], net, augmentation, learned_mixers(algorithm), 0, shown)
    named = [classes[label] for label in labels[rows].tolist()]
    bytes_of = {
        name: (255 * found.images).round().clamp(0, 255).to(torch.uint8) for name, found in mixed.items()
    }
    table = [
        ("image", _row(pictures[0::2], named[0::2])),
        ("its partner", _row(pictures[1::2], named[1::2])),
    ]
    for name, made in bytes_of.items():
        captions = [f"{100 * lam:.0f} % of the image" for lam in mixed[name].lam.tolist()]
        table.append((f"{name}, which this run takes" if name == own else name, _row(made, captions)))
    return Pictures(table, pixelated=max(images.shape[1:]) < SMALL)


def _row(images: Tensor, captions: Sequence[str]) -> list[tuple[str, str]]:
    return [(data_uri(image, SIDE), caption) for image, caption in zip(images, captions, strict=True)]
