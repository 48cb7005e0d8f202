"""Semantic equivariance in a plain loop: the features of a mixed picture shall be the mixture of the features."""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from ssl_mix.losses import mixup_cross_entropy, semantic_equivariance
from ssl_mix.mixers import Mixup

torch.manual_seed(0)
pixels, classes = load_digits(return_X_y=True)
images, labels = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes)

backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU())
head = nn.Linear(64, 10)
optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=3e-3)
mixer = Mixup(alpha=1.0)

for _ in range(8):
    for batch in torch.randperm(1500).split(50):
        mixed = mixer.mix_batch(images[batch], labels[batch])
        clean, seen = backbone(torch.cat((images[batch], mixed.images))).chunk(2)
        distance = semantic_equivariance(seen, clean, clean[mixed.partner], mixed.target.lam)
        loss = mixup_cross_entropy(head(seen), *mixed.target) + 1.0 * distance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

with torch.no_grad():
    features = backbone(images[1500:])
    accuracy = (head(features).argmax(dim=1) == labels[1500:]).float().mean()
    blended = backbone((images[1500:1600] + images[1600:1700]) / 2)
    middle = (features[:100] + features[100:200]) / 2
print(f"cosine of blended features {F.cosine_similarity(blended, middle).mean():.3f}")
print(f"accuracy {accuracy:.3f}")
