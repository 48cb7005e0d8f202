"""Semantic equivariance in a plain loop: the features of a mixed image shall be the mixture of the
features."""

import torch
from sklearn.datasets import load_digits
from torch import nn

from ssl_mix.losses import mixup_cross_entropy, semantic_equivariance
from ssl_mix.mixers import Mixup

pixels, classes = load_digits(return_X_y=True)
images, labels = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes)
mixer = Mixup(alpha=1.0)

for weight in (0.0, 1.0):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU())
    head = nn.Linear(64, 10)
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=3e-3)

    for _ in range(8):
        for batch in torch.randperm(1500).split(50):
            mixed = mixer.mix_batch(images[batch], labels[batch])
            clean, seen = backbone(torch.cat((images[batch], mixed.images))).chunk(2)
            distance = semantic_equivariance(seen, clean, clean[mixed.partner], mixed.target.lam)
            loss = mixup_cross_entropy(head(seen), *mixed.target) + weight * distance
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        a, b = backbone(images[1500:1640]), backbone(images[1640:1780])
        blend = backbone((images[1500:1640] + images[1640:1780]) / 2)
        gap = ((a + b) / 2 - blend).norm() / blend.norm()
        right = head(torch.cat((a, b))).argmax(dim=1) == labels[1500:1780]
    print(f"weight {weight}: accuracy {right.float().mean():.3f}, features miss the mixture by {gap:.0%}")
