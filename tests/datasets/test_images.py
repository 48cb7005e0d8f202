"""Images in memory and in files behave alike."""

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from ssl_mix import UserError
from ssl_mix.datasets import ImageSource, ResidentImages, StreamedImages, decode_all
from ssl_mix.datasets.decode_many import available_cpus
from ssl_mix.datasets.images import worker_count
from ssl_mix.datasets.originals import Files, Form, Stored
from ssl_mix.datasets.pixel_statistics import channel_statistics

CPU = torch.device("cpu")
INDICES = [torch.tensor([3, 1, 1]), torch.tensor([0]), torch.tensor([19, 2, 7, 5])]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{number}.{'jpg' if number % 2 else 'png'}" for number in range(20)]
    for number, path in enumerate(paths):
        Image.effect_noise((20 + number, 30), 60).convert("RGB").save(path)
    return paths


def streamed(files: list[Path], workers: int) -> StreamedImages:
    return StreamedImages(Stored(Files(files), Form(16)), (3, 16, 16), workers=workers)


@pytest.fixture(params=["resident", "no workers", "workers"])
def source(request: pytest.FixtureRequest, files: list[Path]) -> ImageSource:
    if request.param == "resident":
        return ResidentImages(decode_all(files, 16)[0])
    return streamed(files, 2 if request.param == "workers" else 0)


def test_batches_are_the_pictures_asked_for_in_order(source: ImageSource, files: list[Path]) -> None:
    pixels = decode_all(files, 16)[0]
    found = list(source.batches(INDICES, CPU))
    assert source.shape == (3, 16, 16) and len(source) == 20
    assert [batch.dtype for batch in found] == [torch.uint8] * 3
    for batch, index in zip(found, INDICES, strict=True):
        assert torch.equal(batch, pixels[index])


def test_indices_may_be_endless_and_are_read_lazily(source: ImageSource) -> None:
    drawn = 0

    def endless() -> Iterator[Tensor]:
        nonlocal drawn
        for drawn in count(1):
            yield torch.tensor([drawn % 20])

    assert len(list(islice(source.batches(endless(), CPU), 5))) == 5
    assert drawn < 20


def test_the_global_random_state_stays_as_it_is(source: ImageSource) -> None:
    before = torch.get_rng_state()
    list(source.batches(INDICES, CPU))
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_end_with_the_iterator(files: list[Path]) -> None:
    batches = streamed(files, 2).batches(iter(lambda: INDICES[0], None), CPU)
    next(batches)
    assert len(multiprocessing.active_children()) == min(2, available_cpus())
    del batches
    assert not multiprocessing.active_children()


def test_workers_survive_an_interrupt(files: list[Path]) -> None:
    batches = streamed(files, 2).batches(iter(lambda: INDICES[0], None), CPU)
    expected, _ = next(batches), next(batches)  # one of each worker: both are up
    for worker in multiprocessing.active_children():
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGINT)
    for batch in islice(batches, 10):
        assert torch.equal(batch, expected)


def test_workers_survive_what_a_scheduler_sends_to_all_processes(files: list[Path]) -> None:
    batches = streamed(files, 2).batches(iter(lambda: INDICES[0], None), CPU)
    expected, _ = next(batches), next(batches)
    workers = [str(worker.pid) for worker in multiprocessing.active_children()]
    subprocess.run(["kill", "-TERM", *workers], check=True)  # by another process than their parent
    for batch in islice(batches, 10):
        assert torch.equal(batch, expected)
    del batches
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("cpus", "asked", "given"), [(1, 2, 1), (4, 2, 2), (4, None, 4), (64, None, 8), (1, 0, 0)]
)
def test_there_are_no_more_workers_than_processors(
    cpus: int, asked: int | None, given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssl_mix.datasets.images.available_cpus", lambda: cpus)
    assert worker_count(asked) == given


def test_fewer_workers_than_none_are_refused(files: list[Path]) -> None:
    with pytest.raises(UserError, match="workers must not be negative, got -1"):
        streamed(files, -1)


def test_a_batch_is_no_view_of_the_stored_pictures() -> None:
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    batch = next(ResidentImages(images).batches([torch.tensor([0, 1])], CPU))
    batch.fill_(9)
    assert not images.any()


def test_pictures_move_to_a_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[torch.device] = []
    move: Callable[..., Tensor] = Tensor.to

    def spy(self: Tensor, *args: Any, **options: Any) -> Tensor:
        if self.ndim == 4 and len(self) == 5:
            moved.append(args[0])  # type: ignore[arg-type]
        return move(self, *args, **options)

    monkeypatch.setattr(Tensor, "to", spy)
    source = ResidentImages(torch.zeros(5, 1, 8, 8, dtype=torch.uint8))
    for _ in range(2):
        for batch in source.batches([torch.tensor([0])] * 3, torch.device("meta")):
            assert batch.device.type == "meta"
    assert moved == [torch.device("meta")]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("fits", [True, False])
def test_on_a_gpu(files: list[Path], fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fits:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
    pixels = decode_all(files, 16)[0]
    for source in (ResidentImages(pixels), streamed(files, 2)):
        for batch, index in zip(source.batches(INDICES, torch.device("cuda")), INDICES, strict=True):
            assert batch.device.type == "cuda" and torch.equal(batch.cpu(), pixels[index])


def test_statistics_of_large_images_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    long = torch.Tensor.long

    def recorded(self: torch.Tensor) -> torch.Tensor:
        taken.append(self.numel())
        return long(self)

    monkeypatch.setattr(torch.Tensor, "long", recorded)
    pixels = torch.randint(256, (2, 3, 2000, 1500), dtype=torch.uint8)
    mean, std = channel_statistics(ResidentImages(pixels))
    values = pixels.double() / 255
    assert mean == tuple(values.mean((0, 2, 3)).numpy().round(3))
    assert std == tuple(values.std((0, 2, 3), correction=0).numpy().round(3))
    assert max(taken) <= 3 * 2**20
