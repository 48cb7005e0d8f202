"""``ssl-mix export``: a trained network for use elsewhere."""

from pathlib import Path

from ssl_mix.cli.terminal import say
from ssl_mix.cli.use import RunFolder, load
from ssl_mix.errors import UserError, counts_of
from ssl_mix.export import Quantized, export, export_int8
from ssl_mix.export.export import To
from ssl_mix.export.graphs import GRAPHS
from ssl_mix.export.int8 import MAX_FALL, Int8
from ssl_mix.runs.trained import Weights
from ssl_mix.shell import quoted


def export_command(
    run: RunFolder,
    *,
    to: To,
    out: Path,
    weights: Weights = "last",
    calibrated: bool = False,
    int8: Int8 | None = None,
    max_fall: float | None = None,
    overwrite: bool = False,
) -> None:
    """Write the network of a run to a file that other programs load, and compare it with the run.

    "onnx", "exported" and "torchscript" take uint8 images and return class probabilities; predict and
    evaluate take such a file in place of a run. "safetensors", "timm" and "huggingface" hold weights. Size,
    normalization and class names are in the metadata of each.

    Args:
        run: folder of the run.
        to: "onnx" (.onnx, needs pip install 'ssl-mix[onnx]'), "exported" (.pt2, for torch.export.load),
            "torchscript" (.ts), "safetensors" (for --pretrained), "timm" (.safetensors with the names of
            timm's network) or "huggingface" (a folder with a model card, for timm.create_model).
        out: the file or folder.
        weights: the "last" ones, or those that were "best" on the part that --validation held out.
        calibrated: make the probabilities what they say, by the temperature that ssl-mix evaluate RUN --suite
            calibration has fitted; files of weights alone tell it in their metadata.
        int8: write weights of 8 bits for onnxruntime, a quarter of the size: "dynamic", or "static" with the
            range of activations in 128 training images. For --to onnx.
        max_fall: of the accuracy on the run's test images by those, beyond which nothing is written; default:
            0.02.
        overwrite: replace what is there.
    """
    if int8 is not None and to != "onnx":
        raise UserError(f"`int8` is for `to=onnx`, not for `to={to}`: leave it out")
    if int8 is None and max_fall is not None:
        raise UserError("`max_fall` is of `int8`: give that, or leave it out")
    trained = load(run, "cpu", weights)
    temperature = trained.temperature if calibrated else 1.0
    if int8 is not None:
        fall = MAX_FALL if max_fall is None else max_fall
        quantized = export_int8(
            trained, int8, out, temperature=temperature, max_fall=fall, overwrite=overwrite
        )
        _say_quantized(quantized)
        return
    done = export(trained, to, out, temperature=temperature, overwrite=overwrite)
    of = "test images of the run" if done.tested else "images of noise (the run has no test images)"
    size = sum(file.stat().st_size for file in ([out] if out.is_file() else out.iterdir())) / 1e6
    say(f"{out}: {size:.1f} MB")
    say(
        f"On {done.images} {of} its probabilities are those of the run to {done.difference:.1g}, and the "
        f"class is the same for {done.alike}"
    )
    if done.accuracy is not None:
        say(f"Accuracy on those {100 * done.accuracy:.2f} %")
    if to in GRAPHS:
        say(f"Next    ssl-mix predict {quoted(out)} IMAGE... --out predictions.csv")


def _say_quantized(done: Quantized) -> None:
    say(f"{done.path}: {done.bytes_after / 1e6:.1f} MB, {done.bytes_before / 1e6:.1f} MB before")
    say(
        f"Accuracy on {counts_of(done.images, 'test image')} of the run {100 * done.after:.2f} %, "
        f"{100 * done.before:.2f} % before"
    )
    say(f"Next    ssl-mix predict {quoted(done.path)} IMAGE... --out predictions.csv")
