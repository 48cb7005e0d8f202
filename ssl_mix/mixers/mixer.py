"""The contract of a mixer, and what follows from it: mixing two batches, and mixing a batch with itself."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixers._common import (
    IMAGES,
    check_pair,
    check_saliency,
    pair_up,
    reordered,
    usable_saliency,
    warn_of_one_image,
)
from ssl_mix.types import JointTarget, MixedTarget


class Pair(NamedTuple):
    """Two batches to be mixed, and what some mixers need beside the images.

    Attributes:
        images_a: images (N, C, H, W).
        images_b: their partners, of the same shape and dtype.
        saliency_a: importance of each pixel of ``images_a``, (N, H, W) float, not negative; or None.
        saliency_b: the same of ``images_b``.
        net: the network whose features or hidden layers are asked for, or None.
        own_b: whether ``images_b`` is a copy that the mixer may overwrite with what it makes.

    Examples:
        >>> a, b = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        >>> Mixup().blend(Pair(a, b), 0.25, None).images.mean()
        tensor(0.2500)
    """

    images_a: Tensor
    images_b: Tensor
    saliency_a: Tensor | None = None
    saliency_b: Tensor | None = None
    net: nn.Module | None = None
    own_b: bool = False


class Mixed(NamedTuple):
    """Mixed images.

    Attributes:
        images: (N, C, H, W) in the dtype of the inputs.
        lam: share of ``images_a``, (N,) float32.
        mask: the same by pixel: bool or float32, (N, 1, H, W), or (N, 1, 1, 1) where all pixels have one
            share.

    Examples:
        >>> a, b = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        >>> mixed = Mixup().blend(Pair(a, b), 0.75, None)
        >>> mixed.lam, mixed.mask.shape
        (tensor([0.7500]), torch.Size([1, 1, 1, 1]))
    """

    images: Tensor
    lam: Tensor
    mask: Tensor


class MixedBatch(NamedTuple):
    """A batch mixed with itself.

    Attributes:
        images: (N, C, H, W); what the network is to be fed.
        target: labels of the mixed images.
        partner: position of each sample's partner in the batch, (N,) int64; of a joint mixer, of the images
            that it may show, (N, K).
        mask: share of the base image by pixel, as in :class:`Mixed`; None where hidden layers are mixed, or
            more than two images.
        loss: 0-d, what a learned mixer adds to the loss to learn itself; None for all others.

    Examples:
        >>> batch = Mixup().mix_batch(images := torch.rand(4, 3, 8, 8), labels := torch.arange(4))
        >>> bool((batch.target.labels_b == labels[batch.partner]).all())
        True
    """

    images: Tensor
    target: MixedTarget | JointTarget
    partner: Tensor
    mask: Tensor | None
    loss: Tensor | None = None


def check_mixer(mixer: object) -> None:
    """Raise for what is no mixer, such as the name or the class of one."""
    if not isinstance(mixer, Mixer):
        raise UserError(f"expected a mixer such as CutMix(), got {mixer!r}")


def with_saliency(pair: Pair, mixer: "Mixer", labels: Tensor, partner: Tensor) -> Pair:
    """The pair of a batch and its partners, with the importance of the pixels where the mixer computes it."""
    saliency = mixer.saliency(pair.images_a, labels, pair.net)
    if saliency is None:
        return pair
    return pair._replace(saliency_a=saliency, saliency_b=saliency.index_select(0, partner))


def given_saliency(pair: Pair, mixer: "Mixer") -> tuple[Tensor, Tensor]:
    """The importance of the pixels of both batches, or an error where ``mixer`` got none."""
    if pair.saliency_a is None or pair.saliency_b is None:
        raise UserError(
            f"{type(mixer).__name__} needs the saliency of both images: pass saliency_a= and saliency_b=, "
            "or let mixer(images, labels, net=net) compute it"
        )
    device = pair.images_a.device
    return usable_saliency(pair.saliency_a, device), usable_saliency(pair.saliency_b, device)


class Mixer(ABC):
    """One way to mix images. A subclass says how in ``blend``; the rest follows.

    Attributes:
        needs: what it needs beside images: "saliency" or "net", or nothing.
        hidden: whether it mixes hidden layers, so that there is no mixed image to be looked at.
        joint: whether it mixes a batch together, more than two images in one, with a JointTarget.
        axes: how many axes a batch may have: 4, images (N, C, H, W); 3, signals (N, C, T); () for any number.

    Examples:
        >>> class Half(Mixer):
        ...     def blend(self, pair, lam, generator):
        ...         mask = torch.full((len(pair.images_a), 1, 1, 1), 0.5)
        ...         return Mixed((pair.images_a + pair.images_b) / 2, mask.flatten(), mask)
        >>> Half()(torch.rand(2, 3, 8, 8), torch.tensor([4, 7]))[1].lam
        tensor([0.5000, 0.5000])
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    hidden: ClassVar[bool] = False
    joint: ClassVar[bool] = False
    axes: ClassVar[tuple[int, ...]] = IMAGES

    @abstractmethod
    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Mix a checked pair with the given share of ``images_a``, or with one that is drawn where None."""

    def prepare(self, net: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Get ready for a network and images (C, H, W); raises ValueError if they do not fit. Nothing to do
        for most mixers."""
        del net, image_shape

    def saliency(self, images: Tensor, labels: Tensor, net: nn.Module | None) -> Tensor | None:
        """Importance (N, H, W) of the pixels, for a mixer that needs it; None here."""
        del images, labels, net
        return None

    def mix(
        self,
        images_a: Tensor,
        images_b: Tensor,
        *,
        lam: Tensor | float | None = None,
        generator: torch.Generator | None = None,
        saliency_a: Tensor | None = None,
        saliency_b: Tensor | None = None,
        net: nn.Module | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Mix two explicit batches (N, C, H, W). The inputs are left as they were.

        Args:
            images_a: base images. Floats must be finite: where a
                pixel of either image is infinite or NaN, the mixed pixel may be NaN, even where only the
                other is shown.
            images_b: their partners, of the same shape and dtype.
            lam: share of ``images_a`` asked for, (N,) or one number; drawn where None. A mixer that clips its
                boxes at the borders shows more of ``images_a`` than asked for, never less.
            generator: source of the draws; torch's own where None.
            saliency_a: importance (N, H, W) of the pixels of ``images_a``, for mixers that need it; ignored
                by the others. What is negative or not finite counts as 0.
            saliency_b: the same of ``images_b``.
            net: the network, for mixers that need it; ignored by the others.

        Returns:
            The images in the dtype of the inputs, and the true share of ``images_a``, (N,) float32.

        Raises:
            ValueError: shapes or dtypes differ, lam is out of range, or something the mixer needs is missing.
        """
        check_pair(images_a, images_b, self.axes)
        warn_of_one_image(images_a)
        check_saliency(images_a, saliency_a=saliency_a, saliency_b=saliency_b)
        images, share, _ = self.blend(Pair(images_a, images_b, saliency_a, saliency_b, net), lam, generator)
        return images, share

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, MixedTarget]:
        """Mix a batch with a random permutation of itself.

        Args:
            images: images (N, C, H, W).
            labels: their classes, (N,) int64; or, where classes do not exclude each other, (N, C) float in
                [0, 1], which the target then holds for both images.
            net: the network, for mixers that need it; ignored by the others.
            generator: source of the draws; torch's own where None.

        Returns:
            The mixed images and their :class:`ssl_mix.types.MixedTarget`.
        """
        images, target, *_ = self.mix_batch(images, labels, net=net, generator=generator)
        assert isinstance(target, MixedTarget)  # a joint mixer says otherwise
        return images, target

    def mix_batch(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> MixedBatch:
        """The same as calling the mixer, with partners and masks."""
        partner, labels_a, labels_b = pair_up(images, labels, generator, self.axes)
        pair = Pair(images, reordered(images, partner), net=net, own_b=True)
        mixed, lam, mask = self.blend(with_saliency(pair, self, labels_a, partner), None, generator)
        return MixedBatch(mixed, MixedTarget(labels_a, labels_b, lam), partner, mask)

    @contextmanager
    def applied(
        self,
        net: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> Iterator[MixedBatch]:
        """``with mixer.applied(net, images, labels) as mixed: logits = net(mixed.images)``, for every mixer.

        A mixer of hidden layers acts within the block and no longer; to all others the block means nothing.
        """
        yield self.mix_batch(images, labels, net=net, generator=generator)
