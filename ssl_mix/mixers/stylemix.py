"""StyleMix and StyleCutMix: mix what images show apart from how they look."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_positive, check_share
from ssl_mix.mixers._common import check_float, resolve_lam, sample_uniform
from ssl_mix.mixers.cutmix import outside_box
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair

EPSILON = 1e-5


def with_style(content: Tensor, style: Tensor) -> Tensor:
    """AdaIN: ``content`` (N, C, h, w) with the mean and the deviation that ``style`` has in each channel.

    ``(x - mean) / std * std' + mean'`` over the places of a channel; ``std^2`` is the unbiased variance plus
    1e-5.
    """
    (mean, std), (new_mean, new_std) = (_moments(values) for values in (content, style))
    return (content - mean) * (new_std / std) + new_mean


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    correction = min(1, values[0, 0].numel() - 1)
    variance, mean = torch.var_mean(values, dim=(2, 3), keepdim=True, correction=correction)
    return mean, (variance + EPSILON).sqrt()


@dataclass(frozen=True)
class StyleMix(Mixer):
    """Blend content and style of two images by two shares.

    With f the code of an image, ``AdaIN(f_a, f_b)`` that of a in the style of b, and per sample the shares of
    content and of style ``c, s ~ Beta(alpha, alpha)``, ``t ~ U(max(0, c + s - 1), min(c, s))``:
    ``x = D(t f_a + (1 - c - s + t) f_b + (c - t) AdaIN(f_a, f_b) + (s - t) AdaIN(f_b, f_a))``. The label
    weight is ``lam = r c + (1 - r) s``: it is no share of pixels. A given lam is both c and s.

    Without encoder and decoder the code is the image itself, and its style the mean and the deviation of each
    color.

    Args:
        alpha: of the Beta distribution.
        content_weight: r.
        encoder: from images (N, C, H, W) to maps, for the published method that of AdaIN's style transfer
            (VGG-19 to relu4_1); None for the images themselves. Its weights are not part of this package.
        decoder: from maps back to images of the same size; None for the maps themselves.

    Raises:
        ValueError: alpha is not above 0, content_weight lies outside [0, 1], the decoder returns another
            size, images are integers, or shapes differ.

    Source: Hong et al., "StyleMix: Separating Content and Style for Enhanced Data Augmentation" (CVPR 2021).
    Differs from the published code: c, s and t per sample; colors by default in place of an encoder.

    Examples:
        >>> mixed, lam = StyleMix().mix(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), lam=0.75)
        >>> mixed.shape, lam
        (torch.Size([2, 3, 8, 8]), tensor([0.7500, 0.7500]))
    """

    alpha: float = 1.0
    content_weight: float = 0.7
    encoder: nn.Module | None = None
    decoder: nn.Module | None = None

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        check_share("content_weight", self.content_weight)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Blend the codes."""
        images = pair.images_a
        check_float(images, self)
        content, style = (resolve_lam(lam, self.alpha, images, generator) for _ in range(2))
        low, high = (content + style - 1).clamp(min=0), torch.minimum(content, style)
        both = low + sample_uniform((len(images),), generator, images.device) * (high - low)
        a, b = self._encode(images), self._encode(pair.images_b)
        c, s, t = (share[:, None, None, None].to(a.dtype) for share in (content, style, both))
        code = t * a + (1 - c - s + t) * b + (c - t) * with_style(a, b) + (s - t) * with_style(b, a)
        share = self.content_weight * content + (1 - self.content_weight) * style
        return Mixed(self._decode(code, images).to(images.dtype), share, share[:, None, None, None])

    def _encode(self, images: Tensor) -> Tensor:
        precise = images.to(torch.promote_types(images.dtype, torch.float32))
        return precise if self.encoder is None else self.encoder(precise)

    def _decode(self, code: Tensor, images: Tensor) -> Tensor:
        made = code if self.decoder is None else self.decoder(code)
        if made.shape != images.shape:
            raise UserError(f"decoder must return images {tuple(images.shape)}, got {tuple(made.shape)}")
        return made


@dataclass(frozen=True)
class StyleCutMix(StyleMix):
    """Paste a box of the partner as CutMix does, in a blend of both styles.

    Outside the box is the content of a, in it that of b: with ``a' = g a + (1 - g) D(AdaIN(f_a, f_b))``, a in
    a style nearer to b's, and b' likewise, ``x = s a + (1 - s) a'`` outside and ``(1 - s) b + s b'`` in it;
    ``s, g ~ Beta(alpha, alpha)`` per sample. With m the share of the pixels outside, the label weight is
    ``lam = r m + (1 - r) (g m + (1 - g) s)``, and the mask is the same with 1 for m outside and 0 in the box.
    A given lam is asked of box and style.

    Args:
        alpha: as of :class:`StyleMix`.
        content_weight: as of :class:`StyleMix`.
        encoder: as of :class:`StyleMix`.
        decoder: as of :class:`StyleMix`.

    Raises:
        ValueError: as :class:`StyleMix`.

    Source: the same paper. Differs from its code: s, g and the box per sample; left out is the choice of g
    by the distance of two classes' styles (StyleCutMix with "auto gamma"), which needs a table of them.

    Examples:
        >>> mixed, lam = StyleCutMix().mix(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), lam=1.0)
        >>> lam
        tensor([1., 1.])
    """

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Paste boxes of ``images_b`` in a blend of styles."""
        images = pair.images_a
        check_float(images, self)
        asked, style = (resolve_lam(lam, self.alpha, images, generator) for _ in range(2))
        nearness = resolve_lam(None, self.alpha, images, generator)
        centers = sample_uniform((len(images), 2), generator, images.device)
        rows, columns = outside_box(centers, asked, *images.shape[2:])
        outside = torch.maximum(rows[:, None, :, None], columns[:, None, None]).to(torch.bool)
        codes = self._encode(images), self._encode(pair.images_b)
        a, b = (batch.to(torch.promote_types(images.dtype, torch.float32)) for batch in pair[:2])
        s, g = (share[:, None, None, None].to(a.dtype) for share in (style, nearness))
        like_b, like_a = (
            torch.lerp(self._decode(with_style(*order), images), own, g)
            for own, order in ((a, codes), (b, codes[::-1]))
        )
        mixed = torch.where(outside, torch.lerp(like_b, a, s), torch.lerp(b, like_a, s))
        content, own, near = outside.float(), style[:, None, None, None], nearness[:, None, None, None]
        mask = torch.lerp(torch.lerp(own, content, near), content, self.content_weight)
        return Mixed(mixed.to(images.dtype), mask.flatten(1).mean(1), mask)
