"""torchvision's CutMix and MixUp in the collate function of a DataLoader, decoupled mixup as the loss."""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, default_collate
from torchvision.transforms import v2

from ssl_mix.losses import DecoupledMixupLoss

MIX = v2.RandomChoice([v2.CutMix(num_classes=10), v2.MixUp(alpha=0.2, num_classes=10)])


def collate(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """A batch mixed by torchvision, with soft targets (N, 10)."""
    return MIX(*default_collate(samples))


def main() -> None:
    """Train on mixed digits, and print the test accuracy."""
    torch.manual_seed(0)
    pixels, classes = load_digits(return_X_y=True)
    images, labels = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes)
    data = TensorDataset(images[:1500], labels[:1500])
    loader = DataLoader(data, batch_size=50, shuffle=True, collate_fn=collate)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    criterion = DecoupledMixupLoss(eta=0.1)  # was nn.CrossEntropyLoss()
    for _ in range(8):
        for mixed, target in loader:
            optimizer.zero_grad()
            criterion(net(mixed), target).backward()
            optimizer.step()

    accuracy = (net(images[1500:]).argmax(dim=1) == labels[1500:]).float().mean().item()
    print(f"accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
