"""Mixing as an objective: terms that any algorithm adds, the pool of MixMatch, and mixer, label policy and
loss for supervised training."""
