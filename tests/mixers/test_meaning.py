"""SnapMix, TokenMix, StyleMix, StyleCutMix and RecursiveMix against loops over the papers' formulas."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mixer_scene import Net, generator
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import DecoupledMixupLoss
from ssl_mix.mixers import (
    RecursiveMix,
    SnapMix,
    StyleCutMix,
    StyleMix,
    TokenMix,
    build_mixer,
)
from ssl_mix.mixers.activation import activation_maps
from ssl_mix.mixers.cutmix import outside_box
from ssl_mix.mixers.snapmix import fitted_box
from ssl_mix.mixers.tokenmix import block_cells
from ssl_mix.models import build_model


def pictures(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=generator(seed))


def test_activation_maps_are_class_activation_maps() -> None:
    net: Any = build_model("small-cnn", 5).eval()
    images, labels = pictures(3, 3, 16, 16), torch.tensor([0, 4, 2])
    found = activation_maps(net, images, labels)
    cam = torch.einsum("nchw,nc->nhw", net.blocks(images), net.head.weight[labels])
    large = F.interpolate(cam[:, None], (16, 16), mode="bilinear")[:, 0].detach().double().numpy()
    for n, one in enumerate(large):
        np.testing.assert_allclose(found[n], (one - one.min()) / (one - one.min()).sum(), atol=1e-6)
    assert not any(parameter.grad is not None for parameter in net.parameters())


def test_flat_activations_give_all_pixels_one_share() -> None:
    net = Net(3)
    torch.nn.init.zeros_(net.head.weight)
    assert torch.equal(
        activation_maps(net, pictures(1, 3, 8, 8), torch.tensor([0])), torch.full((1, 8, 8), 1 / 64)
    )


def test_a_box_is_scaled_into_another_as_interpolate_does() -> None:
    images = pictures(6, 2, 12, 15)
    draws, lam = pictures(2, 6, 2, seed=3), pictures(2, 6, seed=4)
    read, filled = (outside_box(draws[k], lam[k], 12, 15) for k in range(2))
    made = fitted_box(images, read, filled)
    compared = 0
    for n in range(6):
        (top, left), (row, column) = (
            [(side[n] == 0).nonzero().flatten().tolist() for side in box] for box in (read, filled)
        )
        if not (top and left and row and column):
            continue
        part = images[n : n + 1, :, top[0] : top[-1] + 1, left[0] : left[-1] + 1]
        expected = F.interpolate(part, (len(row), len(column)), mode="bilinear", align_corners=True)[0]
        shown = made[n, :, row[0] : row[-1] + 1, column[0] : column[-1] + 1]
        torch.testing.assert_close(shown, expected, rtol=0, atol=1e-5)
        compared += 1
    assert compared >= 4


@pytest.mark.parametrize("mixer", [SnapMix(), TokenMix(cells=6)])
def test_labels_are_weighed_by_what_is_shown_of_each_class(mixer: SnapMix | TokenMix) -> None:
    """Evidence in one pixel of each image: it is there or it is not."""
    images = torch.stack([torch.full((1, 12, 12), float(n)) for n in range(8)])
    saliency_a, saliency_b = (pictures(8, 12, 12, seed=seed) ** 8 for seed in (5, 6))
    options = {"saliency_a": saliency_a, "saliency_b": saliency_b}
    _, lam = mixer.mix(images, images + 100, generator=generator(), **options)
    mixed, share = mixer.mix(images, images + 100, generator=generator())
    kept_mask = (mixed < 50)[:, 0].double()
    torch.testing.assert_close(share.double(), kept_mask.mean((1, 2)), rtol=0, atol=1e-6)
    assert not torch.allclose(lam, share, atol=0.01)
    kept = (saliency_a * kept_mask).sum((1, 2)) / saliency_a.double().sum((1, 2))
    if isinstance(mixer, TokenMix):
        got = (saliency_b * (1 - kept_mask)).sum((1, 2)) / saliency_b.double().sum((1, 2))
    else:  # The box that is read is drawn second.
        draws = generator()
        boxes = [mixer._box(images, None, draws) for _ in range(2)]
        rows, columns = boxes[1]
        within = ((1 - rows)[:, :, None] * (1 - columns)[:, None]).double()
        got = (saliency_b * within).sum((1, 2)) / saliency_b.double().sum((1, 2)) * (share < 1)
    torch.testing.assert_close(lam.double(), kept / (kept + got), rtol=0, atol=1e-5)


def test_blocks_cover_what_is_asked_and_are_many() -> None:
    count = torch.tensor([0.0, 40, 98, 196] * 25)
    covered = block_cells(count, 14, pictures(24, 100, 4, seed=7))
    sizes = covered.sum((1, 2)).view(25, 4).double()
    assert (sizes <= count.view(25, 4)).all() and (sizes[:, 0] == 0).all()
    assert (sizes.mean(0)[1:3] / torch.tensor([40.0, 98.0]) > 0.9).all()
    row = covered[2].double()
    box = row.any(1).sum() * row.any(0).sum()
    assert row.sum() < box  # no single rectangle


def moments(values: Any) -> tuple[Any, Any]:
    return values.mean((1, 2), keepdims=True), np.sqrt(values.var((1, 2), ddof=1, keepdims=True) + 1e-5)


def styled(content: Any, style: Any) -> Any:
    (mean, std), (new, deviation) = moments(content), moments(style)
    return (content - mean) / std * deviation + new


def test_content_and_style_are_blended_as_in_the_paper() -> None:
    a, b = pictures(6, 3, 5, 4), pictures(6, 3, 5, 4, seed=2)
    mixed, lam = StyleMix(content_weight=0.7).mix(a, b, generator=generator())
    draws = generator()
    c, s, u = (torch.rand(6, generator=draws).double().numpy() for _ in range(3))
    for n in range(6):
        x, y = a[n].double().numpy(), b[n].double().numpy()
        low, high = max(0, c[n] + s[n] - 1), min(c[n], s[n])
        t = low + u[n] * (high - low)
        expected = t * x + (1 - c[n] - s[n] + t) * y + (c[n] - t) * styled(x, y) + (s[n] - t) * styled(y, x)
        np.testing.assert_allclose(mixed[n], expected, atol=1e-5)
        assert float(lam[n]) == pytest.approx(0.7 * c[n] + 0.3 * s[n], abs=1e-6)


def test_a_box_in_a_blend_of_styles() -> None:
    a, b = pictures(6, 3, 9, 8), pictures(6, 3, 9, 8, seed=2)
    mixed, lam = StyleCutMix().mix(a, b, generator=generator())
    draws = generator()
    asked, s, g = (torch.rand(6, generator=draws) for _ in range(3))
    rows, columns = outside_box(torch.rand(6, 2, generator=draws), asked, 9, 8)
    outside = torch.maximum(rows[:, :, None], columns[:, None]).double().numpy()
    for n in range(6):
        x, y, gn, sn = a[n].double().numpy(), b[n].double().numpy(), float(g[n]), float(s[n])
        g12, g21 = gn * x + (1 - gn) * styled(x, y), gn * y + (1 - gn) * styled(y, x)
        content = outside[n]
        both = np.maximum(0, content + sn - 1)
        expected = both * x + (1 - content - sn + both) * y + (content - both) * g12 + (sn - both) * g21
        np.testing.assert_allclose(mixed[n], expected, atol=1e-5)
        m = content.mean()
        assert float(lam[n]) == pytest.approx(0.7 * m + 0.3 * (gn * m + (1 - gn) * sn), abs=1e-6)


def test_a_decoder_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="decoder"):
        StyleMix(decoder=torch.nn.AvgPool2d(2)).mix(*torch.rand(2, 3, 3, 8, 8))


def test_history_is_pasted_with_its_labels() -> None:
    mixer, classes = RecursiveMix(), torch.eye(4)
    history, share = None, torch.zeros(4, 3)
    for step in range(3):  # In step t images are t: how much of each is seen is how much its class weighs.
        target = torch.zeros(4, 4)
        target[:, step] = 1
        images, labels, history = mixer(
            torch.full((4, 1, 16, 16), float(step)), target, history, generator=generator(step)
        )
        share = torch.stack([(images == value).float().mean((1, 2, 3)) for value in range(3)], 1)
        if step < 2:
            torch.testing.assert_close(labels[:, :3], share)
    torch.testing.assert_close(labels.sum(1), torch.ones(4))
    torch.testing.assert_close(labels[:, 2], share[:, 2])
    assert (labels[:, :3] > 0).all() and (labels[:, 2] >= 0.5 - 0.07).all()
    assert DecoupledMixupLoss(0.1, classes=3)(torch.randn(4, 4), labels).isfinite()
    assert history is not None and history.images.data_ptr() != images.data_ptr()
    for wrong in (torch.arange(4), classes[:3]):
        with pytest.raises(UserError, match="target"):
            mixer(images, wrong, None)
    with pytest.raises(UserError, match="history"):
        mixer(images.repeat(2, 1, 1, 1), labels.repeat(2, 1), history)


def test_networks_are_asked_for() -> None:
    for name in ("snapmix", "tokenmix"):
        with pytest.raises(UserError, match="net="):
            build_mixer(name)(pictures(2, 3, 8, 8), torch.arange(2))
