"""Networks of timm, with their features and their head apart."""

import copy
from typing import Any

from torch import Tensor, nn

from ssl_mix.errors import UserError, nearest
from ssl_mix.models.pretrained import WITHOUT_DOWNLOAD, keep_source_head


class TimmNetwork(nn.Module):
    """A network of timm.

    Args:
        body: the network, with a linear classifier.

    Raises:
        ValueError: it has no classifier, or more than one (distilled networks).
    """

    def __init__(self, body: Any) -> None:
        super().__init__()
        if not isinstance(body.get_classifier(), nn.Linear):
            raise UserError(
                f"{type(body).__name__} has no single linear classifier (distilled networks have two): "
                "take a network without distillation"
            )
        self.body: Any = body
        known = dict(body.named_modules())
        named = [info["module"] for info in getattr(body, "feature_info", []) if info["module"] in known]
        stages = [
            name for name in named if any(True for _ in known[name].parameters())
        ]  # not the stem's activation
        if stages:
            self.hidden_layers = tuple(f"body.{stage}" for stage in stages)

    @property
    def head(self) -> nn.Module:
        """The classifier, which reads ``features``."""
        classifier: nn.Module = self.body.get_classifier()
        return classifier

    def features(self, x: Tensor) -> Tensor:
        """What the classifier reads, (N, D), of images (N, C, H, W)."""
        found: Tensor = self.body.forward_head(self.body.forward_features(x), pre_logits=True)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W)."""
        logits: Tensor = self.body(x)
        return logits


def timm_network(
    name: str,
    num_classes: int,
    *,
    channels: int,
    image_size: int | None,
    drop_path: float,
    pretrained: bool,
) -> TimmNetwork:
    """Any classifier of timm, by its name there.

    Args:
        name: for example "deit_small_patch16_224".
        num_classes: C.
        channels: of the images.
        image_size: side of the images, for networks that are built for one size; default: theirs.
        drop_path: chance of a residual branch to be left out (stochastic depth).
        pretrained: fetch the weights.

    Raises:
        ValueError: the name is unknown, the network does not take these options, or the weights cannot be
            fetched.
    """
    import timm  # takes a second

    if not timm.is_model(name):
        raise UserError(f"timm has no network {name!r}.{nearest(name, timm.list_models())}")
    if pretrained and not timm.is_model_pretrained(name):
        raise UserError(f"timm has no weights for {name!r}: leave out --pretrained or take another network")
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    settings = timm.get_pretrained_cfg(name)
    if image_size is not None and settings and settings.fixed_input_size:
        options["img_size"] = image_size
    try:
        body = timm.create_model(name, num_classes=num_classes, in_chans=channels, **options)
    except (TypeError, AssertionError, ValueError) as error:
        raise UserError(f"timm's {name!r} does not take {options}: {error}") from error
    return _fetched(name, num_classes, {"in_chans": channels, **options}) if pretrained else TimmNetwork(body)


def _fetched(name: str, num_classes: int, options: dict[str, Any]) -> TimmNetwork:
    import timm

    try:
        body: Any = timm.create_model(name, pretrained=True, **options)
    except Exception as error:  # a download fails in as many ways as there are libraries below it
        raise UserError(
            f"the weights of timm's {name!r} cannot be fetched: {str(error).rstrip('.')}. {WITHOUT_DOWNLOAD}"
        ) from error
    source = copy.deepcopy(body.get_classifier())
    if num_classes != body.num_classes:
        body.reset_classifier(num_classes)
    net = TimmNetwork(body)
    keep_source_head(net, source if isinstance(source, nn.Linear) else None)
    return net
