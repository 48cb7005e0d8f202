"""Anybody's network: the features are what the last layer reads, whoever wrote the network, and what has none
is refused."""

import copy
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
import torchvision
from timm.models.resnetv2 import ResNetV2
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.models import SmallCNN, adapt
from ssl_mix.models.adapted import Adapted
from ssl_mix.passes import backbone, logits_of
from ssl_mix.transfer.heads import new_head


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )


class Own(nn.Module):
    """Layers in another order than they run, and another linear layer in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 5)
        self.inner = nn.Linear(4, 6)
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.inner(self.conv(x).mean((2, 3)))))  # type: ignore[no-any-return]


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str | None, str]] = {
    "sequential": (small, None, "4"),
    "own": (Own, "out", "out"),
    "dropout last": (lambda: nn.Sequential(*small(), nn.Dropout(0.0)), None, "4"),
    "one layer": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)), None, "1"),
    "torchvision resnet18": (lambda: torchvision.models.resnet18(num_classes=5), None, "fc"),
    "torchvision mobilenet_v3_small": (
        lambda: torchvision.models.mobilenet_v3_small(num_classes=5),
        None,
        "classifier.3",
    ),
    "torchvision swin_t": (lambda: torchvision.models.swin_t(num_classes=5), None, "head"),
    "torchvision convnext_tiny": (
        lambda: torchvision.models.convnext_tiny(num_classes=5),
        "classifier.2",
        "classifier.2",
    ),
    "timm resnet18": (lambda: timm.create_model("resnet18", num_classes=5), None, "fc"),
    "timm convnext_atto": (lambda: timm.create_model("convnext_atto", num_classes=5), None, "head.fc"),
    "timm vit": (
        lambda: timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=32),
        None,
        "head",
    ),
}
PICTURES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Adapted, str]:
    make, named, expected = NETWORKS[request.param]
    torch.manual_seed(0)
    net = make().eval()
    adapted = adapt(net, named)
    assert isinstance(adapted, Adapted)
    return net, adapted, expected


def test_features_are_what_the_last_layer_reads(case: tuple[nn.Module, Adapted, str]) -> None:
    net, adapted, expected = case
    head = net.get_submodule(expected)
    read: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    logits = net(PICTURES)
    handle.remove()
    assert adapted.head is head and adapted.body is net
    features = adapted.features(PICTURES)
    assert features.ndim == 2 and torch.equal(features, read[0])
    assert torch.equal(adapted(PICTURES), logits) and torch.equal(adapted.head(features), logits)
    assert type(adapted.head) is nn.Linear


def test_nothing_is_copied_and_names_begin_with_body(case: tuple[nn.Module, Adapted, str]) -> None:
    net, adapted, _ = case
    expected = {f"body.{name}": value for name, value in net.state_dict(keep_vars=True).items()}
    found = adapted.state_dict(keep_vars=True)
    assert list(found) == list(expected) and all(found[name] is expected[name] for name in expected)


def test_a_copy_and_a_pickled_one_are_alike_and_independent(case: tuple[nn.Module, Adapted, str]) -> None:
    _, adapted, _ = case
    features = adapted.features(PICTURES)
    for twin in (copy.deepcopy(adapted), pickle.loads(pickle.dumps(adapted))):
        assert torch.equal(twin.features(PICTURES), features)
        with torch.no_grad():
            twin.head.weight.zero_()
        assert not twin.head(features).sub(twin.head.bias).any()
    assert adapted.head.weight.any()


def test_gradients_reach_what_is_before_the_head(case: tuple[nn.Module, Adapted, str]) -> None:
    _, adapted, _ = case
    adapted.features(PICTURES.clone().requires_grad_()).square().sum().backward()
    head = {id(weight) for weight in adapted.head.parameters()}
    body = [weight for weight in adapted.parameters() if id(weight) not in head]
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in body)
    assert not body or any(weight.grad.any() for weight in body if weight.grad is not None)
    assert adapted.head.weight.grad is None


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_stays_and_each_call_moves_the_statistics_once(training: bool) -> None:
    net = small().train(training)
    adapted = backbone(adapt(net))
    adapted.features(PICTURES)
    assert net.training is training and net[1].num_batches_tracked == int(training)


def test_compiled_networks_compute_the_same() -> None:
    net = adapt(small().eval())
    fast = backbone(torch.compile(net, backend="eager"))  # type: ignore[arg-type]
    assert torch.equal(fast(PICTURES), net(PICTURES))
    assert torch.equal(fast.head(fast.features(PICTURES)), fast(PICTURES))
    features = torch.compile(backbone(net).features, backend="eager")
    assert torch.equal(features(PICTURES), backbone(net).features(PICTURES))
    net.compile(backend="eager")
    assert torch.equal(net.head(backbone(net).features(PICTURES)), net(PICTURES))  # type: ignore[operator]


def test_half_precision_that_the_network_casts_back() -> None:
    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small().eval()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x).float()  # type: ignore[no-any-return]

    net = backbone(adapt(Cast()))
    with torch.autocast("cpu", torch.bfloat16):
        features, logits = net.features(PICTURES), net(PICTURES)
        assert logits.dtype == torch.float32 and torch.equal(net.head(features).float(), logits)


def test_another_head_takes_the_place_of_the_one_that_is_there(
    case: tuple[nn.Module, Adapted, str],
) -> None:
    net, adapted, expected = case
    before, features = len(adapted.state_dict()), adapted.features(PICTURES)
    adapted.head = new_head(adapted.head.in_features, 7)
    assert net.get_submodule(expected) is adapted.head and len(adapted.state_dict()) == before
    assert torch.equal(adapted(PICTURES), adapted.head(features)) and adapted(PICTURES).shape == (3, 7)


def test_a_layer_alone_is_a_network() -> None:
    layer = nn.Linear(6, 4)
    adapted, x = backbone(adapt(layer)), torch.randn(2, 6)
    assert adapted.head is layer and torch.equal(adapted.features(x), x)


def test_a_network_that_has_both_is_returned_as_it_is() -> None:
    net = SmallCNN(4)
    assert adapt(net) is net
    adapted = adapt(small())
    assert adapt(adapted) is adapted


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.fc(x.mean((2, 3))))  # type: ignore[no-any-return]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.fc = nn.Linear(3, 3), nn.Linear(3, 3)
        self.fc.weight = self.inner.weight


def twice() -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer)


@pytest.mark.parametrize(
    ("make", "head", "words"),
    [
        (Own, None, r"ends in Conv2d.*adapt\(net, head=...\), one of 'out' \(6 to 5\), 'inner' \(4 to 6\)"),
        (
            small,
            "fc",
            r"head must name a linear layer of Sequential \('4' \(4 to 5\)\), got 'fc', which is none",
        ),
        (small, "0", "got '0', which is a Conv2d"),
        (lambda: torchvision.models.squeezenet1_0(), None, "not in a linear layer: where no such layer"),
        (lambda: torchvision.models.vit_b_16(), "no", "others, .*'heads.head' "),
        (lambda: timm.create_model("deit_tiny_distilled_patch16_224"), None, "distilled"),
        (lambda: timm.create_model("resnet18", num_classes=0), None, "num_classes above 0"),
        (
            lambda: ResNetV2(layers=(1,), channels=(128,), stem_chs=32),
            None,
            "a convolution for its classifier",
        ),
        (twice, None, "head '0' is used elsewhere in Sequential too, as 2"),
        (Tied, "fc", "head 'fc' is used elsewhere in Tied too, as inner"),
        (lambda: torch.compile(small(), backend="eager"), None, "compile the result"),
        (nn.Identity, None, "ends in nothing that learns"),
    ],
)
def test_what_has_no_head_is_refused(make: Callable[[], nn.Module], head: str | None, words: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=words):
        adapt(make(), head)


class Answers(nn.Module):
    """Returns the logits in another form."""

    def __init__(self, form: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.net, self.form = small(), form

    def forward(self, x: Tensor) -> object:
        return self.form(self.net(x))


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (Answers(lambda logits: (logits, logits)), "Answers returns a tuple where logits"),
        (Answers(lambda logits: {"out": logits}), "Answers returns a dict where logits"),
        (Answers(lambda logits: logits.log_softmax(1)), "not the output of 'net.4': .*softmax"),
        (Answers(lambda logits: logits[:, :2]), "not the output of 'net.4'"),
        (Reused(), "must run once in a forward pass, and ran 2 times"),
    ],
)
def test_what_a_forward_pass_shows_is_refused_then(net: nn.Module, words: str) -> None:
    with pytest.raises(UserError, match=words):
        backbone(adapt(net)).features(PICTURES)


def test_a_layer_that_is_not_the_last_to_run_is_refused_when_it_runs() -> None:
    with pytest.raises(UserError, match=r"not the output of 'inner'.*'out' \(6 to 5\)"):
        backbone(adapt(Own(), "inner")).features(PICTURES)


def test_a_body_that_was_compiled_before() -> None:
    net = adapt(small().eval())
    expected = net(PICTURES)
    net.body.compile(backend="eager")  # type: ignore[operator, union-attr]
    for _ in range(2):
        assert torch.equal(net(PICTURES), expected)
        assert torch.equal(backbone(net).head(backbone(net).features(PICTURES)), expected)


def test_the_head_is_back_after_an_error() -> None:
    net = backbone(adapt(small()))
    head = net.head
    with pytest.raises(RuntimeError):
        net.features(PICTURES[:, :2])
    assert net.head is head


def test_a_network_that_looks_at_its_head() -> None:
    class Casting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 5)

        def forward(self, x: Tensor) -> Tensor:
            assert self.fc.out_features == 5
            return self.fc(x.mean((2, 3)).to(self.fc.weight.dtype))  # type: ignore[no-any-return]

    net = backbone(adapt(Casting()))
    assert torch.equal(net.head(net.features(PICTURES.double())), net(PICTURES.double()))


@pytest.mark.parametrize(
    "answer", [lambda logits: {"logits": logits, "loss": None}, lambda logits: SimpleNamespace(logits=logits)]
)
def test_logits_are_found_in_what_holds_them(answer: Any) -> None:
    """As the networks of Hugging Face return them."""
    net = Answers(answer)
    held, expected = backbone(adapt(net)), net.net(PICTURES)
    torch.testing.assert_close(held(PICTURES), expected)
    torch.testing.assert_close(held.head(held.features(PICTURES)), expected)
    torch.testing.assert_close(logits_of(net, PICTURES), expected)
