from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_mix.cli.main import main
from ssl_mix.errors import UserError
from ssl_mix.evaluation import CORRUPTIONS, corrupt
from ssl_mix.runs.answered import answer_test_part
from ssl_mix.runs.trained import load_trained
from ssl_mix.suites import SUITES, Scene, SuiteOptions
from ssl_mix.suites.object_masks import box_image, mask_image

NAMES = ("corruption", "occlusion", "mixed")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = str(tmp_path_factory.mktemp("digits") / "run")
    main(
        [
            "train",
            "supervised",
            "--data",
            "digits",
            "--labels-per-class",
            "4",
            "--steps",
            "60",
            "--out",
            folder,
        ]
    )
    return Scene(answer_test_part(load_trained(Path(folder), "cpu")), SuiteOptions(limit=30))


def with_options(scene: Scene, **options: Any) -> Scene:
    return Scene(scene.answered, SuiteOptions(limit=30, **options))


def clean_accuracy(scene: Scene, rows: torch.Tensor) -> float:
    found = scene.answered
    return float((found.logits[rows].argmax(1) == found.labels[rows]).double().mean())


@pytest.mark.parametrize("name", NAMES)
def test_rows_have_numbers_and_a_figure_is_drawn(name: str, scene: Scene) -> None:
    few = Scene(scene.answered, SuiteOptions(limit=8))
    numbers = SUITES[name].measure(few)
    said = SUITES[name].rows(numbers)
    assert all(what and any(sign.isdigit() for sign in value) for what, value in said)
    assert SUITES[name].draw(numbers).axes
    assert numbers == SUITES[name].measure(few)  # draws are seeded


def test_corruption_counts_wrong_answers_by_kind_and_severity(scene: Scene) -> None:
    numbers, rows = SUITES["corruption"].measure(scene), scene.sample()
    assert len(rows) == numbers["images"] == 30 and numbers["test_images"] == 360
    assert numbers["clean_error"] == pytest.approx(1 - clean_accuracy(scene, rows))
    images = torch.cat([batch for batch, _ in scene.batches(rows)])
    for kind, severity in (("contrast", 5), ("gaussian_noise", 2)):
        changed = corrupt(images, kind, severity, torch.Generator().manual_seed(0))
        wrong = scene.logits(changed).argmax(1) != scene.answered.labels[rows]
        assert numbers["errors"][kind][severity - 1] == pytest.approx(float(wrong.double().mean()))
    assert numbers["mean_corruption_error"] == pytest.approx(np.mean(list(numbers["errors"].values())))
    assert numbers["mean_corruption_error"] > numbers["clean_error"]


def test_occlusion_begins_with_whole_images_and_ends_near_chance(scene: Scene) -> None:
    numbers, clean = SUITES["occlusion"].measure(scene), clean_accuracy(scene, scene.sample())
    orders = numbers["dropped"]["4"]
    assert set(orders) == {"random", "salient", "nonsalient", "center"} and numbers["shares"][0] == 0
    assert all(values[0] == pytest.approx(clean) for values in orders.values())
    assert all(values[-1] < clean - 0.2 for values in orders.values())
    assert numbers["shuffled"]["1"] == pytest.approx(clean) and numbers["shuffled"]["4"] < clean - 0.2


def test_mixed_is_computed_over_pairs_of_two_classes(scene: Scene) -> None:
    numbers, rows = SUITES["mixed"].measure(scene), scene.sample()
    labels = scene.answered.labels
    others = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
    kept = labels[rows] != labels[others]
    assert numbers["pairs"] == int(kept.sum())
    plain = [torch.cat([batch for batch, _ in scene.batches(part[kept])]) for part in (rows, others)]
    middle = (scene.normalized(plain[0]) + scene.normalized(plain[1])) / 2
    likeliest = scene.logits(middle).argmax(1)
    either = (likeliest == labels[rows][kept]) | (likeliest == labels[others][kept])
    found = numbers["mixed"]["mixup"]
    assert found["top1"][numbers["shares"].index(0.5)] == pytest.approx(float(either.double().mean()))
    assert all(len(values) == 9 for measures in numbers["mixed"].values() for values in measures.values())


