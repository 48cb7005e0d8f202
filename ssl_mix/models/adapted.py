"""Anybody's network, with its features and its head apart."""

from typing import Any

from torch import Tensor, nn

from ssl_mix.errors import UserError, checking_kinds, with_article
from ssl_mix.passes import backbone, is_backbone, logits_in
from ssl_mix.stages import stage_names
from ssl_mix.transfer.heads import new_head

SHOWN = 5


class NoLinearHead(UserError):
    """A network that does not end in a linear layer; it may give logits all the same."""


class _Watched(nn.Linear):
    """Stands in for a head for the time of one forward pass, calls it and remembers it.

    A hook on the head would do, but for a compiled network, which ignores hooks; another kind of module is
    compiled anew.

    Attributes:
        runs: input and output of each call.
    """

    def __init__(self, head: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = head.in_features, head.out_features
        self._parameters = head._parameters  # a network may look at them
        self.runs: list[tuple[Tensor, Tensor]] = []
        self.original = (head,)  # in a tuple it is no part of this module

    def forward(self, input: Tensor) -> Tensor:
        """What the head makes of features."""
        [head] = self.original
        output: Tensor = head(input)
        self.runs.append((input, output))
        return output


class Adapted(nn.Module):
    """A network inside, whole and unchanged, whose last linear layer is ``head``.

    Weights are called ``body.`` and what the network itself calls them, the head's too. ``net.head = layer``
    puts another classifier into the place of the one that is there.

    Args:
        body: returns logits (N, C); held, not copied.
        head_name: of the ``nn.Linear`` in ``body`` whose output they are; "" where ``body`` is that layer.

    Attributes:
        body: the network.
        head_name: where in it the head is.
        hidden_layers: names of the stages that hidden-layer mixers work on, where the network tells them.
    """

    def __init__(self, body: nn.Module, head_name: str) -> None:
        super().__init__()
        self.body, self.head_name = body, head_name
        stages = stage_names(body)
        if stages:
            self.hidden_layers = tuple(f"body.{stage}" for stage in stages)

    @property
    def head(self) -> nn.Linear:
        """The classifier, which reads ``features``."""
        head = self.body.get_submodule(self.head_name)
        assert isinstance(head, nn.Linear)
        return head

    @head.setter
    def head(self, head: nn.Linear) -> None:
        holder, attribute = self._place()
        setattr(holder, attribute, head)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "head":  # a module would keep it as a part of its own, beside the one in the body
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def features(self, x: Tensor) -> Tensor:
        """What the head reads, (N, D), of images (N, C, H, W).

        Raises:
            ValueError: the head does not run exactly once, its output is not what the network returns, or it
                reads something else than vectors.
        """
        holder, attribute = self._place()
        head, watched = self.head, _Watched(self.head)
        holder._modules[attribute] = watched
        try:
            logits = self.forward(x)
        finally:
            holder._modules[attribute] = head
        if len(watched.runs) != 1:
            times = f"{len(watched.runs)} times" if watched.runs else "never"
            raise UserError(f"head {self.head_name!r} must run once in a forward pass, and ran {times}")
        [(read, output)] = watched.runs
        if logits is not output and (logits.dtype == output.dtype or logits.shape != output.shape):
            raise UserError(
                f"what {type(self.body).__name__} returns is not the output of {self.head_name!r}: name its "
                f"last layer by adapt(net, head=...) (linear layers: {_listed(self.body)}), and leave what "
                "follows it, a softmax for instance, to the loss"
            )
        if read.ndim != 2:
            raise UserError(f"head {self.head_name!r} must read features (N, D), it reads {read.ndim} axes")
        return read

    def _place(self) -> tuple[nn.Module, str]:
        """The module that holds the head, and as what."""
        holder, _, attribute = f"body.{self.head_name}".removesuffix(".").rpartition(".")
        return self.get_submodule(holder), attribute

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, C) of images (N, C, H, W).

        Raises:
            ValueError: the network returns neither logits nor something that holds them as ``logits``.
        """
        return logits_in(self.body(x), self.body)


@checking_kinds
def adapt(net: nn.Module, head: str | None = None) -> nn.Module:
    """A network as this package needs it, with ``net.features(x)`` and ``net.head``, whoever wrote it.

    It must return logits that are the output of an ``nn.Linear`` layer. Without a name the layer is what timm
    calls the classifier of a network of its own, else the last layer with weights in the order in which the
    network holds them, else the only linear one. Whether it is the last to run shows in the first
    ``features(x)``, which checks.

    The result is an :class:`Adapted` network that holds ``net`` itself, in its mode and with its parameters;
    their names begin with ``body.``. For other classes give it another head, ``adapted.head =
    new_head(adapted.head.in_features, 10)``, see :func:`ssl_mix.transfer.heads.new_head`.

    Args:
        net: of torchvision, timm, or your own. One that has features and head already is returned as it is.
        head: name of the layer, as in ``net.named_modules()``: "fc", "classifier.3".

    Raises:
        ValueError: there is no such layer, it is not linear, it has a second place or its weights have, or
            the network has several classifiers.
    """
    if head is None and is_backbone(net):
        return net
    kind = type(net).__name__
    if hasattr(net, "_orig_mod"):
        raise UserError("net is compiled: adapt the network first and compile the result")
    if getattr(net, "aux_logits", False):
        raise UserError(f"{kind} has auxiliary classifiers besides its last one: take another network")
    name = _last_linear(net) if head is None else head
    layer = dict(net.named_modules()).get(name)
    if not isinstance(layer, nn.Linear):
        found = "none of its layers" if layer is None else with_article(type(layer).__name__)
        raise UserError(
            f"head must name a linear layer of {kind} ({_listed(net)}), got {name!r}, which is {found}"
        )
    _check_alone(net, name, layer)
    return Adapted(net, name)


def with_new_head(net: nn.Module, num_classes: int) -> nn.Module:
    """The network adapted, with a fresh head for C classes in the place of its own."""
    adapted = adapt(net)
    adapted.head = new_head(backbone(adapted).head.in_features, num_classes)
    return adapted


def _instead(classifier: object) -> str:
    """What timm names as the classifier where that is no linear layer, and what to do."""
    if isinstance(classifier, nn.Conv2d):
        return "a convolution for its classifier, not a linear layer: take a network that ends in one"
    return (
        "no single linear classifier (distilled networks have two): take a network without distillation, "
        "with num_classes above 0"
    )


def _last_linear(net: nn.Module) -> str:
    kind = type(net).__name__
    linear: list[str] = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    classifier_of = getattr(net, "get_classifier", None)
    if callable(classifier_of):
        classifier = classifier_of()
        linear = [name for name, module in net.named_modules() if module is classifier and name in linear]
        if not linear:
            raise UserError(f"{kind} has {_instead(classifier)}")
    holding = [name for name, module in net.named_modules() if any(True for _ in module.parameters(False))]
    if linear and (len(linear) == 1 or linear[-1] == holding[-1]):
        return linear[-1]
    last = type(net.get_submodule(holding[-1])).__name__ if holding else "nothing that learns"
    named = f"name its head, adapt(net, head=...), one of {_listed(net)}; " if linear else ""
    raise NoLinearHead(
        f"{kind} ends in {last}, not in a linear layer: {named}where no such layer gives the logits, write a "
        "module with features(x) and head"
    )


def _listed(net: nn.Module) -> str:
    """The last linear layers of a network with their shapes, for messages."""
    found = [
        f"{name!r} ({layer.in_features} to {layer.out_features})"
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    before = f"{len(found) - SHOWN} others, " if len(found) > SHOWN else ""
    return before + (", ".join(found[-SHOWN:]) or "it has none")


def _check_alone(net: nn.Module, name: str, head: nn.Linear) -> None:
    """Raise where the layer or one of its weights has a second place in the network."""
    places = [other for other, module in net.named_modules(remove_duplicate=False) if module is head]
    held = {id(weight) for weight in head.parameters()}
    sharing = [
        other
        for other, module in net.named_modules()
        if module is not head and held & {id(weight) for weight in module.parameters(recurse=False)}
    ]
    others = [place for place in (*places, *sharing) if place != name]
    if others:
        raise UserError(
            f"head {name!r} is used elsewhere in {type(net).__name__} too, as {', '.join(others)}: a "
            "classifier must have weights of its own, so give it a layer of its own or name another"
        )
