"""A training step on CUDA tensors, rehearsed without a GPU: nothing in it may wait for the device.

Forward passes, augmentation, losses, mixers, optimizer, teacher, bank and metrics run on tensors that have a
device and a shape but no values. Gradients are the one thing that autograd cannot make of them.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, get_args

import pytest
import torch
from algorithm_scene import CLASSES, altered_by, make
from algorithm_tables import adjusted, each, everything
from fake_cuda import FakeCuda, HostWaits, backward_of, fake_cuda, like_inputs
from mixer_scene import net_for
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.augment import Augmentation
from ssl_mix.augment.views import Policy
from ssl_mix.datasets import DataSet, ImageSet, ResidentImages, choose_split
from ssl_mix.engine import checks, execution
from ssl_mix.engine import trainer as trainer_module
from ssl_mix.mixers import MIXERS, build_mixer
from ssl_mix.rebalance import Rebalance
from ssl_mix.recipes import GENERAL, RECIPES
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.run import Run
from ssl_mix.targets import Targets

# The one operation that waits for the GPU: eigenvalues. (MixMatch orders its batch on the CPU, which does
# not.)
WAITING = {"bss": {"_linalg_eigh"}}
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # by deepcopy
WAITS = (HostWaits, DataDependentOutputException, DynamicOutputShapeException)


def own_state_of_the_cpu(
    config: TrainConfig, device: torch.device, *stream: Any
) -> AbstractContextManager[None]:
    """A GPU that is not there has no generator."""
    return execution.own_state(config, torch.device("cpu"), *stream)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    """A GPU that is not there."""
    for module in (trainer_module, checks):
        monkeypatch.setattr(module, "resolve_device", torch.device)
    monkeypatch.setattr(trainer_module, "own_state", own_state_of_the_cpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**36, 2**36))
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.autograd, "grad", like_inputs)
    monkeypatch.setattr(torch.utils, "swap_tensors", lambda *_: None)  # of weights that are there already
    with fake_cuda() as mode:
        yield mode


def take_step(trainer: Trainer, gpu: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of the loop, as it is, but for the gradients; not the first, before which ``begin`` may
    wait."""
    parameters = [p for group in trainer.optimizer.param_groups for p in group["params"]]
    monkeypatch.setattr(Tensor, "backward", backward_of(lambda: iter(parameters)))
    trainer.step = 1
    batches = trainer.feed.batches(1)
    next(batches)  # the images are copied to the GPU once
    gpu.strict = True
    try:
        trainer.train_step(next(batches))
    finally:
        gpu.strict = False


