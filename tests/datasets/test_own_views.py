"""Views by the user's own transforms: what they see, how they draw, and that runs resume with them."""

import os
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from ssl_mix import UserError
from ssl_mix.algorithms import FixMatch, Supervised
from ssl_mix.datasets import DataSet, as_dataset, choose_split, load_digits_data
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.feed import Feed
from ssl_mix.engine.trainer import Trainer
from ssl_mix.models import build_model
from ssl_mix.randomness import stream_seed

REAL = Path(os.environ.get("SSL_MIX_DATA", "")) / "caltech50"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason="needs SSL_MIX_DATA")
CPU = torch.device("cpu")
DIGITS = load_digits_data()
IMAGES = next(DIGITS.train.images.batches([torch.arange(300)], CPU))
LABELS = DIGITS.train.labels[:300]
CROP = v2.Compose(
    [
        v2.RandomResizedCrop(8, scale=(0.4, 1.0)),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize((0.5,), (0.25,)),
    ]
)
CONFIG = TrainConfig(steps=6, batch_size=4, device="cpu", log_every=1)


def noisy(image: Tensor) -> Tensor:
    """Draws from all three generators."""
    shift = random.random() + np.random.rand()
    return image / 255 + torch.rand(image.shape) + shift


def data_set(workers: int = 0, **options: Any) -> DataSet:
    return as_dataset((IMAGES, LABELS), workers=workers, **options)


def feed_of(data: DataSet, algorithm: Any = None) -> Feed:
    split = choose_split(data.train.labels, len(data.classes), per_class=2, seed=0, classes=data.classes)
    return Feed(algorithm or FixMatch(), data, split, CONFIG, CPU)


def views(data: DataSet, start: int = 0, stop: int = 4) -> list[Tensor]:
    """All views of those steps, labeled and unlabeled ones."""
    feed = feed_of(data)
    found = []
    for step, raw in zip(range(start, stop), feed.batches(start), strict=False):
        batch = feed.augment(raw, step)
        assert batch.unlabeled is not None
        found += [batch.labeled.views["weak"], *(batch.unlabeled.views[name] for name in ("weak", "strong"))]
    return found


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize("transform", [CROP, noisy])
def test_views_are_the_same_with_any_number_of_workers(transform: Any) -> None:
    alone = views(data_set(0, weak=transform, strong=transform))
    assert equal(alone, views(data_set(1, weak=transform, strong=transform)))
    assert equal(alone, views(data_set(2, weak=transform, strong=transform)))


def test_views_begin_anew_at_any_step() -> None:
    data = data_set(strong=noisy)
    assert equal(views(data, 0, 5)[6:], views(data, 2, 5))


def test_views_are_what_the_transform_gives_from_the_seed_of_run_part_step_place_and_view() -> None:
    data = data_set(2, strong=noisy)
    feed = feed_of(data)
    raw = next(islice(feed.batches(0), 3, None))
    assert raw.unlabeled is not None
    found = raw.unlabeled.views["strong"]
    for slot, position in enumerate(raw.unlabeled.positions):
        seed = stream_seed(CONFIG.seed, f"unlabeled/strong/{slot}", 3)
        torch.manual_seed(seed), np.random.seed(seed % 2**32), random.seed(seed)
        assert torch.equal(found[slot], noisy(IMAGES[feed.unlabeled[position]]))


def test_views_of_a_kind_are_drawn_each_by_itself() -> None:
    own = data_set(strong=noisy).own_views
    assert own is not None and own.makes("strong2") and not own.makes("weak") and not own.makes("plain")
    batch = torch.tensor([3, 3])
    made = next(own.batches(("strong", "strong2"), [batch], seed=0, part="labeled"))
    assert made["strong"].shape == (2, 1, 8, 8) and made["strong"].dtype == torch.float32
    drawn = torch.cat([made["strong"], made["strong2"]])
    for part, start, seed in (("unlabeled", 0, 0), ("labeled", 1, 0), ("labeled", 0, 1)):
        drawn = torch.cat(
            [drawn, next(own.batches(("strong",), [batch], seed=seed, part=part, start=start))["strong"]]
        )
    assert len(drawn.flatten(1).unique(dim=0)) == len(drawn) == 10


def test_views_without_a_transform_stay_to_the_bit() -> None:
    ordinary, mixed = views(data_set()), views(data_set(strong=noisy))
    for number, (one, other) in enumerate(zip(ordinary, mixed, strict=True)):
        assert torch.equal(one, other) == (number % 3 != 2)
    assert data_set().own_views is None


def test_no_image_is_stored_for_nothing() -> None:
    raw = next(feed_of(data_set(weak=noisy, strong=noisy)).batches(0))
    assert raw.labeled.images is None and raw.labeled.views.keys() == {"weak"}


def test_global_random_states_and_threads_stay_as_they_are() -> None:
    before = (
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_num_threads(),
    )  # type: ignore[union-attr]
    views(data_set(0, weak=CROP, strong=noisy))
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2] and torch.get_num_threads() == before[3]  # type: ignore[union-attr]


