"""What a process shares is after every call of the library as it was before it: generators, threads, modes,
warnings, the environment, logging, signals."""

import logging
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mixer_scene import net_for
from shared_state import changes, shared_state
from torch import nn
from torch.utils.data import TensorDataset

import ssl_mix
from ssl_mix import SemiSupervisedClassifier, Teacher, TrainConfig, Trainer
from ssl_mix.algorithms import CoTuning, FixMatch, Supervised
from ssl_mix.cli.main import main
from ssl_mix.datasets import as_dataset, choose_split, load_digits_data
from ssl_mix.evaluation import plain_features, predict_probabilities
from ssl_mix.losses import DecoupledMixupLoss
from ssl_mix.mixers import MIXERS, build_mixer
from ssl_mix.models import adapt, build_model
from ssl_mix.models.pretrained import keep_source_head, load_pretrained
from ssl_mix.transfer.relationship import learn_relationship
from ssl_mix.transfer.starts import probe, prototypes
from ssl_mix.types import MixedTarget

SIZE, CLASSES = 16, 3
IMAGES = np.random.default_rng(0).integers(0, 256, (24, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.where(np.arange(24) < 12, np.arange(24) % CLASSES, -1)
QUICK: dict[str, Any] = {"steps": 3, "batch_size": 4, "eval_every": 2, "log_every": 1, "threads": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run."""
    out = tmp_path_factory.mktemp("shared") / "run"
    test = (IMAGES[:12], LABELS[:12])
    ssl_mix.fit("fixmatch", (IMAGES, LABELS), test=test, net="small-cnn", out=out, **QUICK)
    return out


def random_view(image: Any) -> Any:
    """A transform that draws from every generator."""
    shift = random.random() + np.random.rand() + torch.rand(()).item()
    return (image.float() / 255 + shift).clamp(0, 3)


def linear(width: int, classes: int) -> nn.Linear:
    """A layer of zeros, for which nothing is drawn."""
    layer = torch.nn.utils.skip_init(nn.Linear, width, classes)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def trainer(algorithm: Any = None, **config: Any) -> Trainer:
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)
    torch_state = torch.get_rng_state()
    net = build_model("small-cnn", 10, channels=1)
    torch.set_rng_state(torch_state)  # an own call draws the weights of this network, as it should
    keep_source_head(net, linear(64, 7))
    return Trainer(algorithm or FixMatch(), net, data, split, TrainConfig(**{**QUICK, **config}))


def steps(found: Trainer) -> None:
    batches = found.feed.batches(0)
    for _ in range(2):
        found.train_step(next(batches))
    found.evaluate()
    found.load_state_dict(found.state_dict())


def one_record(found: Trainer) -> None:
    """Not to the end: the state must be as before while a record is looked at, too."""
    before = shared_state()
    for _ in found.fit():
        assert changes(before, shared_state()) == {}
        break


def mix(name: str) -> None:
    draws = torch.Generator().manual_seed(0)
    mixer = build_mixer(name)
    state = torch.get_rng_state()
    net = net_for(mixer, CLASSES)
    mixer.prepare(net, (3, 32, 32))  # draws weights, where a mixer has some, as any module does
    torch.set_rng_state(state)
    images, labels = torch.zeros(4, 3, 32, 32), torch.arange(4) % CLASSES
    if mixer.hidden:
        with mixer.applied(net, images, labels, generator=draws) as mixed:
            net(mixed.images)
    else:
        mixer.mix_batch(images, labels, net=net, generator=draws)


def criterion() -> None:
    loss = DecoupledMixupLoss(eta=0.1)
    logits = torch.zeros(4, CLASSES, requires_grad=True)
    target = MixedTarget(torch.arange(4) % 3, torch.arange(4).flip(0) % 3, torch.full((4,), 0.3))
    loss(logits, target).backward()


def classify() -> None:
    options = {"batch_size": 4, "eval_every": 1}
    found = SemiSupervisedClassifier("fixmatch", net="small-cnn", steps=2, options=options)
    found.fit(IMAGES, LABELS)
    found.predict(IMAGES[:2])
    found.score(IMAGES[:12], LABELS[:12])


def relate() -> None:
    features, labels = torch.eye(12), torch.arange(12) % CLASSES
    probe(features, labels, CLASSES)
    prototypes(features, labels, features[:5], CLASSES)
    learn_relationship(torch.full((12, 2), 0.5), labels, CLASSES)


def measure() -> None:
    data, net = load_digits_data(), nn.Sequential(nn.Flatten(), linear(64, 10))
    assert data.test is not None
    predict_probabilities(net, data.test.images, data.augmentation, torch.device("cpu"))
    plain_features(adapt(net), data.test.images, data.augmentation, torch.device("cpu"))
    Teacher(net).update(0)


def own_views(tmp: Path) -> None:
    data = as_dataset((IMAGES, LABELS), weak=random_view, strong=random_view, mean=[0.5] * 3, std=[0.5] * 3)
    split = choose_split(data.train.labels, CLASSES, seed=0, classes=data.classes)
    state = torch.get_rng_state()
    net = build_model("small-cnn", CLASSES)
    torch.set_rng_state(state)
    list(Trainer(FixMatch(), net, data, split, TrainConfig(**QUICK)).fit())


def from_files(tmp: Path) -> None:
    state = torch.get_rng_state()
    net = build_model("timm:test_resnet", CLASSES)
    torch.set_rng_state(state)
    torch.save({"state_dict": net.state_dict(), "args": Path("x")}, tmp / "w.pt")
    load_pretrained(net, tmp / "w.pt")
    options = {**QUICK, "tune": "head", "feature_views": 1}
    ssl_mix.fit("fine-tuning", (IMAGES, LABELS), net=net, image_size=32, out=tmp / "run", **options)


def by_words(tmp: Path) -> None:
    words = "train fixmatch --data digits --labels 40 --net small-cnn --steps 2 --batch-size 4 --out"
    main([*words.split(), str(tmp / "run")])
    main(["evaluate", str(tmp / "run"), "--json"])
    with pytest.raises(SystemExit):
        main(["train", "nothing"])


def refused(tmp: Path) -> None:
    """Mistakes, which end a call in the middle."""
    for options in ({"threshold": 2.0}, {"net": "timm:no"}, {"device": "cuda:77"}, {"image_size": 3}):
        with pytest.raises(ValueError):
            ssl_mix.fit("fixmatch", (IMAGES, LABELS), out=tmp / "run", **{**QUICK, **options})


CALLS: dict[str, Callable[[Path, Path], Any]] = {
    "fit": lambda tmp, _: ssl_mix.fit("mixmatch", (IMAGES, LABELS), out=tmp, net="small-cnn", **QUICK),
    "fit from a Dataset": lambda tmp, _: ssl_mix.fit(
        "fixmatch",
        TensorDataset(torch.from_numpy(IMAGES).permute(0, 3, 1, 2), torch.from_numpy(LABELS)),
        net="small-cnn",
        out=tmp,
        workers=1,
        **QUICK,
    ),
    "load and use": lambda _, run: [
        (found := ssl_mix.load(run)).predict(IMAGES),
        found.predict_proba(IMAGES),
        found.evaluate((IMAGES[:12], LABELS[:12])),
        found.pseudo_labels(),
    ],
    "auto": lambda tmp, _: ssl_mix.auto(
        data="digits",
        net="small-cnn",
        pretrained="none",
        labels_per_class=2,
        feature_views=1,
        out=tmp,
        steps=3,
    ),
    "trainer": lambda *_: steps(trainer()),
    "trainer, own beginning": lambda *_: list(trainer(CoTuning()).fit()),
    "trainer in float16": lambda *_: list(trainer(Supervised(), amp="fp16", accumulate=2).fit()),
    "trainer, left early": lambda *_: one_record(trainer()),
    "compiled": lambda *_: list(trainer(Supervised(), compile=True).fit()),
    "classifier": lambda *_: classify(),
    "own views": lambda tmp, _: own_views(tmp),
    "weights": lambda tmp, _: from_files(tmp),
    "losses": lambda *_: criterion(),
    "starts": lambda *_: relate(),
    "measures": lambda *_: measure(),
    "command": lambda tmp, _: by_words(tmp),
    "mistakes": lambda tmp, _: refused(tmp),
    **{f"mixer {name}": lambda *_, name=name: mix(name) for name in MIXERS},
}


@pytest.fixture
def unusual() -> Iterator[None]:
    """Settings that no part of the library would choose."""
    cudnn, threads = torch.backends.cudnn, torch.get_num_threads()
    before = cudnn.deterministic, cudnn.benchmark
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    level = logging.getLogger("ssl_mix").level
    cudnn.deterministic, cudnn.benchmark = False, True
    torch.set_num_threads(2)
    logging.getLogger("ssl_mix").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="a filter of the caller")
        yield
    logging.getLogger("ssl_mix").setLevel(level)
    torch.set_num_threads(threads)
    cudnn.deterministic, cudnn.benchmark = before
    signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("name", list(CALLS))
def test_a_call_leaves_what_is_shared_as_it_was(
    name: str, folder: Path, tmp_path: Path, unusual: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del unusual
    if name == "compiled":
        monkeypatch.setattr(
            torch, "compile", lambda net, original=torch.compile: original(net, backend="eager")
        )
    before = shared_state()
    CALLS[name](tmp_path, folder)
    found = changes(before, shared_state())
    if name == "compiled":  # PyTorch's compiler sets its loggers, and names its cache to its processes
        found = {key: value for key, value in found.items() if key not in ("environment", "loggers")}
    assert not found, {key: str(value)[:300] for key, value in found.items()}


def test_the_first_call_of_a_process_changes_nothing_either() -> None:
    """Libraries that it imports draw numbers, filter warnings and set variables. Those that a training does
    not need wait until they are needed, and change nothing then."""
    code = (
        "import sys; sys.path.insert(0, 'tests/support')\n"
        "import numpy as np, torch, ssl_mix\n"
        "from shared_state import shared_state, changes\n"
        "before = shared_state()\n"
        "images = np.zeros((6, 8, 8), np.uint8); labels = np.array([0, 1, 0, -1, -1, -1])\n"
        "ssl_mix.fit('fixmatch', (images, labels), steps=1, batch_size=2)\n"
        "late = sorted({'matplotlib', 'scipy', 'sklearn'} & set(sys.modules))\n"
        "if late: sys.exit('imported before they are needed: ' + str(late))\n"
        "from ssl_mix.imported import imported\n"
        "imported('sklearn.linear_model')\n"
        "found = changes(before, shared_state())\n"
        "found.pop('safe globals')\n"  # torch registers more of its own classes as its parts are imported
        "sys.exit(str(found) if found else 0)\n"
    )
    root = Path(__file__).parents[2]
    made = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-3000:]
