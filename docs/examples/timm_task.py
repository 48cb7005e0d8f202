"""timm's Mixup and its training task, once with decoupled mixup and once with LUMix as the criterion.

timm's dense targets do not say which image was the base. Neither loss needs to know: both halves of DM count,
and LUMix's random weights are symmetric (with noise="normal" they are not, and a dense target is refused).
"""

import numpy as np
import timm.optim
import torch
from sklearn.datasets import load_digits
from timm.data import Mixup
from timm.task import ClassificationTask

from ssl_mix.losses import DecoupledMixupLoss, LUMixLoss

pixels, classes = load_digits(return_X_y=True)
images, labels = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes)
images = torch.nn.functional.interpolate(images, scale_factor=2)

for criterion in (DecoupledMixupLoss(eta=0.1), LUMixLoss()):  # was timm.loss.SoftTargetCrossEntropy()
    torch.manual_seed(0)
    np.random.seed(0)  # timm's Mixup draws from NumPy
    model = timm.create_model("test_resnet", num_classes=10, in_chans=1)
    mixup = Mixup(mixup_alpha=0.2, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=10)
    task = ClassificationTask(model, criterion=criterion)
    optimizer = timm.optim.create_optimizer_v2(task, opt="adamw", lr=3e-3)

    for _ in range(3):
        for batch in torch.randperm(1500).split(50):
            result = task(*mixup(images[batch], labels[batch]))
            optimizer.zero_grad()
            result["loss"].backward()
            optimizer.step()

    with torch.no_grad():
        right = model.eval()(images[1500:]).argmax(dim=1) == labels[1500:]
    print(f"{type(criterion).__name__}: accuracy {right.float().mean():.3f}")
