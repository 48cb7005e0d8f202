"""Where an image shows its class, by the network that classifies it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixers.frozen_net import frozen, network_input
from ssl_mix.mixers.hooks import check_uncompiled, hidden_layer_names, replaced_output, unwrapped
from ssl_mix.mixers.layer_mixer import Layer, channels_first


@torch.inference_mode(False)
@torch.enable_grad()
def activation_maps(net: nn.Module, images: Tensor, labels: Tensor, layer: str | None = None) -> Tensor:
    """Share of each pixel in the evidence for the image's class: ``sum_c A_c dz_y / dA_c``.

    A is the output of a hidden layer, z_y the logit of the label. Behind the last convolution of a network
    that pools and classifies linearly this is the class activation map (Zhou et al., CVPR 2016), in general
    HiResCAM (Draelos & Carin, 2020). Scaled up bilinearly, less its minimum; where
    nothing stands out all pixels have one share. One forward pass in eval mode, and a
    backward pass from the logits to the layer; the network is left as it was.

    Args:
        net: from images to logits.
        images: (N, C, H, W) float.
        labels: (N,) int64; or (N, C) float, whose evidence adds up.
        layer: name of a layer that returns maps or tokens; None for the last stage of the network.

    Returns:
        (N, H, W) float32 with sum 1.

    Raises:
        ValueError: there is no such layer, it returns neither maps nor tokens, or the network is compiled.
    """
    inner = unwrapped(net)
    check_uncompiled(inner)
    name = hidden_layer_names(inner)[-1] if layer is None else layer
    kept: list[Tensor] = []

    def cut(values: Tensor) -> Tensor:
        kept.append(values.detach().requires_grad_())
        return kept[0].clone()  # layers behind it may overwrite what they get

    with frozen(inner), replaced_output(inner, name, cut):
        logits = inner(network_input(inner, images.detach().clone())).float()
        wanted = labels.clone()
        if not wanted.is_floating_point():
            wanted = F.one_hot(wanted, logits.shape[1])
        (gradient,) = torch.autograd.grad((logits * wanted).sum(), kept[0])
    evidence = _grid(
        (gradient * kept[0].detach()).float(), Layer(name, inner), images.shape[2] / images.shape[3]
    )
    return _shares(F.interpolate(evidence[:, None], images.shape[2:], mode="bilinear")[:, 0])


def _grid(values: Tensor, layer: Layer, aspect: float) -> Tensor:
    """Sum over the channels of maps or tokens, (N, h, w); the tokens of patches are the last ones."""
    summed = channels_first(values, layer)[0].sum(1)
    if summed.ndim == 3:
        return summed
    if summed.ndim != 2:
        raise UserError(
            f"layer {layer.name!r} must return maps (N, C, h, w) or tokens, got {tuple(values.shape)}"
        )
    prefix = max((getattr(part, "num_prefix_tokens", 0) for part in layer.net.modules()), default=0)
    tokens = summed.shape[1] - prefix
    rows = max(1, round((tokens * aspect) ** 0.5))
    if rows * (tokens // rows) != tokens:
        raise UserError(f"{tokens} tokens of layer {layer.name!r} make no grid of the images' aspect")
    return summed[:, prefix:].view(len(summed), rows, -1)


def _shares(maps: Tensor) -> Tensor:
    """Maps (N, H, W) above their minimum, with sum 1; equal ones where a map is flat."""
    risen = maps - maps.amin((1, 2), keepdim=True)
    total = risen.sum((1, 2), keepdim=True)
    flat = total <= torch.finfo(torch.float32).tiny
    return torch.where(flat, 1 / maps[0].numel(), risen / total.where(~flat, 1.0))


def shown_shares(kept: Tensor, got: Tensor, by_pixel: Tensor) -> Tensor:
    """``kept / (kept + got)``, (N,), what is shown of the class of a among what is of both;
    ``by_pixel`` where nothing is."""
    both = kept + got
    return torch.where(both > 1e-6, kept / both.clamp(min=1e-6), by_pixel).clamp(0, 1)
