"""``ssl-mix show-mixers``: an image of what every mixer does to images of one's own."""

from pathlib import Path

import torch
from torch import Tensor, nn

from ssl_mix.augment import Augmentation
from ssl_mix.cli.terminal import reading_bar, say, warn
from ssl_mix.cli.use import check_writable
from ssl_mix.datasets import DataSet
from ssl_mix.errors import UserError, check_count, check_seed
from ssl_mix.mixers import Mixer
from ssl_mix.reports.mixer_grid import Panel, draw_mixers
from ssl_mix.reports.mixing_shown import SHARES, choose_rows, learned_mixers, mix_with_all, resized
from ssl_mix.reports.plots import save_png
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.trained import load_trained


def show_mixers(
    *,
    out: Path,
    overwrite: bool = False,
    data: DataOptions = DataOptions(),  # noqa: B008 (frozen)
    sizes: tuple[int, ...] = (32, 224),
    run: Path | None = None,
    seed: int = 0,
) -> None:
    """Draw what every mixer does: a grid with a row per mixer, the masks and the shares.

    Mixers that ask a network get the teacher of --run, or a network that knows nothing yet. Mixers of hidden
    layers have no image and are left out.

    Args:
        out: the PNG file.
        overwrite: replace a file that is there.
        data: the images.
        sizes: sides in pixels at which the mixers are shown.
        run: folder of a trained run, for mixers that ask a network; trained with --mixer automix or samix,
            its mixer is shown.
        seed: of the choice of images and of the mixing.
    """
    for size in sizes:
        check_count("sizes", size)
    if not sizes:
        raise UserError("expected at least one of --sizes, got none")
    check_seed("seed", seed)
    check_writable(out, overwrite=overwrite)
    with reading_bar() as progress:
        found = data.load(progress)
    pictures, labels = choose_images(found, 2 * len(SHARES), seed)
    names = [found.classes[label] for label in labels]
    net, augmentation, trained = network(run, found)
    panels: list[Panel] = []
    refused: dict[str, str] = {}
    for size in sizes:
        small = resized(pictures, size)
        mixed, reasons = mix_with_all(small, labels, net, augmentation, trained, seed)
        shown, title = small.float() / 255, f"{size} x {size}"
        panels.append(Panel(title, shown[0::2], shown[1::2], names[0::2], names[1::2], mixed))
        refused |= {f"{name} at {title}": reason for name, reason in reasons.items()}
    save_png(draw_mixers(panels), out)
    say(str(out))
    for name, reason in refused.items():
        warn(f"left out {name}: {reason}")
    if run is None:
        say("mixers that ask a network got one with random weights: give a trained one with --run")


def choose_images(data: DataSet, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """``count`` training images, uint8 (count, C, H, W), and their classes, neighbors of different classes
    where possible."""
    index = torch.tensor(choose_rows(data.train.labels, len(data.classes), count, seed))
    return next(iter(data.train.images.batches([index], torch.device("cpu")))), data.train.labels[index]


def network(run: Path | None, data: DataSet) -> tuple[nn.Module, Augmentation, dict[str, Mixer]]:
    """The teacher of a run, or an untrained small network; the normalization that it expects; mixers that the
    run has trained."""
    if run is None:
        seen = data.augmentation.seen(data.train.images.shape)
        small = NetOptions(net="small-cnn").build(seen, len(data.classes), 0)
        return small.eval(), data.of_pixels, {}
    trained = load_trained(run, "cpu")
    if trained.shape[0] != data.train.images.shape[0]:
        raise UserError(
            f"{run} was trained on images with {trained.shape[0]} channels, these have "
            f"{data.train.images.shape[0]}"
        )
    if trained.classes != data.classes:
        raise UserError(
            f"{run} knows other classes ({', '.join(trained.classes[:5])}, ...) than these images have"
        )
    return trained.net, trained.augmentation, learned_mixers(trained.run.algorithm)
