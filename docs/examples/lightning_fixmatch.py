"""FixMatch as the loss of a Lightning module: 40 digits have labels, 1460 have none."""

import lightning
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


class Classifier(lightning.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.algorithm, self.net, self.teacher = FixMatch(threshold=0.8), net, Teacher(net, decay=0.99)

    def training_step(self, batch, batch_idx):
        (x, y), (u, _) = batch["labeled"], batch["unlabeled"]
        step = Step(self.global_step, self.trainer.estimated_stepping_batches)
        both = Batch(Samples(x, target=y), Samples(u))
        output = self.algorithm(Nets(self.net, self.teacher.net), both, step)
        self.log_dict(output.metrics)
        return {"loss": output.loss, "carry": output.carry}

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.algorithm.commit(outputs["carry"])
        self.teacher.update(self.global_step - 1)

    def configure_optimizers(self):
        return torch.optim.Adam(self.net.parameters(), lr=3e-3)


lightning.seed_everything(0, verbose=False)
pixels, classes = load_digits(return_X_y=True)
images, labels = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes)
digits = list(zip(images, labels, strict=True))
loaders = {  # Lightning draws the shorter one again and again
    "labeled": DataLoader(digits[:40], batch_size=10, shuffle=True, collate_fn=views),
    "unlabeled": DataLoader(digits[40:1500], batch_size=50, shuffle=True, collate_fn=views),
}
net = nn.Sequential(nn.Conv2d(1, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 36, 10))
model, quiet = Classifier(net), {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
lightning.Trainer(max_epochs=6, accelerator="cpu", enable_model_summary=False, **quiet).fit(model, loaders)
print(f"accuracy {(model.teacher(images[1500:]).argmax(dim=1) == labels[1500:]).float().mean():.3f}")
