"""Features of stored images: those of one image at a time, whatever the mode and the batches."""

import dataclasses

import torch

from ssl_mix.augment import Augmentation
from ssl_mix.datasets import ResidentImages
from ssl_mix.evaluation import plain_features
from ssl_mix.models import SmallCNN

CPU = torch.device("cpu")
GRAY = Augmentation(mean=(0.4,), std=(0.2,))


def images(count: int, side: int = 12) -> ResidentImages:
    draws = torch.Generator().manual_seed(0)
    return ResidentImages(torch.randint(256, (count, 1, side, side), generator=draws, dtype=torch.uint8))


def net() -> SmallCNN:
    torch.manual_seed(0)
    made = SmallCNN(3, channels=1)
    made.train()(torch.randn(8, 1, 12, 12))  # statistics that are not those of the start
    return made


def test_features_are_those_of_each_image_alone() -> None:
    made, stored = net(), images(70)
    found = plain_features(made, stored, GRAY, CPU)
    assert found.shape == (70, 64) and found.dtype == torch.float32 and not found.is_inference()
    made.eval()
    for place in (0, 31, 32, 69):
        alone = ((stored.images[place : place + 1] / 255) - 0.4) / 0.2
        torch.testing.assert_close(found[place], made.features(alone)[0], rtol=1e-4, atol=1e-5)


def test_the_mode_and_the_statistics_stay() -> None:
    made = net()
    made.blocks[0].eval()
    before = [module.training for module in made.modules()]
    state = {name: value.clone() for name, value in made.state_dict().items()}
    plain_features(made, images(5), GRAY, CPU)
    assert [module.training for module in made.modules()] == before
    assert all(torch.equal(value, state[name]) for name, value in made.state_dict().items())


def test_some_images_in_an_order_of_their_own_and_none() -> None:
    made, stored = net(), images(40)
    every = plain_features(made, stored, GRAY, CPU)
    wanted = torch.tensor([39, 3, 3, 17])
    torch.testing.assert_close(plain_features(made, stored, GRAY, CPU, indices=wanted), every[wanted])
    assert plain_features(made, stored, GRAY, CPU, indices=wanted[:0]).shape == (0, 64)


def test_of_larger_images_the_center_is_seen_and_progress_is_told() -> None:
    made, stored, told = net(), images(33, side=16), []
    seen = dataclasses.replace(GRAY, size=12)
    found = plain_features(made, stored, seen, CPU, progress=lambda done, total: told.append((done, total)))
    center = ResidentImages(stored.images[:, :, 2:14, 2:14].contiguous())
    torch.testing.assert_close(found, plain_features(made, center, GRAY, CPU))
    assert told == [(32, 33), (33, 33)]
