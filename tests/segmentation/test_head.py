"""Heads against the paper's formulas in float64, features against timm's own way to them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import timm
import torch
from scipy.special import erf
from timm.layers import resample_abs_pos_embed
from torch import nn

from ssl_mix.errors import UserError
from ssl_mix.models import adapt, build_model
from ssl_mix.segmentation import MaskTransformer, SegmentationHead
from ssl_mix.segmentation.encoder import dense_features, fit_to

Array = npt.NDArray[np.float64]


def normed(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * weight + bias


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def mask_transformer(state: dict[str, Any], features: Array, heads: int) -> Array:
    """Segmenter's decoder, sections 3.1 and 3.2 of the paper, one image (D, h, w) at a time."""
    p = {name: value.double().numpy() for name, value in state.items()}

    def linear(name: str, x: Array) -> Array:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(name: str, x: Array) -> Array:
        return normed(x, p[f"{name}.weight"], p[f"{name}.bias"], 1e-5)

    width, height, breadth = features.shape
    tokens = np.concatenate((linear("project", features.reshape(width, -1).T), p["classes"][0]))
    for n in range(2):
        query, key, value = np.split(linear(f"blocks.{n}.attn.qkv", norm(f"blocks.{n}.norm1", tokens)), 3, 1)
        answers = []
        for h in range(heads):
            part = slice(h * width // heads, (h + 1) * width // heads)
            weights = softmax(query[:, part] @ key[:, part].T / np.sqrt(width // heads))
            answers.append(weights @ value[:, part])
        tokens = tokens + linear(f"blocks.{n}.attn.proj", np.concatenate(answers, 1))
        hidden = linear(f"blocks.{n}.mlp.fc1", norm(f"blocks.{n}.norm2", tokens))
        tokens = tokens + linear(f"blocks.{n}.mlp.fc2", hidden * (1 + erf(hidden / np.sqrt(2))) / 2)
    tokens = norm("norm", tokens)
    places, classes = tokens[: height * breadth], tokens[height * breadth :]
    places, classes = places @ p["patch_projection"], classes @ p["class_projection"]
    places = places / np.linalg.norm(places, axis=1, keepdims=True)
    classes = classes / np.linalg.norm(classes, axis=1, keepdims=True)
    return norm("mask_norm", places @ classes.T).T.reshape(-1, height, breadth)


def test_the_mask_transformer_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    head = MaskTransformer(128, 5).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        features = torch.randn(2, 128, 3, 4)
        found = head(features)
    for image, logits in zip(features, found, strict=True):
        expected = mask_transformer(head.state_dict(), image.double().numpy(), heads=2)
        assert np.abs(logits.numpy() - expected).max() < 1e-4


def test_the_linear_head_is_one_layer_for_all_places() -> None:
    head, features = SegmentationHead("linear", 6, 3), torch.randn(2, 6, 4, 5)
    layer = head.decoder
    expected = torch.einsum("ndhw,cd->nchw", features, layer.weight[:, :, 0, 0]) + layer.bias[:, None, None]
    torch.testing.assert_close(head(features), expected)
    with pytest.raises(UserError, match="head must be one of linear, mask-transformer"):
        SegmentationHead("round", 6, 3)


@pytest.mark.parametrize("kind", ["linear", "mask-transformer"])
def test_a_head_learns_what_features_tell(kind: Any) -> None:
    torch.manual_seed(0)
    truth = torch.randint(4, (8, 5, 5))
    means = torch.randn(4, 32)
    features = means[truth].permute(0, 3, 1, 2) + 0.3 * torch.randn(8, 32, 5, 5)
    head = SegmentationHead(kind, 32, 4)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(head(features), truth).backward()
        optimizer.step()
    assert (head.eval()(features).argmax(1) == truth).float().mean() > 0.97


def test_patches_are_in_their_places_and_positions_are_interpolated() -> None:
    torch.manual_seed(0)
    body = timm.create_model("test_vit", img_size=64, num_classes=3).eval()
    before, images = body.pos_embed.detach().clone(), torch.randn(2, 3, 96, 96)
    assert fit_to(adapt(body), 96) == 64
    torch.testing.assert_close(body.pos_embed, resample_abs_pos_embed(before, [6, 6], [4, 4]))
    with torch.no_grad():
        _, [expected] = body.forward_intermediates(images, indices=1, norm=True)
        torch.testing.assert_close(dense_features(adapt(body), images), expected)


def test_convolutional_networks_give_their_last_map() -> None:
    net = build_model("timm:test_resnet", 3).eval()
    width = fit_to(net, 64)
    with torch.no_grad():
        found, pooled = dense_features(net, torch.ones(1, 3, 64, 64)), net.features(torch.ones(1, 3, 64, 64))
    assert found.shape[1] == width
    torch.testing.assert_close(found.mean(dim=(2, 3)), pooled)


class Outside(nn.Module):
    """A network of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match=r"needs a network of timm.*Outside is none"):
        fit_to(Outside(), 32)
    with pytest.raises(UserError, match="multiple of the 16 pixels of a patch .* got 100: take 96"):
        fit_to(build_model("timm:test_vit", 3, image_size=32), 100)
    with pytest.raises(UserError, match="takes 1"):
        fit_to(build_model("timm:test_vit", 3, channels=1, image_size=32), 32)
    with pytest.raises(UserError, match="reads the patches of a ViT, or a feature map"):
        fit_to(build_model("timm:test_mambaout", 3), 32)
