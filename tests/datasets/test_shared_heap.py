"""Workers share what their parent had in memory: nobody writes into it."""

import gc
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ssl_mix.datasets import packed, shared_heap
from ssl_mix.datasets.images import StreamedImages
from ssl_mix.datasets.originals import Files, Form


class Frozen(Dataset[Tensor]):
    """1 where the process that is asked leaves thousands of objects alone, else 0."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Tensor:
        return torch.full((1, 1, 1), gc.get_freeze_count() > 1000, dtype=torch.uint8)


def test_objects_from_before_are_left_alone_while_a_stream_is_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_heap, "_streams", [0])  # none, whatever other tests have left open
    gc.unfreeze()
    images = StreamedImages(Frozen(), (1, 1, 1), workers=1)
    outer, inner = (images.batches([torch.tensor([0])] * 2, torch.device("cpu")) for _ in range(2))
    assert next(outer).all() and next(inner).all()
    during = gc.get_freeze_count()
    list(inner)
    assert during > 1000 and gc.get_freeze_count() > 1000
    list(outer)
    assert gc.get_freeze_count() == 0


def test_files_are_read_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path would enter its parts into the table of strings, in which no entry is used twice."""
    Image.new("L", (8, 8), 7).save(tmp_path / "1.png")
    files = Files([tmp_path / "1.png"])
    monkeypatch.setattr(packed, "Path", None)
    assert files.stored(0, Form(8, 1)).eq(7).all()
    assert files.original(0, 1) is not None
