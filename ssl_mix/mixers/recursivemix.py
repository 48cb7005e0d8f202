"""RecursiveMix: paste the batch of the step before, made smaller."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_positive, check_share, counts_of, verb_for
from ssl_mix.mixers._common import check_pair, sample_uniform
from ssl_mix.mixers.mixer import Pair
from ssl_mix.mixers.resizemix import ResizeMix


class History(NamedTuple):
    """What a step of :class:`RecursiveMix` leaves for the next.

    Attributes:
        images: the images that were made, (N, C, H, W), detached.
        target: their labels, (N, classes) float.

    Examples:
        >>> _, _, history = RecursiveMix()(torch.zeros(3, 1, 8, 8), torch.eye(3), None)
        >>> history.target.shape
        torch.Size([3, 3])
    """

    images: Tensor
    target: Tensor


@dataclass(frozen=True)
class RecursiveMix:
    """Paste the mixed images of the step before, made smaller, into those of this step.

    ``x = m x_t + (1 - m) resize(x_{t-1})``, ``y = lam y_t + (1 - lam) y_{t-1}``, where ``x_{t-1}`` is itself
    mixed: an image can hold many classes, so labels are distributions (N, classes). The box has the area
    share ``1 - lam ~ U(0, alpha)``, one for each image, and lies within the image. State is explicit: ::

        history = None
        for images, labels in loader:
            target = F.one_hot(labels, classes).float()
            images, target, history = mixer(images, target, history, generator=generator)
            loss = criterion(net(images), target)

    It is no :class:`Mixer`, for its labels are no pairs. Of decoupled mixup it takes the form for several
    classes, ``DecoupledMixupLoss(classes=K)``; ``MixedTarget`` and the command line do not apply.

    Args:
        alpha: largest share of the box.

    Raises:
        ValueError: alpha is not above 0 or above 1; while mixing, labels are no distributions (N, classes),
            or the history has images of another size or dtype, or fewer of them.

    Source: Yang et al., "RecursiveMix: Mixed Learning with History" (NeurIPS 2022). Differs from the
    published code: a box for each image, never cut off at the borders, which takes the pixels that the
    centers of its own lie in, where the code takes those of their corners. Left out: the loss between the
    answers of the box and of the step before, which needs a head on regions of a network's maps.

    Examples:
        >>> mixer, target = RecursiveMix(), torch.eye(3)
        >>> images, target, history = mixer(torch.zeros(3, 1, 8, 8), target, None)
        >>> images, target, history = mixer(torch.ones(3, 1, 8, 8), target, history)
        >>> target.sum(1)
        tensor([1., 1., 1.])
    """

    alpha: float = 0.5

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        check_share("alpha", self.alpha)

    def __call__(
        self,
        images: Tensor,
        target: Tensor,
        history: History | None,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, History]:
        """Mix a batch with the one before.

        Args:
            images: (N, C, H, W), any dtype.
            target: class distributions, (N, classes) float.
            history: of the step before, of N images or more; None in the first step, which mixes nothing.
            generator: source of the draws; torch's own where None.

        Returns:
            Images, their labels, and the history for the next step. None of them shares memory with the
            inputs.
        """
        check_pair(images, images)
        if not isinstance(target, Tensor) or target.device != images.device:
            raise UserError(
                f"target must be a tensor on {images.device}, got {getattr(target, 'device', target)}"
            )
        if not target.is_floating_point() or target.ndim != 2 or len(target) != len(images):
            raise UserError(
                f"target must be float ({len(images)}, classes), one distribution per image, got "
                f"{target.dtype} {tuple(target.shape)}"
            )
        if history is None:
            mixed, labels = images.clone(), target.clone()
            return mixed, labels, History(mixed.detach().clone(), labels.detach().clone())
        if len(history.images) < len(images):
            raise UserError(
                f"history has {counts_of(len(history.images), 'image')}, and {len(images)} "
                f"{verb_for(len(images))} to be mixed: leave out the smaller last batch of an epoch, or "
                "start again with None"
            )
        old = History(*(kept[: len(images)] for kept in history))
        check_pair(images, old.images)
        share = 1 - self.alpha * sample_uniform((len(images),), generator, images.device)
        mixed, lam, _ = ResizeMix().blend(Pair(images, old.images), share, generator)
        labels = torch.lerp(old.target.to(target), target, lam.to(target.dtype)[:, None])
        return mixed, labels, History(mixed.detach().clone(), labels.detach().clone())
