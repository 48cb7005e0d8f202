"""The views of an image that algorithms ask for, and how a data set wants its images treated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from ssl_mix.augment.augmix import AugMix
from ssl_mix.augment.checks import check_images
from ssl_mix.augment.crops import center_crop
from ssl_mix.augment.ctaugment import CTAugment
from ssl_mix.augment.cutout import cutout
from ssl_mix.augment.pools import Variant
from ssl_mix.augment.randaugment import RandAugment
from ssl_mix.augment.resized_crop import random_resized_crop
from ssl_mix.augment.trivial import TrivialAugment
from ssl_mix.augment.weak import flip_and_crop
from ssl_mix.errors import (
    UserError,
    check_choice,
    check_count,
    check_not_negative,
    check_positive,
    check_share,
    nearest,
)

Policy = Literal["randaugment", "ctaugment", "trivial", "augmix"]
ALTERED = ("medium", "strong")  # kinds of views that a policy alters
VIEWS = ("plain", "weak", "medium", "strong")
Crop = Literal["pad", "resized"]


def kind_of(view: str) -> str:
    """ "weak" for "weak" and "weak2": a number makes another view of the same kind."""
    return view.rstrip("0123456789")


class Views(Protocol):
    """How the views that algorithms ask for are made of what a data set stores of its images:
    :class:`Augmentation` makes them of pixels, :class:`ssl_mix.augment.cached.CachedViews` looks them up."""

    @property
    def flip(self) -> bool:
        """Whether the mirror image means the same."""

    def seen(self, shape: tuple[int, int, int], /) -> tuple[int, int, int]:
        """The shape (C, H, W) of what the network sees of stored images of ``shape``."""

    def plain(self, images: Tensor, /) -> Tensor:
        """What an evaluation sees of stored images (N, ...), not yet normalized."""

    def normalize(self, images: Tensor, /, *, channels_last: bool = False) -> Tensor:
        """What the network is given of them, float32 (N, C, H, W)."""

    def views(
        self,
        images: Tensor,
        names: Sequence[str],
        generator: torch.Generator,
        /,
        *,
        channels_last: bool = False,
    ) -> dict[str, Tensor]:
        """Normalized views by name."""


@dataclass(frozen=True)
class Augmentation:
    """Normalization and the ranges of augmentation; belongs to the data set.

    Args:
        mean: per channel, of values in [0, 1].
        std: likewise.
        flip: whether the mirror image means the same.
        padding: pixels of the reflected image on each side that a weak view may take in.
        crop: of the weak view: "pad" takes a random crop of the padded image, which shifts one that is no
            larger than the crop by up to ``padding``; "resized" resizes a random part of it instead.
        variant: of RandAugment and Cutout.
        geometry: factor on the policy's rotations, shears and translations; below 1 for tiny images.
        policy: what alters strong views, before Cutout: "randaugment"; "ctaugment", whose strengths are
            learned; "trivial", one operation of any strength; "augmix", blends of chains, without Cutout.
        size: side of what the network sees, a crop of the stored image; default: the stored image itself.
        test_size: side of the central square that an evaluation sees, where that is another.

    Raises:
        ValueError: an option is out of range.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool = True
    padding: int = 4
    crop: Crop = "pad"
    variant: Variant = "torchssl"
    geometry: float = 1.0
    policy: Policy = "randaugment"
    size: int | None = None
    test_size: int | None = None

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise UserError(
                f"mean and std must have a number for each channel, got {len(self.mean)} and {len(self.std)}"
            )
        for mean, std in zip(self.mean, self.std, strict=True):
            check_share("mean", mean)
            check_positive("std", std)
        check_not_negative("padding", self.padding)
        check_positive("geometry", self.geometry)
        for name, known in (("crop", Crop), ("variant", Variant), ("policy", Policy)):
            check_choice(name, getattr(self, name), get_args(known))
        for name in ("size", "test_size"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))

    def seen(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape (C, H, W) of what the network sees of stored images of ``shape``.

        Raises:
            ValueError: the stored images are smaller than ``size``.
        """
        if self.size is None:
            return shape
        if min(shape[1:]) < self.size:
            raise UserError(
                f"the network is to see {self.size}x{self.size} pixels, but images are stored at "
                f"{shape[1]}x{shape[2]}: store them "
                "larger (`stored_size`) or let it see less (`image_size`)"
            )
        return shape[0], self.size, self.size

    def plain(self, images: Tensor) -> Tensor:
        """What an evaluation sees of uint8 images (N, C, H, W): their central square of ``test_size`` or
        ``size``, or all of them."""
        size = self.test_size or self.size
        return images if size is None else center_crop(images, size)

    def for_tests(self) -> "Augmentation":
        """The same for a network that is trained already: what it sees is what an evaluation sees."""
        return replace(self, size=self.test_size or self.size, test_size=None)

    def normalize(self, images: Tensor, *, channels_last: bool = False) -> Tensor:
        """uint8 (N, C, H, W) to float32: ``(images / 255 - mean) / std``."""
        constants = torch.tensor([(1 / (255 * s), -m / s) for m, s in zip(self.mean, self.std, strict=True)])
        scale, offset = constants.to(images.device, non_blocking=True).unbind(1)
        if not channels_last:
            return images.float().mul_(scale[:, None, None]).add_(offset[:, None, None])
        wide = torch.empty(images.shape, device=images.device, memory_format=torch.channels_last)
        for channel, values in zip(wide.unbind(1), images.unbind(1), strict=True):
            channel.copy_(values)  # one by one: a copy that permutes all of them is slow on a CPU
        width = images.shape[3]
        wide.permute(0, 2, 3, 1).flatten(2).mul_(scale.repeat(width)).add_(offset.repeat(width))
        return wide

    def views(
        self,
        images: Tensor,
        names: Sequence[str],
        generator: torch.Generator,
        *,
        channels_last: bool = False,
        learned: CTAugment | None = None,
    ) -> dict[str, Tensor]:
        """Normalized views by name: "plain": what an evaluation sees; "weak": flip and crop; "strong": weak,
        then the policy, then Cutout; "medium": the same with one operation of the policy.

        A number behind a name ("weak2") makes another view of that kind, drawn by itself.

        Args:
            images: (N, C, H, W) uint8 as stored, no smaller than ``size``; left as they are.
            names: of the views.
            generator: on the CPU.
            channels_last: memory layout of the views.
            learned: the state of the policy "ctaugment".

        Raises:
            ValueError: a view is unknown, or the policy is "ctaugment" and nothing was learned.
        """
        return {
            name: self.normalize(self._view(images, name, generator, learned), channels_last=channels_last)
            for name in names
        }

    def _view(
        self, images: Tensor, name: str, generator: torch.Generator, learned: CTAugment | None
    ) -> Tensor:
        check_images(images, "Augmentation", channels=(len(self.mean), 1))
        kind = kind_of(name)
        if kind not in VIEWS:
            raise UserError(f"unknown view {name!r}: choose {', '.join(VIEWS)}.{nearest(name, VIEWS)}")
        if kind == "plain":
            return self.plain(images)
        weak = self.weak(images, generator)
        return weak if kind == "weak" else self._altered(weak, kind, generator, learned)

    def weak(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Flip and crop, not yet normalized; arguments as for ``views``."""
        padding = self.padding
        if self.crop == "resized":
            images, padding = random_resized_crop(images, size=self.size, generator=generator), 0
        return flip_and_crop(images, flip=self.flip, padding=padding, size=self.size, generator=generator)

    def _altered(
        self, weak: Tensor, kind: str, generator: torch.Generator, learned: CTAugment | None
    ) -> Tensor:
        draws = 1 if kind == "medium" else None
        if self.policy == "augmix":
            mix = AugMix(self.geometry) if draws is None else AugMix(self.geometry, width=1, depth=1)
            return mix(weak, generator=generator)
        if self.policy == "trivial":
            altered = TrivialAugment(self.geometry)(weak, generator=generator)
        elif self.policy == "randaugment":
            altered = RandAugment(self.variant, self.geometry, draws)(weak, generator=generator)
        elif learned is None:
            raise UserError(
                "the policy ctaugment learns its strengths while a whole network trains, which none does "
                "here: choose another (`augment`), or train more than a head (`tune`)"
            )
        else:
            altered = learned(weak, generator=generator, draws=draws)
        return cutout(altered, variant=self.variant, generator=generator)
