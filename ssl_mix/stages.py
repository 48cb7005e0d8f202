"""The names of a network's stages: what mixers of hidden layers, and weights that stay as they are, go by."""

from typing import Any

USUAL = ("layer1", "layer2", "layer3", "layer4")


def stage_names(net: Any) -> tuple[str, ...]:
    """The stages, first to last: those in its attribute ``hidden_layers``, those that timm tells of its
    networks, or the four layers of torchvision's ResNets.

    Args:
        net: a module.

    Returns:
        Names as in ``net.named_modules()``; none where the network is of another kind.
    """
    own = getattr(net, "hidden_layers", ())
    if own:
        return tuple(own)
    known = dict(net.named_modules())
    told = [info["module"] for info in getattr(net, "feature_info", []) if info["module"] in known]
    stages = [name for name in told if any(True for _ in known[name].parameters())]  # no stem's activation
    return tuple(stages) or (USUAL if all(stage in known for stage in USUAL) else ())
