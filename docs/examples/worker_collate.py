"""A mixer in the collate function, run by a worker: its target passes through a DataLoader as it is."""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

from ssl_mix.losses import DecoupledMixupLoss
from ssl_mix.mixers import ResizeMix
from ssl_mix.types import MixedTarget


def collate(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, MixedTarget]:
    """A batch mixed by the worker that collates it."""
    return ResizeMix()(*default_collate(samples))


def main() -> None:
    """Train on mixed digits, and print the test accuracy."""
    torch.manual_seed(0)
    pixels, classes = load_digits(return_X_y=True)
    images, labels = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes)
    data = TensorDataset(images[:1500], labels[:1500])
    loader = DataLoader(data, 50, shuffle=True, collate_fn=collate, num_workers=1, persistent_workers=True)

    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    criterion = DecoupledMixupLoss(eta=0.1, label_smoothing=0.1)
    for _ in range(8):
        for mixed, target in loader:  # target: MixedTarget(labels_a, labels_b, lam)
            optimizer.zero_grad()
            criterion(net(mixed), target).backward()
            optimizer.step()

    accuracy = (net(images[1500:]).argmax(dim=1) == labels[1500:]).float().mean().item()
    print(f"accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
