"""Crops and measures of an evaluation, against torchvision and scikit-learn."""

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor, nn
from torchvision.transforms import v2

from ssl_mix import UserError
from ssl_mix.augment import Augmentation
from ssl_mix.datasets import ResidentImages
from ssl_mix.evaluation import accuracy, mean_class_accuracy, predict_probabilities

CPU = torch.device("cpu")
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 22 * 22, 5)).eval()


def stored(size: int = 28) -> Tensor:
    drawn = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (7, 3, size, size), dtype=torch.uint8, generator=drawn)


def normalized(images: Tensor) -> Tensor:
    return v2.functional.normalize(images.float() / 255, list(MEAN), list(STD))


@torch.no_grad()
@pytest.mark.parametrize("flip", [True, False])
def test_probabilities_of_crops_are_those_of_torchvisions(flip: bool) -> None:
    net, images = network(), stored()
    wanted = Augmentation(MEAN, STD, flip=flip, size=24)
    center = net(normalized(v2.CenterCrop(24)(images))).softmax(1)
    found = predict_probabilities(net, ResidentImages(images), wanted, CPU)
    torch.testing.assert_close(found, center, rtol=1e-4, atol=1e-5)
    peer = v2.TenCrop(24) if flip else v2.FiveCrop(24)
    ten = torch.stack([net(normalized(crop)) for crop in peer(images)]).mean(0).softmax(1)
    found = predict_probabilities(net, ResidentImages(images), wanted, CPU, crops="ten")
    torch.testing.assert_close(found, ten, rtol=1e-4, atol=1e-5)
    assert (ten - center).abs().max() > 0.01
    some = torch.tensor([4, 1])
    part = predict_probabilities(net, ResidentImages(images), wanted, CPU, indices=some, crops="ten")
    torch.testing.assert_close(part, ten[some], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [None, 24])
def test_pictures_without_a_margin_have_no_ten_crops(size: int | None) -> None:
    with pytest.raises(UserError, match="larger than the 24x24 pixels .* `crops=center`"):
        source, wanted = ResidentImages(stored(24)), Augmentation(MEAN, STD, size=size)
        predict_probabilities(network(), source, wanted, CPU, crops="ten")


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@pytest.mark.parametrize("occurring", [6, 4])
def test_the_mean_of_classes_is_sklearns_balanced_accuracy(occurring: int) -> None:
    drawn = torch.Generator().manual_seed(2)
    labels = (occurring * torch.rand(300, generator=drawn) ** 2).long()
    probabilities = (torch.rand(300, 6, generator=drawn) + 0.5 * nn.functional.one_hot(labels, 6)).softmax(1)
    expected = balanced_accuracy_score(labels.numpy(), probabilities.argmax(1).numpy())
    assert mean_class_accuracy(probabilities, labels) == pytest.approx(expected, abs=1e-12)
    assert expected != pytest.approx(accuracy(probabilities, labels), abs=1e-3)
