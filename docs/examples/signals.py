"""FixMatch with CutMix on signals (N, C, T): noisy waves of three kinds, of which twelve have labels."""

import torch
from torch import nn

import ssl_mix
from ssl_mix.datasets import tensor_data


def draw(like, generator):
    return torch.rand(like, generator=generator)


def weak(x, generator):
    """Jitter."""
    return x + 0.1 * torch.randn(x.shape, generator=generator).to(x)


def strong(x, generator):
    """Jitter, scaling of each channel, and masks of time and of a channel, as in SpecAugment."""
    count, channels, length = x.shape
    x = weak(x, generator) * (0.5 + draw((count, channels, 1), generator)).to(x)
    start, time = draw((count, 1, 1), generator) * length * 0.75, torch.arange(length)
    silent = draw((count, 1, 1), generator).mul(channels + 1).floor() == torch.arange(channels)[:, None]
    hidden = ((time >= start) & (time < start + length / 4)) | silent  # of channels + 1 draws one masks none
    return x.masked_fill(hidden.to(x.device), 0)


def waves(count, seed):
    """Sine, square and saw-tooth waves of any frequency and phase in two channels, in noise."""
    generator, labels = torch.Generator().manual_seed(seed), torch.arange(count) % 3
    frequency, phase = 2 + 3 * draw((count, 1, 1), generator), draw((count, 2, 1), generator)
    turns = frequency * torch.linspace(0, 1, 64) + phase
    sine = (2 * torch.pi * turns).sin()
    kinds = torch.stack((sine, sine.sign(), 2 * (turns % 1) - 1))
    signals = kinds[labels, torch.arange(count)]
    return signals + 0.2 * torch.randn(signals.shape, generator=generator), labels


torch.manual_seed(0)
first, second = nn.Conv1d(2, 16, 7), nn.Conv1d(16, 16, 7)
layers = [first, nn.BatchNorm1d(16), nn.ReLU(), second, nn.ReLU()]
net = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 3))
data = tensor_data(waves(12, 0), waves(600, 1)[0], waves(300, 2), weak=weak, strong=strong)
options = {"mix": "mixup", "mixer": "cutmix", "steps": 100, "batch_size": 12, "lr": 0.05}
trained = ssl_mix.fit("fixmatch", data, net=net, threshold=0.9, eval_every=100, **options)
print(f"accuracy {trained.evaluate(waves(300, 2)).accuracy:.3f}")
