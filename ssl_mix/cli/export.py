"""``ssl-mix export``: a trained network for use elsewhere."""

from pathlib import Path

from ssl_mix.cli.terminal import say
from ssl_mix.cli.use import RunFolder, load
from ssl_mix.export import export
from ssl_mix.export.export import To
from ssl_mix.export.graphs import GRAPHS
from ssl_mix.runs.trained import Weights


def export_command(
    run: RunFolder,
    *,
    to: To,
    out: Path,
    weights: Weights = "last",
    calibrated: bool = False,
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
        overwrite: replace what is there.
    """
    trained = load(run, "cpu", weights)
    temperature = trained.temperature if calibrated else 1.0
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
        say(f"Next    ssl-mix predict {out} IMAGE... --out predictions.csv")