def test_a_transform_may_change_its_image_in_place() -> None:
    data = data_set(weak=lambda image: image.zero_() / 255)
    views(data)
    assert torch.equal(next(data.train.images.batches([torch.arange(300)], CPU)), IMAGES)
    assert IMAGES.any()


@pytest.mark.parametrize("algorithm", [FixMatch, Supervised])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_resumes_to_the_bit(algorithm: Callable[[], Any], workers: int) -> None:
    data = data_set(workers, weak=CROP, strong=noisy, mean=(0.5,), std=(0.25,))
    split = choose_split(data.train.labels, 10, per_class=2, seed=0, classes=data.classes)

    def trainer() -> Trainer:
        torch.manual_seed(0)
        return Trainer(algorithm(), build_model("small-cnn", 10, channels=1), data, split, CONFIG)

    whole, first, second = trainer(), trainer(), trainer()
    list(whole.fit())
    for record in first.fit():
        first.stop = record["step"] == 3
    second.load_state_dict(first.state_dict())
    assert second.step == 3
    list(second.fit())
    for name, weight in whole.student.state_dict().items():
        assert torch.equal(weight, second.student.state_dict()[name]), name


def size_of(image: Image.Image) -> Tensor:
    """An image filled with the width of what it is given."""
    return torch.full((3, 12, 12), float(image.width))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for number in range(4):
            noise = np.random.default_rng([label, number]).integers(
                0, 256, (20, 40 + 4 * label + number), dtype=np.uint8
            )
            Image.fromarray(noise).save(tmp_path / name / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("budget", [None, 0])
def test_transforms_see_the_images_as_they_were_given(photographs: Path, budget: int | None) -> None:
    (photographs / "cat/1.png").write_bytes(b"no image")
    data = as_dataset(photographs, weak=size_of, memory_budget=budget, workers=0)
    assert data.train.images.shape == (3, 12, 12)  # what the transform gives decides
    assert data.own_views is not None
    made = next(data.own_views.batches(("weak",), [torch.arange(7)], seed=0, part="labeled"))["weak"]
    assert made[:, 0, 0, 0].tolist() == [40, 42, 43, 44, 45, 46, 47]


def test_pillow_images_of_a_dataset_and_tensors_of_arrays(photographs: Path) -> None:
    seen: list[str] = []

    def note(image: Any) -> Tensor:
        seen.append(image.mode if isinstance(image, Image.Image) else f"{image.dtype} {tuple(image.shape)}")
        return torch.zeros(3 if seen[-1] == "RGB" else 1, 8, 8)

    files = [(file, file.parent.name) for file in sorted(photographs.rglob("*.png"))]
    as_dataset(files, weak=note, workers=0)
    as_dataset(ImageFolder(photographs), weak=note, workers=0)
    as_dataset(ImageFolder(photographs, loader=Image.open), weak=note, workers=0)
    as_dataset(TensorDataset(IMAGES, LABELS), weak=note, workers=0)
    as_dataset((IMAGES, LABELS), weak=note, workers=0)
    assert seen == ["RGB", "RGB", "L", "torch.uint8 (1, 8, 8)", "torch.uint8 (1, 8, 8)"]


def test_the_fingerprint_sees_which_views_are_own_ones() -> None:
    found = {data_set(**own).fingerprint() for own in ({}, {"weak": noisy}, {"strong": noisy})}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"weak": lambda image: image},
            r"weak: expected a transform .* float tensor \(1, h, w\), got torch.uint8 \(1, 8, 8\)",
        ),
        ({"weak": lambda image: image.numpy()}, "got ndarray"),
        (
            {"strong": lambda image: image.expand(3, 8, 8) / 255},
            r"strong: .* \(1, h, w\), got torch.float32 \(3, 8, 8\)",
        ),
        (
            {"weak": lambda image: image[:, :6] / 255},
            "weak: expected a transform that gives 6x6 pixels, .* got 6x8",
        ),
        (
            {"weak": noisy, "image_size": 16},
            "weak: expected a transform that gives 16x16 pixels, as `image_size` .* got 8x8",
        ),
    ],
)
def test_transforms_that_give_something_else(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        data_set(**options)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_transform_that_gives_another_size_later(workers: int) -> None:
    def odd(image: Tensor) -> Tensor:
        side = 8 if torch.equal(image, IMAGES[0]) else 7
        return image[:, :side, :side] / 255

    with pytest.raises(
        UserError, match=r"weak: expected a transform .* \(1, 8, 8\), got torch.float32 \(1, 7, 7\)"
    ):
        views(data_set(workers, weak=odd))


@needs_data
def test_real_photographs_through_randaugment_of_torchvision() -> None:
    normalize = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,) * 3, (0.25,) * 3)]
    strong = v2.Compose([v2.RandomResizedCrop(48), v2.RandAugment(), v2.ColorJitter(0.4, 0.4), *normalize])
    names = sorted(entry.name for entry in (REAL / "test").iterdir())[:3]
    files = [(file, name) for name in names for file in sorted((REAL / "test" / name).iterdir())[:6]]
    given: dict[str, Any] = {"strong": strong, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    found = [views(as_dataset(files, workers=workers, **given), 0, 1) for workers in (0, 2)]
    assert equal(*found) and found[0][2].shape[1:] == (3, 48, 48)
