"""AutoMix: a small network learns where to mix."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_count, check_not_negative, check_positive
from ssl_mix.losses.mixup import mixup_cross_entropy
from ssl_mix.mixers._common import check_float, composite, pair_up, pixel_share, reordered, resolve_lam
from ssl_mix.mixers.frozen_net import feature_maps, frozen, network_input
from ssl_mix.mixers.hooks import check_net, find_layer, hidden_layer_names
from ssl_mix.mixers.mixblock import MixBlock
from ssl_mix.mixers.mixer import Mixed, MixedBatch, Mixer, Pair
from ssl_mix.randomness import sample_beta
from ssl_mix.types import MixedTarget


class AutoMix(Mixer, nn.Module):
    """Mix by masks that a small network learns to make from the features of a momentum encoder.

    The small network is a :class:`MixBlock`. In a loop::

        encoder = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.999))
        automix = AutoMix()
        automix.prepare(encoder, (3, 32, 32))
        optimizer = SGD([*net.parameters(), *automix.parameters()], lr=0.1)
        for images, labels in loader:
            batch = automix.mix_batch(images, labels, net=encoder, generator=generator)
            loss = criterion(net(batch.images), batch.target) + batch.loss
            ...  # backward, optimizer.step(), encoder.update_parameters(net)

    A batch is mixed twice, each time with its own partners and its own ``lam ~ Beta(alpha, alpha)`` per
    sample. The images returned are mixed by detached masks; where lam or 1 - lam is at most ``lam_margin``
    they are blended evenly. The second mixing is the block's lesson, ``batch.loss = CE(encoder(x), lam) +
    mask_weight * max(0, |mean(mask) - lam| - mask_margin)``, mean over the batch. Its gradient goes through
    the encoder to the block alone: neither encoder nor student gets any.

    The returned lam is the mean of the mask that was used. The drawn lam is what the block is asked for, and
    what its lesson, both terms, holds it to. The encoder is put into evaluation mode for the call and back
    afterwards, so that its running statistics stay as they are and no image's features depend on the others.

    In evaluation mode (``eval()``) it mixes by what it has learned and gives no lesson: ``batch.loss`` is
    None.

    Give it the momentum encoder as ``net``: any frozen or unfrozen network, ``AveragedModel`` included.

    Args:
        alpha: of the Beta distribution.
        layer: name of the layer of the encoder whose feature maps (N, C, h, w) the block sees; None for the
            last stage but one of the network.
        channels: C of that layer; None where ``prepare`` is to find out.
        lam_margin: shares this near to 0 or 1 are mixed without the block.
        mask_weight: of the mask term in the loss.
        mask_margin: how far a mask's mean may lie from lam at no cost.

    Raises:
        ValueError: alpha is not above 0, a margin or weight is negative, channels is no whole number above 0;
            while mixing, the network is missing, the block was not prepared, the layer gives no maps (N, C,
            h, w), or images are integers.

    Source: Liu et al., "AutoMix: Unveiling the Power of Mixup for Stronger Classifiers" (ECCV 2022). Differs
    from the published
    code: the label weight is the mask's mean, where the published one is the drawn lam; lam is drawn per
    sample; the margin on the mask's mean counts per sample; the encoder is in evaluation mode; lam is given
    to the block in every setting, as the paper has it, and so the mask is never rescaled afterwards. The
    clean cross entropy of the student is left to the training loop.

    Examples:
        >>> from ssl_mix.models import build_model
        >>> mixer, encoder = AutoMix(), build_model("small-cnn", 10)
        >>> mixer.prepare(encoder, (3, 8, 8))
        >>> batch = mixer.mix_batch(torch.rand(4, 3, 8, 8), torch.arange(4), net=encoder)
        >>> batch.images.shape, batch.loss.requires_grad
        (torch.Size([4, 3, 8, 8]), True)
    """

    needs: ClassVar[frozenset[str]] = frozenset({"net"})
    block_class: ClassVar[type[nn.Module]] = MixBlock
    block: nn.Module | None

    def __init__(
        self,
        alpha: float = 2.0,
        layer: str | None = None,
        *,
        channels: int | None = None,
        lam_margin: float = 0.08,
        mask_weight: float = 0.1,
        mask_margin: float = 0.1,
    ) -> None:
        super().__init__()
        check_positive("alpha", alpha)
        check_not_negative("lam_margin", lam_margin)
        check_not_negative("mask_weight", mask_weight)
        check_not_negative("mask_margin", mask_margin)
        self.alpha, self.layer, self.lam_margin = alpha, layer, lam_margin
        self.mask_weight, self.mask_margin = mask_weight, mask_margin
        self.block = None
        if channels is not None:
            check_count("channels", channels)
            self.block = self.block_class(channels)
        self.channels = channels

    def prepare(self, net: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Build the block for the layer's channels, found by running the network on one black image (C, H,
        W).

        Do this before the optimizer is made and before a state is loaded. A block that fits is kept as it is.

        Raises:
            ValueError: the network has no such layer, or the block was built for another number of channels.
        """
        device = next(net.parameters()).device
        image = torch.zeros(1, *image_shape, device=device)
        channels = feature_maps(net, self.layer_name(net), image).shape[1]
        if self.channels not in (None, channels):
            raise UserError(
                f"the block was built for {self.channels} channels, {self.layer_name(net)!r} has {channels}"
            )
        if self.block is None:
            self.block = self.block_class(channels).to(device)
        self.channels = channels

    def layer_name(self, net: nn.Module) -> str:
        """Name of the layer that the block sees; raises ValueError where the network has none of this
        name."""
        name = self.layer or hidden_layer_names(net)[-2:][0]
        find_layer(net, name)
        return name

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Mix by detached masks."""
        check_float(pair.images_a, self)
        lam = resolve_lam(lam, self.alpha, pair.images_a, generator)
        both = torch.cat((pair.images_a, pair.images_b))
        maps_a, maps_b = self._maps(check_net(pair.net, self), both).chunk(2)
        return _mixed(pair.images_a, pair.images_b, self._used_mask(maps_a, maps_b, lam, pair.images_a))

    def mix_batch(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> MixedBatch:
        """Mix a batch with itself, and in training mode give the block its lesson: add ``loss`` to the
        student's loss.

        Args:
            images: images (N, C, H, W), float.
            labels: their classes, (N,) int64.
            net: the momentum encoder.
            generator: source of the draws; torch's own where None.
        """
        batch, maps = self._mixed_once(images, labels, net, generator)
        if not self.training:
            return batch
        if labels.is_floating_point():
            raise UserError(
                f"{type(self).__name__} learns by one class per image, labels int64 ({len(images)},), got "
                f"{labels.dtype} {tuple(labels.shape)}: put it into evaluation mode, or take another mixer"
            )
        loss = self._lesson(check_net(net, self), images, maps, *self._draw(images, labels, generator))
        return batch._replace(loss=loss)

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, MixedTarget]:
        """The images and labels that ``mix_batch`` gives, without a lesson for the block."""
        batch, _ = self._mixed_once(images, labels, net, generator)
        assert isinstance(batch.target, MixedTarget)
        return batch.images, batch.target

    def mask_cost(self, mask: Tensor, lam: Tensor) -> Tensor:
        """What the masks (N, 1, H, W) of the block cost where lam (N,) was asked for: (N,)."""
        return ((mask.flatten(1).mean(1) - lam).abs() - self.mask_margin).clamp(min=0)

    def _draw(
        self, images: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, MixedTarget]:
        """Partners (N,) of one mixing of a batch with itself, and its labels with the lam that is asked
        for."""
        partner, labels_a, labels_b = pair_up(images, labels, generator)
        lam = sample_beta(len(images), self.alpha, generator, images.device)
        return partner, MixedTarget(labels_a, labels_b, lam)

    def _mixed_once(
        self, images: Tensor, labels: Tensor, net: nn.Module | None, generator: torch.Generator | None
    ) -> tuple[MixedBatch, Tensor]:
        """The mixed batch, still without a loss, and the feature maps of its images."""
        partner, target = self._draw(images, labels, generator)
        check_float(images, self)
        maps = self._maps(check_net(net, self), images)
        mask = self._used_mask(maps, maps.index_select(0, partner), target.lam, images)
        mixed, lam, _ = _mixed(images, reordered(images, partner), mask)
        return MixedBatch(mixed, target._replace(lam=lam), partner, mask), maps

    def _maps(self, net: nn.Module, images: Tensor) -> Tensor:
        if self.block is None:
            raise UserError(
                f"{type(self).__name__} has no block yet: call prepare(net, image_shape) once before "
                "training, "
                "or give channels=..."
            )
        maps = feature_maps(net, self.layer_name(net), images)
        if maps.shape[1] != self.channels:
            raise UserError(f"the block was built for {self.channels} channels, got {maps.shape[1]}")
        return maps.to(next(self.block.parameters()).dtype)

    def _masks(self, maps_a: Tensor, maps_b: Tensor, lam: Tensor, images: Tensor) -> Tensor:
        assert self.block is not None
        masks: Tensor = self.block(maps_a, maps_b, lam, tuple(images.shape[2:]))
        return masks

    @torch.no_grad()
    def _used_mask(self, maps_a: Tensor, maps_b: Tensor, lam: Tensor, images: Tensor) -> Tensor:
        """The block's masks, or lam itself near 0 and 1."""
        asked = lam[:, None, None, None]
        extreme = torch.minimum(asked, 1 - asked) <= self.lam_margin
        return torch.where(extreme, asked, self._masks(maps_a, maps_b, lam, images))

    def _lesson(
        self, encoder: nn.Module, images: Tensor, maps: Tensor, partner: Tensor, target: MixedTarget
    ) -> Tensor:
        """The loss of the block, 0-d; of all parameters, only the block's are in its graph."""
        mask = self._masks(maps, maps.index_select(0, partner), target.lam, images)
        images = network_input(encoder, images)
        with frozen(encoder):
            logits = encoder(composite(images, reordered(images, partner), mask))
        cost = self.mask_cost(mask, target.lam).mean()
        return mixup_cross_entropy(logits, *target) + self.mask_weight * cost


def _mixed(images_a: Tensor, images_b: Tensor, mask: Tensor) -> Mixed:
    return Mixed(composite(images_a, images_b, mask), pixel_share(mask), mask)
