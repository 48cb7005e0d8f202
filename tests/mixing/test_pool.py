"""The pool of labeled and unlabeled images that MixMatch mixes."""

import pytest
import torch
from torch import Tensor, nn

from ssl_mix.mixing.pool import classify_in_parts, interleaved, mix_pool
from ssl_mix.models import SmallCNN
from ssl_mix.passes import apart


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("labeled", "total"), [(4, 12), (5, 15), (6, 48), (5, 18), (1, 3), (7, 9), (64, 192)]
)
def test_interleaving_swaps_and_undoes_itself(labeled: int, total: int) -> None:
    order = interleaved(labeled, total)
    assert torch.equal(order[order], torch.arange(total))
    parts = (order[:labeled] // labeled).bincount(minlength=total // labeled)
    if total % labeled == 0:  # the first part holds an equal share of every part
        assert parts.max() - parts.min() <= 1


@pytest.mark.parametrize("interleave", [True, False])
def test_only_the_first_part_moves_running_statistics(interleave: bool) -> None:
    torch.manual_seed(0)
    nets = [SmallCNN(3, channels=1).train() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    images = noise(14, 1, 8, 8)
    logits = classify_in_parts(nets[0], images, 5, interleave=interleave)
    order = interleaved(5, 14) if interleave else torch.arange(14)
    nets[1](images[order[:5]])
    for mine, other in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
        torch.testing.assert_close(mine, other)
    second = order[5:10]
    torch.testing.assert_close(logits[second], apart(nets[0], images[second]))


@pytest.mark.parametrize("lam_per", ["sample", "batch"])
def test_pool_keeps_the_larger_share_and_mixes_targets_as_pictures(lam_per: str) -> None:
    count, labeled = 30, 10
    pictures = torch.eye(count).view(count, count, 1, 1)  # the channels of a mixed one tell who is in it
    targets = torch.softmax(noise(count, 4), dim=1)
    net = nn.Flatten()
    pool = mix_pool(
        net,
        pictures,
        targets,
        labeled,
        alpha=0.75,
        lam_per=lam_per,
        interleave=True,
        generator=torch.Generator().manual_seed(3),
    )
    shares = pool.logits
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(count))
    torch.testing.assert_close(pool.targets, shares @ targets)
    own = shares.diagonal()
    assert (own >= 0.5 - 1e-6).all()
    assert (len(own[own < 1].unique()) == 1) == (lam_per == "batch")
    for row in range(count):
        others = [other for other in shares[row].nonzero()[:, 0].tolist() if other != row]
        partner = others[0] if others else row
        assert pool.known[row].tolist() == [row < labeled, partner < labeled]
        assert pool.pair.labels_a[row] == targets[row].argmax()
        assert pool.pair.labels_b[row] == targets[partner].argmax()
