"""A Lightning module whose training step mixes the batch."""

import lightning
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ssl_mix.losses import DecoupledMixupLoss
from ssl_mix.mixers import FMix


class Classifier(lightning.LightningModule):
    """A small network for digits, trained on mixed ones."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
        self.mixer, self.criterion = FMix(), DecoupledMixupLoss(eta=0.1)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        mixed, target = self.mixer(*batch)
        return self.criterion(self.net(mixed), target)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log("accuracy", (self.net(batch[0]).argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=3e-3)


lightning.seed_everything(0, verbose=False)
pixels, classes = load_digits(return_X_y=True)
data = TensorDataset(torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes))
train, test = torch.utils.data.Subset(data, range(1500)), torch.utils.data.Subset(data, range(1500, 1797))
quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = lightning.Trainer(max_epochs=8, accelerator="cpu", enable_checkpointing=False, **quiet)
trainer.fit(model := Classifier(), DataLoader(train, batch_size=50, shuffle=True))
(scores,) = trainer.test(model, DataLoader(test, batch_size=297), verbose=False)
print(f"accuracy {scores['accuracy']:.3f}")
