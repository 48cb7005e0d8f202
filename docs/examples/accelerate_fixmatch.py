"""FixMatch as the loss of a loop with Hugging Face's Accelerate: 40 digits have labels, 1460 have none."""

import accelerate
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, default_collate
from torchvision.transforms import v2

from ssl_mix import Batch, Nets, Samples, Step, Teacher
from ssl_mix.algorithms import FixMatch

WEAK = v2.GaussianNoise(sigma=0.05)
STRONG = v2.Compose([v2.RandomCrop(8, padding=1), v2.RandomErasing(p=1)])


def views(samples):
    return default_collate([({"weak": WEAK(image), "strong": STRONG(image)}, y) for image, y in samples])


accelerate.utils.set_seed(0)
pixels, classes = load_digits(return_X_y=True)
images, labels = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes)
digits = list(zip(images, labels, strict=True))
labeled = DataLoader(digits[:40] * 40, batch_size=10, shuffle=True, collate_fn=views)
unlabeled = DataLoader(digits[40:1500] * 6, batch_size=50, shuffle=True, collate_fn=views)

accelerator = accelerate.Accelerator()
algorithm = FixMatch(threshold=0.8).to(accelerator.device)
net = nn.Sequential(nn.Conv2d(1, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 36, 10))
teacher = Teacher(net, decay=0.99).to(accelerator.device)  # before the student is prepared
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
net, optimizer, labeled, unlabeled = accelerator.prepare(net, optimizer, labeled, unlabeled)
for number, ((x, y), (u, _)) in enumerate(zip(labeled, unlabeled, strict=False)):
    with accelerator.autocast():
        batch = Batch(Samples(x, target=y), Samples(u))
        output = algorithm(Nets(net, teacher.net), batch, Step(number, total=160))
    optimizer.zero_grad()
    accelerator.backward(output.loss)
    optimizer.step()
    algorithm.commit(output.carry)
    teacher.update(number)

answers = teacher(images[1500:].to(accelerator.device)).argmax(dim=1).cpu()
accelerator.print(f"accuracy {(answers == labels[1500:]).float().mean():.3f}")
