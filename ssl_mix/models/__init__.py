"""Networks by name, and anybody's. Each returns logits from ``net(x)`` and has ``net.features(x)`` and
``net.head``.

``net.hidden_layers``, where there is one, names the stages that hidden-layer mixers work on, first to last.
"""

from ssl_mix.models.adapted import adapt
from ssl_mix.models.preact_resnet import PreActResNet18
from ssl_mix.models.registry import MODELS, build_model, default_network, is_network
from ssl_mix.models.small_cnn import SmallCNN
from ssl_mix.models.wide_resnet import WideResNet

__all__ = [
    "MODELS",
    "PreActResNet18",
    "SmallCNN",
    "WideResNet",
    "adapt",
    "build_model",
    "default_network",
    "is_network",
]