def shifted(scene: Scene, folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The test images as files of CIFAR-C have them."""
    batches = [batch for batch, _ in scene.batches(torch.arange(len(scene.answered.labels)))]
    pixels = torch.cat(batches).permute(0, 2, 3, 1).numpy()
    labels = scene.answered.labels.numpy()
    folder.mkdir(exist_ok=True)
    np.save(folder / "labels.npy", np.concatenate([labels] * 5))
    return pixels, labels


def test_shifts_are_read_as_they_were_published(scene: Scene, tmp_path: Path) -> None:
    pixels, labels = shifted(scene, tmp_path)
    black = np.zeros_like(pixels)
    np.save(tmp_path / "fog.npy", np.concatenate([pixels, pixels, pixels, pixels, black]))
    np.save(tmp_path / "cifar10.1_v6_data.npy", pixels)
    np.save(tmp_path / "cifar10.1_v6_labels.npy", labels)
    np.savez(tmp_path / "cifar102_test.npz", images=pixels, labels=labels)
    scene = Scene(scene.answered, SuiteOptions(limit=1000, shifted=str(tmp_path)))
    numbers = SUITES["shifts"].measure(scene)
    found, clean = numbers["shifted"], numbers["accuracy"]
    assert list(found) == [*(f"fog, severity {level}" for level in range(1, 6)), "CIFAR-10.1", "CIFAR-10.2"]
    black_accuracy = found.pop("fog, severity 5")["accuracy"]
    assert all(part == {"images": 360, "accuracy": pytest.approx(clean)} for part in found.values())
    answer = int(scene.logits(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)).argmax())
    assert black_accuracy == pytest.approx(np.mean(labels == answer))
    assert SUITES["shifts"].draw(SUITES["shifts"].measure(scene)).axes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pixels, labels: (pixels[:, :7], labels), "expected uint8 images"),
        (lambda pixels, labels: (pixels.astype(np.float32), labels), "got float32"),
        (lambda pixels, labels: (pixels, labels[:-1]), "with a label each"),
        (lambda pixels, labels: (pixels, labels + 5), "beyond the 10 classes"),
    ],
)
def test_shifted_images_of_another_kind_are_refused(
    change: Any, message: str, scene: Scene, tmp_path: Path
) -> None:
    pixels, labels = change(*shifted(scene, tmp_path))
    np.save(tmp_path / "cifar10.1_v6_data.npy", pixels)
    np.save(tmp_path / "cifar10.1_v6_labels.npy", labels)
    with pytest.raises(UserError, match=message):
        SUITES["shifts"].measure(with_options(scene, shifted=str(tmp_path)))


@pytest.mark.parametrize(
    ("suite", "options", "message"),
    [
        ("shifts", {}, "`shifted=DIR`"),
        ("shifts", {"shifted": "."}, "holds no file of CIFAR"),
        ("attention", {}, "`masks=DIR`"),
        ("attention", {"masks": "."}, "belong to image files"),
    ],
)
def test_what_is_missing_is_named(
    suite: str,
    options: dict[str, str],
    message: str,
    scene: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        SUITES[suite].measure(with_options(scene, **options))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a vision transformer on photographs, with a mask and a box for each."""
    root = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("dark", "light"):
            place = root / part / name
            place.mkdir(parents=True)
            for number in range(3):
                pixels = draw.integers(256, size=(40, 60, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{name}{number}.png")
    for folder in ("masks", "boxes"):
        (root / folder).mkdir()
    for file in (root / "test").rglob("*.png"):
        mask = np.zeros((40, 60), dtype=np.uint8)
        mask[:, 10:30], mask[:, 30:33] = 7, 255  # the left half of the central square, and a rim
        Image.fromarray(mask).save(root / "masks" / file.name)
        edges = "<xmin>10</xmin><ymin>0</ymin><xmax>30</xmax><ymax>40</ymax>"
        size = "<size><width>60</width><height>40</height></size>"
        text = f"<annotation>{size}<object><bndbox>{edges}</bndbox></object></annotation>"
        (root / "boxes" / f"{file.stem}.xml").write_text(text)
    words = [
        "--train",
        str(root / "train"),
        "--test",
        str(root / "test"),
        "--image-size",
        "64",
        "--steps",
        "1",
    ]
    words += ["--net", "timm:test_vit", "--batch-size", "2", "--threads", "1", "--out", str(root / "run")]
    main(["train", "supervised", *words])
    return root


def test_attention_is_compared_with_masks_and_boxes(pictures: Path) -> None:
    options = SuiteOptions(masks=str(pictures / "masks"), boxes=str(pictures / "boxes"))
    scene = Scene(answer_test_part(load_trained(pictures / "run", "cpu")), options)
    numbers = SUITES["attention"].measure(scene)
    # Of 64 columns the object has 32, and a rim of 5 or so does not count.
    assert numbers["masks"]["images"] == numbers["boxes"]["images"] == 6
    assert numbers["masks"]["jaccard_of_all_pixels"] == pytest.approx(32 / (64 - 5), abs=0.02)
    assert numbers["boxes"]["iou_of_whole_image"] == pytest.approx(0.5, abs=0.02)
    assert 0 <= numbers["masks"]["jaccard"] <= 1 and len(numbers["boxes"]["scores"]) == 6
    assert len(SUITES["attention"].rows(numbers)) == 5 and len(SUITES["attention"].draw(numbers).axes) == 2


def test_a_network_without_attention_says_so(pictures: Path, tmp_path: Path) -> None:
    words = ["--train", str(pictures / "train"), "--test", str(pictures / "test"), "--image-size", "16"]
    main(["train", "supervised", *words, "--steps", "1", "--batch-size", "2", "--out", str(tmp_path / "run")])
    options = SuiteOptions(masks=str(pictures / "masks"))
    scene = Scene(answer_test_part(load_trained(tmp_path / "run", "cpu")), options)
    with pytest.raises(UserError, match="no vision transformer"):
        SUITES["attention"].measure(scene)


def test_masks_and_boxes_that_are_none_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "colors.png")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.xml").write_text("<annotation></annotation>")
    (tmp_path / "broken.xml").write_text("<annotation>")
    for name, read in (
        ("colors.png", mask_image),
        ("text.png", mask_image),
        ("empty.xml", box_image),
        ("broken.xml", box_image),
    ):
        with pytest.raises(UserError, match=name):
            read(tmp_path / name)
    assert len(CORRUPTIONS) == 15
