"""FixMatch as the loss of your own loop, with your data, transforms, network and optimizer: 40 labels."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, default_collate
from torchvision.transforms import v2

from ssl_mix import Batch, Nets, Samples, Step, Task, Teacher
from ssl_mix.algorithms import FixMatch

WEAK = v2.GaussianNoise(sigma=0.05)
STRONG = v2.Compose([v2.RandomCrop(8, padding=1), v2.RandomErasing(p=1)])


def views(samples):
    return default_collate([({"weak": WEAK(image), "strong": STRONG(image)}, y) for image, y in samples])


torch.manual_seed(0)
pixels, classes = load_digits(return_X_y=True)
images, labels = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes)
digits = list(zip(images, labels, strict=True))
labeled = DataLoader(digits[:40] * 40, batch_size=10, shuffle=True, collate_fn=views)
unlabeled = DataLoader(digits[40:1500] * 6, batch_size=50, shuffle=True, collate_fn=views)

algorithm = FixMatch(threshold=0.8)  # or another of ssl_mix.algorithms: the rest stays as it is
net = nn.Sequential(nn.Conv2d(1, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 36, 10))
net = algorithm.extend(net, Task(num_classes=10, num_unlabeled=1460, image_shape=(1, 8, 8)))
teacher, optimizer = Teacher(net, decay=0.99), torch.optim.Adam(net.parameters(), lr=3e-3)
for number, ((x, y), (u, _)) in enumerate(zip(labeled, unlabeled, strict=False)):
    batch = Batch(Samples(x, target=y), Samples(u))
    output = algorithm(Nets(net, teacher.net), batch, Step(number, total=160))
    optimizer.zero_grad()
    output.loss.backward()
    optimizer.step()
    algorithm.commit(output.carry)  # the thresholds and queues of others; FixMatch has none
    teacher.update(number)

print(f"accuracy {(teacher(images[1500:]).argmax(dim=1) == labels[1500:]).float().mean():.3f}")