@each
def test_step_never_waits_for_the_gpu(gpu: FakeCuda, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    keywords = adjusted(name) or everything(name)[-1]  # all that a step may do
    trainer = make(ALGORITHMS[name](**keywords), device="cuda", amp="bf16")
    before = gpu.launches
    take_step(trainer, gpu, monkeypatch)
    assert gpu.waiting == WAITING.get(name, set())
    assert trainer.step == 2 and gpu.launches > before + 100
    state = [*trainer.student.state_dict().values(), *trainer.algorithm.state_dict().values()]
    state += [
        *trainer.teacher.net.state_dict().values(),
        *trainer.bank.state_dict().values(),
        trainer.meter.sums,
    ]
    assert {value.device.type for value in state} == {"cuda"}


@pytest.mark.parametrize("addon", get_args(Rebalance)[1:])
def test_an_add_on_never_waits_for_the_gpu(
    gpu: FakeCuda, monkeypatch: pytest.MonkeyPatch, addon: Rebalance
) -> None:
    for early in ("darp.EVERY", "darp.WARMUP", "daso.WARMUP", "cossl.WARMUP"):
        monkeypatch.setattr(f"ssl_mix.rebalance.{early}", 1 if "EVERY" in early else 0.0)
    algorithm = ALGORITHMS["fixmatch"](targets=Targets(rebalance=addon))
    trainer = make(algorithm, device="cuda", amp="bf16")
    take_step(trainer, gpu, monkeypatch)
    assert gpu.waiting == set()


def test_watching_the_beginning_of_a_run_never_waits(gpu: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(ALGORITHMS["fixmatch"](), device="cuda", steps=200)
    take_step(trainer, gpu, monkeypatch)
    assert gpu.waiting == set()
    assert trainer.watch.sums is not None and trainer.watch.sums.device.type == "cuda"


@pytest.mark.parametrize("policy", ["ctaugment", "trivial", "augmix"])
def test_no_policy_of_strong_views_waits(
    gpu: FakeCuda, monkeypatch: pytest.MonkeyPatch, policy: Policy
) -> None:
    trainer = make(ALGORITHMS["fixmatch"](), data=altered_by(policy), device="cuda", amp="bf16")
    take_step(trainer, gpu, monkeypatch)
    assert trainer.step == 2 and gpu.waiting == set()
    assert {rates.device.type for rates in trainer.feed.learned.buffers()} <= {"cuda"}


@pytest.mark.parametrize("optimizer", ["lamb", "lion", "nadamw"])
def test_no_optimizer_of_timm_that_recipes_name_waits(
    gpu: FakeCuda, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    trainer = make(ALGORITHMS["supervised"](), device="cuda", optimizer=optimizer, layer_decay=0.5)
    take_step(trainer, gpu, monkeypatch)
    assert trainer.step == 2 and gpu.waiting == set()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_step_in_parts_with_a_loss_scale_never_waits_either(
    gpu: FakeCuda, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    options: dict[str, Any] = {"amp": "fp16", "accumulate": 2, "clip_grad": 1.0, "optimizer": optimizer}
    trainer = make(ALGORITHMS["fixmatch"](), device="cuda", **options)
    assert trainer.update.scaler.is_enabled()
    take_step(trainer, gpu, monkeypatch)
    assert trainer.step == 2 and gpu.waiting == set()


@pytest.mark.parametrize("name", list(MIXERS))
def test_mixer_never_waits_for_the_gpu(gpu: FakeCuda, name: str) -> None:
    mixer = build_mixer(name)
    net = net_for(mixer, CLASSES)
    mixer.prepare(net, (3, 32, 32))
    for module in (net, mixer):
        if isinstance(module, nn.Module):
            module.to("cuda")
    images, labels = (
        torch.empty(6, 3, 32, 32, device="cuda"),
        torch.zeros(6, dtype=torch.int64, device="cuda"),
    )
    gpu.strict = True
    draws = torch.Generator().manual_seed(0)
    if mixer.hidden:
        with mixer.applied(net, images, labels, generator=draws) as mixed:
            found = [net(mixed.images), *mixed.target]
    else:
        batch = mixer.mix_batch(images, labels, net=net, generator=draws)
        found = [batch.images, *batch.target]
    assert {tensor.device.type for tensor in found} == {"cuda"}


@pytest.mark.parametrize(
    "waiting",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: x + torch.ones(3).to("cuda"),
        lambda x: x.copy_(torch.ones(3)),
        lambda x: torch.empty(3).copy_(x),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: torch.tensor([1.0, 2.0], device="cuda"),
        lambda x: bool((x > 0).all()),
    ],
)
def test_what_waits_is_caught(gpu: FakeCuda, waiting: Any) -> None:
    values = torch.ones(3, device="cuda")
    gpu.strict = True
    with pytest.raises(WAITS):
        waiting(values)


def test_precision_is_the_one_of_a_gpu(gpu: FakeCuda) -> None:
    layer = nn.Linear(3, 2).to("cuda")
    with execution.autocast(TrainConfig(amp="auto"), torch.device("cuda")):
        assert layer(torch.empty(1, 3, device="cuda")).dtype == torch.bfloat16


FULL = [name for name in RECIPES if name not in GENERAL]
TRIED = FULL if os.environ.get("SSL_MIX_RECIPES") == "all" else ["resnet-18"]  # all take two minutes


@pytest.fixture
def recipe_run(request: pytest.FixtureRequest) -> tuple[Run, DataSet, nn.Module]:
    """The run of a recipe, eight images, and the network without a pass over its weights; before there is a
    GPU."""
    named = "cifar100" if request.param.startswith("cifar") else "folder"
    run = build_run("supervised", {"data": named, "device": "cuda", "amp": "bf16"}, request.param).run
    side = run.data.stored_size or run.data.image_size or 32
    part = ImageSet(ResidentImages(torch.zeros(8, 3, side, side, dtype=torch.uint8)), torch.arange(8), None)
    classes = tuple(map(str, range(100 if named == "cifar100" else 1000)))
    data = run.data.adjust(DataSet("eight", classes, part, part, Augmentation((0.5,) * 3, (0.2,) * 3), ()))
    with torch.device("meta"):
        net = run.net.build(data.augmentation.seen(part.images.shape), len(classes), 0).to_empty(device="cpu")
    for tensor in (*net.state_dict().values(), *net.buffers()):
        tensor.zero_()
    return run, data, net


@pytest.mark.parametrize("recipe_run", TRIED, indirect=True)
def test_the_step_of_a_recipe_at_full_size_never_waits(
    recipe_run: tuple[Run, DataSet, nn.Module], gpu: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, data, net = recipe_run
    monkeypatch.setattr(trainer_module, "check_sizes", lambda *_: None)  # of weights that are zero
    split = choose_split(data.train.labels, len(data.classes), seed=0, classes=data.classes)
    trainer = run.trainer(data, split, net=net)
    take_step(trainer, gpu, monkeypatch)
    assert trainer.step == 2 and gpu.waiting == set()
