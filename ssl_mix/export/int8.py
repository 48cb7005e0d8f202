"""ONNX files whose weights take 8 bits, by onnxruntime's quantization."""

import dataclasses
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_choice, check_positive, check_share, checking_kinds, counts_of
from ssl_mix.export.deployed import KEY, About, Deployed, about
from ssl_mix.export.export import check_out, compare, images_of
from ssl_mix.export.graphs import INPUT, check_onnx, described, read_onnx, write_onnx
from ssl_mix.runs.answered import Answered, answer_test_part
from ssl_mix.runs.folder import read_config
from ssl_mix.runs.learned import read_learned, split_of
from ssl_mix.runs.trained import TrainedRun
from ssl_mix.shell import at_home

Int8 = Literal["dynamic", "static"]
MAX_FALL = 0.02  # of the accuracy
CALIBRATION, BATCH = 128, 32  # images


class Quantized(NamedTuple):
    """What 8 bits cost.

    Attributes:
        path: what was written.
        images: test images of the run.
        before: accuracy of the run on those.
        after: of the file.
        bytes_before: of the file with float32 weights.
        bytes_after: of what was written.
    """

    path: Path
    images: int
    before: float
    after: float
    bytes_before: int
    bytes_after: int


@checking_kinds
def export_int8(
    trained: TrainedRun,
    int8: Int8,
    out: str | Path,
    *,
    temperature: float = 1.0,
    max_fall: float = MAX_FALL,
    overwrite: bool = False,
) -> Quantized:
    """Write the teacher of a run to an ONNX file with weights of 8 bits; its description tells the accuracy
    on the run's test images before and after.

    Args:
        trained: from ``load_trained``.
        int8: "dynamic" finds the range of activations anew for each batch; "static" has it from 128 of the
            images that the run learned from.
        out: what to write, ends in .onnx.
        temperature: by which logits are divided before the softmax.
        max_fall: of the accuracy, in [0, 1].
        overwrite: replace what is there.

    Raises:
        ValueError: there is something at ``out``, a package is missing, the run has no test images, its
            training images are not there any more, or the accuracy falls by more than ``max_fall``.
    """
    out = Path(at_home(out))
    check_positive("temperature", temperature)
    check_choice("int8", int8, get_args(Int8))
    check_share("max_fall", max_fall)
    check_out(out, "onnx", overwrite=overwrite)
    check_onnx()
    known = about(trained, read_config(trained.folder)["algorithm"]["name"], temperature)
    answered = _answered(trained)
    shown = [] if int8 == "dynamic" else _calibration(trained)
    net = Deployed(trained.net.cpu(), known)
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=".export") as folder:
        whole, made = Path(folder, "whole.onnx"), Path(folder, "made.onnx")
        write_onnx(net, known, whole)
        compare(net, read_onnx(whole)[0], images_of(answered), answered, out)
        _quantize(whole, made, shown)
        before = float((answered.logits.argmax(dim=1) == answered.labels).double().mean())
        after = _accuracy(made, answered)
        if before - after > max_fall:
            raise UserError(
                f"with `int8={int8}` the accuracy on {counts_of(len(answered.labels), 'test image')} of the "
                f"run falls from {before:.2%} to {after:.2%}, by more than `max_fall` {max_fall:.2%}: "
                f"nothing was written to {out}"
            )
        _describe(
            made, dataclasses.replace(known, int8=int8, accuracy_before_int8=before, accuracy_int8=after)
        )
        sizes = whole.stat().st_size, made.stat().st_size
        made.replace(out)
    return Quantized(out, len(answered.labels), before, after, *sizes)


def _answered(trained: TrainedRun) -> Answered:
    try:
        return answer_test_part(trained)
    except UserError as error:
        raise UserError(f"what 8 bits cost is measured on the test images of the run: {error}") from error


def _calibration(trained: TrainedRun) -> list[Tensor]:
    """Batches of images that the run learned from."""
    images, split = read_learned(trained.run, trained.folder).train.images, split_of(trained.folder)
    seen = torch.tensor([*split.labeled, *split.unlabeled])
    chosen = seen[torch.randperm(len(seen), generator=torch.Generator().manual_seed(0))[:CALIBRATION]]
    return list(images.batches(torch.split(chosen, BATCH), torch.device("cpu")))


def _quantize(whole: Path, made: Path, shown: list[Tensor]) -> None:
    """With the ranges of activations in the images that are shown; without any, those of each batch."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Shown(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(shown)

        def get_next(self) -> dict[str, object] | None:
            batch = next(self.left, None)
            return None if batch is None else {INPUT: batch.numpy()}

    prepared = made.with_name("prepared.onnx")
    with _quiet():
        quant_pre_process(whole, prepared, skip_symbolic_shape=True)
        if shown:
            quantize_static(prepared, made, Shown(), per_channel=True)
        else:  # onnxruntime convolves with unsigned weights alone
            quantize_dynamic(prepared, made, weight_type=QuantType.QUInt8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings about each weight of one dimension."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _accuracy(path: Path, answered: Answered) -> float:
    run, right = read_onnx(path)[0], 0
    rows = zip(torch.split(answered.positions, BATCH), torch.split(answered.labels, BATCH), strict=True)
    for positions, labels in rows:
        [images] = answered.images.batches([positions], torch.device("cpu"))
        right += int((run(images).argmax(dim=1) == labels).sum())
    return right / len(answered.labels)


def _describe(path: Path, known: About) -> None:
    import onnx

    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key == KEY:
            entry.value = described(known)
    onnx.save(model, path)
