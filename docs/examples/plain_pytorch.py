"""A plain PyTorch loop with CutMix and decoupled mixup, on the digits that come with scikit-learn."""

import torch
from sklearn.datasets import load_digits
from torch import nn

from ssl_mix.losses import DecoupledMixupLoss
from ssl_mix.mixers import CutMix

torch.manual_seed(0)
pixels, classes = load_digits(return_X_y=True)
images, labels = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes)

net = nn.Sequential(
    nn.Conv2d(1, 32, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(64 * 4 * 4, 10),
)
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
mixer = CutMix(alpha=1.0)
criterion = DecoupledMixupLoss(eta=0.1)  # was nn.CrossEntropyLoss()

for _ in range(5):
    for batch in torch.randperm(1500).split(100):
        mixed, target = mixer(images[batch], labels[batch])
        loss = criterion(net(mixed), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

accuracy = (net(images[1500:]).argmax(dim=1) == labels[1500:]).float().mean().item()
print(f"accuracy {accuracy:.3f}")
