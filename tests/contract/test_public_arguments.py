"""Arguments of public names that are no tensors: of another kind, out of range, or nothing at all.

Each is refused in one sentence that names the argument, before anything is read, trained or written.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from public_scene import CLASSES, NETWORKS, built, bytes_of
from torch import nn

from ssl_mix import datasets, export, models, rebalance
from ssl_mix.errors import UserError
from ssl_mix.models import adapt, build_model

NAN = float("nan")
IMAGES, LABELS, NAMES = bytes_of(6), torch.arange(6) % 2, ("a", "b")
NET: Any = nn.Sequential(nn.Flatten(), nn.Linear(192, CLASSES))
RUN: Any = "run"


def split(**options: Any) -> datasets.Split:
    return datasets.choose_split(
        **{"labels": LABELS, "num_classes": 2, "seed": 0, "classes": NAMES, **options}
    )


def given(**options: Any) -> datasets.DataSet:
    return datasets.as_dataset((IMAGES, LABELS), **options)


def tensors(**options: Any) -> datasets.DataSet:
    return datasets.tensor_data((torch.zeros(6, 3), LABELS), **options)


def index(**options: Any) -> datasets.ShuffledIndex:
    return datasets.ShuffledIndex(**{"index": [0, 1], "batch_size": 2, "seed": 0, "stream": "own", **options})


def streamed(**options: Any) -> datasets.StreamedImages:
    return datasets.StreamedImages(**{"items": IMAGES, "shape": (3, 16, 16), "workers": 0, **options})


Call = Callable[..., Any]
WRONG: list[tuple[Call, str, list[Any]]] = [
    *(
        (network, "num_classes", [0, -1, 1.5, "3", NAN, None])
        for network in (models.SmallCNN, models.PreActResNet18)
    ),
    (lambda channels: models.SmallCNN(5, channels=channels), "channels", [0, 1.5, None]),
    (lambda width: models.WideResNet(width, 5), "width", [0, 1.5, "x"]),
    (lambda first_block: models.WideResNet(1, 5, first_block=first_block), "first_block", ["x", 3]),
    (adapt, "net", [3, None, models.SmallCNN, "resnet18"]),
    (lambda head: adapt(NET, head), "head", ["fc", 3]),
    (lambda name: build_model(name, 5), "network|name", ["smal-cnn", 3, None]),
    (lambda image_size: build_model("small-cnn", 5, image_size=image_size), "image_size", [-3, "x", 1.5]),
    (
        lambda bn_momentum: build_model("small-cnn", 5, bn_momentum=bn_momentum),
        "bn_momentum",
        [7.0, NAN, "x"],
    ),
    (lambda pretrained: build_model("small-cnn", 5, pretrained=pretrained), "pretrained", ["x", 3]),
    (models.default_network, "image_size", [0, -5, NAN, "x", None]),
    (models.is_network, "name", [3, None]),
    (rebalance.build_addon, "name", ["dasso", 3, None]),
    (lambda name: rebalance.check_addon(name, "F", False, True, True, False), "name", ["dasso"]),
    (
        lambda labels: split(labels=labels),
        "labels",
        [LABELS.float(), LABELS[:, None], LABELS[0], LABELS > 0, None],
    ),
    (lambda per_class: split(per_class=per_class), "number of labels|per_class", [-1, 0, "x", 1.5]),
    (lambda rate: split(rate=rate), "rate", [NAN, 0.0, 2.0, "x"]),
    (lambda validation: split(validation=validation), "validation", [NAN, 1.0, -0.5, "x"]),
    (lambda listed: split(listed=listed), "listed", [[99], ["x"], [0.5], 3]),
    (lambda imbalance: split(per_class=1, imbalance=imbalance), "imbalance", [NAN, 0.5, "x"]),
    (lambda foreign: split(imbalance_unlabeled=2.0, foreign=foreign), "foreign", [[1], "x"]),
    (lambda index_: index(index=index_), "index", [[0.5], ["x"], torch.ones(2, 2).long(), None, 3]),
    (lambda batch_size: index(batch_size=batch_size), "batch_size", [0, 1.5, "x", NAN]),
    (lambda items: streamed(items=items), "items", [None, 3, iter(IMAGES)]),
    (
        lambda shape: next(streamed(shape=shape).batches([LABELS], torch.device("cpu"))),
        "shape",
        [8, (8, 8), (3, 9, 9)],
    ),
    (lambda workers: streamed(workers=workers), "workers", [-1]),
    (
        lambda digests: datasets.ImageSet(datasets.ResidentImages(IMAGES), LABELS, None, digests),
        "digests",
        [(b"",)],
    ),
    (
        lambda train: datasets.DataSet("own", NAMES, train, None, given().augmentation),
        "DataSet",
        [None, IMAGES],
    ),
    (lambda classes: given(classes=classes), "classes", [3, "ab", [1, 2]]),
    (lambda image_size: given(image_size=image_size), "image_size", [0, "x", 8.5]),
    (lambda fit: given(fit=fit), "fit", ["x", None]),
    (lambda drop_copies: given(drop_copies=drop_copies), "drop_copies", ["x", True]),
    (lambda weak: given(weak=weak), "weak", [3, "flip"]),
    (lambda mean: given(mean=mean), "mean", [[NAN] * 3, [118.0] * 3, 0.5, ["x"] * 3]),
    (lambda std: given(std=std), "std", [[0.0] * 3, [0.5] * 2]),
    (lambda workers: given(workers=workers), "workers", [-1, 1.5, "x"]),
    (lambda memory_budget: given(memory_budget=memory_budget), "memory_budget", ["x", 1.5]),
    (lambda progress: given(progress=progress), "progress", [3]),
    (lambda labels: datasets.as_dataset((IMAGES, labels)), "label", [torch.tensor([0] * 5 + [10**12]), 3]),
    (lambda classes: tensors(classes=classes), "classes", [3, "ab"]),
    (lambda strong: tensors(strong=strong), "strong", [3, "noise"]),
    (
        lambda labeled: datasets.tensor_data(labeled),
        "labeled",
        [None, (None, LABELS), (IMAGES, None), IMAGES, (IMAGES, 3)],
    ),
    (lambda path: datasets.decode(path, 8), "path", [3, None]),
    (lambda size: datasets.decode("none.png", size), "size", [0, -1, "x", 1.5]),
    (lambda fit: datasets.decode("none.png", 8, fit=fit), "fit", ["x"]),
    (lambda paths: datasets.decode_all(paths, 8), "paths", [3, "none.png"]),
    (datasets.list_images, "folder", [Path("nowhere"), 3, "."]),
    (lambda train: datasets.load_folder(train, image_size=8), "train|folder", [3, "train", Path("nowhere")]),
    (lambda labeled: datasets.load_two_folders(labeled, Path(), image_size=8), "labeled", [3, "labeled"]),
    (datasets.load_table, "table", ["t.csv", None, Path("t.png")]),
    (lambda name: datasets.load_cifar(name, Path()), "name", ["cifar", 3]),
    *(
        (load, "data_dir", [3, "."])
        for load in (datasets.load_cifar10, datasets.load_stl10, datasets.load_svhn)
    ),
    *((load, "data_dir", [3, "."]) for load in (datasets.load_cifar100, *datasets.FINE_GRAINED.values())),
    (lambda data: datasets.read_label_list(Path("l.txt"), data), "data", [None, 3]),
    (lambda path: datasets.read_label_list(path, given()), "path", [3, "l.txt"]),
    *(
        (lambda trained, to=to: to(trained, "onnx", "x.onnx"), "trained", [RUN, NET, None])
        for to in (export.export,)
    ),
    (lambda trained: export.export_int8(trained, "static", "x.onnx"), "trained", [RUN, NET, None]),
]
CASES = [(call, named, value) for call, named, values in WRONG for value in values]


@pytest.mark.parametrize(
    ("call", "named", "value"), CASES, ids=[f"{named}-{number}" for number, (_, named, _) in enumerate(CASES)]
)
def test_refused_by_name(
    call: Call, named: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = torch.get_rng_state()
    with pytest.raises(UserError, match=named) as refused:
        call(value)
    text = str(refused.value)
    assert 20 < len(text) < 400 and "\n" not in text, text
    assert torch.equal(before, torch.get_rng_state()) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"PreActResNet18"}))  # which is as the others
def test_networks_compute_in_every_width_and_on_another_device(name: str) -> None:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    net = copy.deepcopy(built(name))
    expected = net(images)
    for dtype, tolerance in ((torch.float64, 1e-4), (torch.bfloat16, 0.1)):
        found = net.to(dtype)(images.to(dtype))
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)
    there = net.to("meta")(images.to("meta", torch.bfloat16))
    assert there.device.type == "meta" and there.shape == expected.shape
