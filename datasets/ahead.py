"""Image files that are decoded in threads while the images before them are looked at."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ssl_mix.datasets.decode import Scaled, check_form, quiet, read_image, reason
from ssl_mix.datasets.decode_many import Progress, available_cpus
from ssl_mix.datasets.originals import Form

AHEAD = 2  # batches for each thread


class FilesAhead:
    """Files as an ``ImageSource`` for a pass over each once; a file that cannot be read is a black image and
    in ``broken``.

    Args:
        files: to be decoded.
        form: how images are stored.
        progress: told (``label``, files done, files in all).
        label: what is read.

    Attributes:
        broken: position and reason of the files that could not be read so far.

    Raises:
        ValueError: images cannot be read with so many channels.

    Examples:
        >>> images = FilesAhead([Path("train/cat/1.png"), Path("labels.txt")], Form(size=8))
        >>> [len(batch) for batch in images.batches(torch.tensor([[0], [1]]), torch.device("cpu"))]
        [1, 1]
        >>> list(images.broken)
        [1]
    """

    def __init__(
        self,
        files: Sequence[Path],
        form: Form,
        *,
        progress: Progress | None = None,
        label: str = "reading images",
    ) -> None:
        check_form(form.size, form.channels, form.fit)
        self.files, self.form, self.progress, self.label = files, form, progress, label
        self.shape = (form.channels, form.size, form.size)
        self.broken: dict[int, str] = {}
        self._scaled: dict[int, Scaled] = {}

    def __len__(self) -> int:
        return len(self.files)

    @property
    def kept(self) -> list[int]:
        """Positions of the files that could be read, once all have been asked for."""
        return [position for position in range(len(self)) if position not in self.broken]

    @property
    def scaled(self) -> Counter[Scaled]:
        """How many files so far had samples of more than 8 bits, by how those were scaled."""
        return Counter(self._scaled.values())

    def batches(self, indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
        """See ``ImageSource``."""
        wanted, done = iter(indices), 0
        threads = available_cpus()
        with quiet(), ThreadPoolExecutor(threads) as pool:
            begun = deque(pool.submit(self._read, index) for index in islice(wanted, AHEAD * threads))
            try:
                while begun:
                    batch = begun.popleft().result()
                    begun.extend(pool.submit(self._read, index) for index in islice(wanted, 1))
                    done += len(batch)
                    if self.progress is not None:
                        self.progress(self.label, done, len(self))
                    yield batch.to(device, non_blocking=True)
            finally:
                _cancel(begun)

    def _read(self, index: Tensor) -> Tensor:
        images = torch.zeros((len(index), *self.shape), dtype=torch.uint8)
        pixels, form = images.numpy(), self.form
        for place, position in enumerate(index.tolist()):
            try:
                pixels[place], about = read_image(self.files[position], form.size, form.channels, form.fit)
            except Exception as error:  # broken files make Pillow raise almost anything
                self.broken[position] = reason(error)
            else:
                if about.scaled is not None:
                    self._scaled[position] = about.scaled
        return images


def _cancel(begun: Iterable["Future[Tensor]"]) -> None:
    for future in begun:
        future.cancel()
