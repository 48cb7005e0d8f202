"""MoEx, PatchUp and TokenMixup in networks."""

from typing import Any

import numpy as np
import pytest
import torch
from mixer_scene import generator, net_for
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixers import HardPatchUp, Mixer, MoEx, SoftPatchUp, TokenMixup


def maps(net: Any) -> nn.Module:
    """Returns what its first layer returned, mixed."""
    return nn.Sequential(net)


def run(mixer: Mixer, images: Tensor, net: Any = None, seed: int = 0) -> tuple[Any, Any]:
    net = maps(nn.Identity()) if net is None else net
    with mixer.applied(net, images, torch.arange(len(images)), generator=generator(seed)) as mixed:
        values = net(mixed.images)
    return values.detach().double().numpy(), mixed


def pictures(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(4))


def test_moments_of_some_images_are_left_alone() -> None:
    images = pictures(40, 6, 2, 2)
    values, mixed = run(MoEx(prob=0.5, layers=("0",)), images)
    alone = mixed.target.lam == 1
    assert 8 < alone.sum() < 32
    assert np.array_equal(values[alone], images[alone].double().numpy())


def test_channels_last_are_exchanged_by_channel() -> None:
    net = SwinTransformer(16, 2, embed_dim=8, depths=(1, 1), num_heads=(1, 1), window_size=2, num_classes=3)
    seen: list[Tensor] = []
    images, mixer = pictures(3, 3, 16, 16), MoEx(layers=("layers.0",))
    with mixer.applied(net, images, torch.arange(3), generator=generator()) as mixed:
        net.layers[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        net(images)
    net(images)
    mixed_maps, plain = seen
    means = plain.mean(3)[mixed.partner]
    torch.testing.assert_close(mixed_maps.mean(3), means, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mixer", [HardPatchUp(0.5, 3, ("0",)), SoftPatchUp(0.5, 3, ("0",))])
def test_blocks_are_changed_and_the_label_says_how_much(mixer: HardPatchUp) -> None:
    images = pictures(6, 4, 8, 9)
    values, mixed = run(mixer, images)
    given = images.double().numpy()
    for n, partner in enumerate(mixed.partner.tolist()):
        if n == partner:
            continue
        share = (values[n] - given[partner]) / (given[n] - given[partner])
        kept = np.isclose(share, 1, atol=1e-4)
        inside = share[~kept]
        assert inside.max() - inside.min() < 1e-3  # one blend in all blocks
        assert (inside.mean() < 1e-4) == (type(mixer) is HardPatchUp)
        assert abs(share.mean() - float(mixed.target.lam[n])) < 1e-4
        for channel in ~kept:  # a changed place lies in a changed block, as far as that is in the map
            for y, x in zip(*channel.nonzero(), strict=True):
                blocks = [
                    channel[max(cy - 1, 0) : cy + 2, max(cx - 1, 0) : cx + 2].all()
                    for cy in range(max(y - 1, 0), min(y + 2, 8))
                    for cx in range(max(x - 1, 0), min(x + 2, 9))
                ]
                assert any(blocks)
    assert 0.4 < mixed.target.lam.mean() < 0.95


def test_labels_are_unknown_until_the_layer_has_run() -> None:
    net = maps(nn.Identity())
    mixer = HardPatchUp(layers=("0",))
    with mixer.applied(net, pictures(2, 3, 8, 8), torch.arange(2), generator=generator()) as mixed:
        assert mixed.target.lam.isnan().all()
        net(mixed.images)
    assert mixed.target.lam.isfinite().all()
    with pytest.raises(UserError, match=r"maps \(N, C, h, w\)"):
        run(mixer, pictures(2, 3, 8, 8), nn.Sequential(nn.Flatten()))
    with pytest.raises(UserError, match="odd"):
        HardPatchUp(size=4)


def test_of_salient_tokens_a_given_share_is_left() -> None:
    net, images = net_for(TokenMixup(), 4), pictures(5, 3, 32, 32)
    _, lam = TokenMixup(layers=("blocks.0",)).mix(images, images.flip(0), net=net.body, lam=1.0)
    assert torch.equal(lam, torch.ones(5))
    with pytest.raises(UserError, match="VisionTransformer"):
        TokenMixup().prepare(net_for(MoEx(), 4), (3, 32, 32))
