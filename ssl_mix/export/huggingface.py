"""A folder in the form of the Hugging Face hub: weights, configuration and a model card."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from ssl_mix.errors import counts_of
from ssl_mix.export.deployed import About
from ssl_mix.export.weights import save, timm_body, timm_options
from ssl_mix.runs.folder import write_text

CARD = """---
library_name: timm
pipeline_tag: image-classification
tags: [image-classification, timm, ssl-mix]
license: other
---
# {title}

An image classifier of {count} classes, trained from few labels by ssl-mix ({algorithm}).

```python
import timm

model = timm.create_model("local-dir:FOLDER"{options}, pretrained=True).eval()
data = timm.data.resolve_model_data_config(model)
transform = timm.data.create_transform(**data, is_training=False)
```

It takes images of {size} x {size} pixels with {channels} channels, in [0, 1] less {mean}, over {std}. The
softmax of its logits over {temperature} is what ssl-mix tells. `config.json` has the names of the classes.

## Data and training

{training}

## Results

{results}

## Limits

It knows these {count} classes alone and says one of them of every image. It was measured on the images named
above and on no others; whom it fails most was not looked into. Pseudo-labels carry the first mistakes on.

## License

That of the weights it started from and of the images it learned from: look them up, and write it in here.
"""


def write_folder(net: nn.Module, about: About, folder: Path, config: dict[str, Any], results: str) -> None:
    """Write ``model.safetensors``, ``config.json`` and ``README.md``.

    Args:
        net: of timm, as it was trained.
        about: its description.
        folder: is there, and empty.
        config: of the run.
        results: in words.
    """
    body = timm_body(net)
    save(body.state_dict(), about, folder / "model.safetensors")
    write_text(folder / "config.json", json.dumps(configuration(body, about, net), indent=2) + "\n")
    write_text(folder / "README.md", card(about, config, results, timm_options(net, about)))


def configuration(body: Any, about: About, net: nn.Module) -> dict[str, Any]:
    """``config.json`` as timm reads it."""
    share = about.size / about.stored_size
    return {
        "architecture": body.pretrained_cfg["architecture"],
        "num_classes": len(about.classes),
        "num_features": int(body.num_features),
        "label_names": list(about.classes),
        "model_args": timm_options(net, about),
        "pretrained_cfg": {
            "input_size": [about.channels, about.size, about.size],
            "fixed_input_size": bool(body.pretrained_cfg.get("fixed_input_size", False)),
            "mean": list(about.mean),
            "std": list(about.std),
            "interpolation": "bicubic",
            "crop_pct": share,
            "crop_mode": "center" if about.fit == "cut" else "squash",
            "num_classes": len(about.classes),
            "first_conv": body.pretrained_cfg.get("first_conv"),
            "classifier": body.pretrained_cfg.get("classifier"),
        },
    }


def card(about: About, config: dict[str, Any], results: str, options: dict[str, object]) -> str:
    """The model card."""
    train, net = config["train"], config["net"]
    training = (
        f"Images: {config['dataset']['name']}. {counts_of(train['steps'], 'step')} of "
        f"{counts_of(train['batch_size'], 'image')} from the weights {Path(str(net['pretrained'])).name}, "
        f"training {net['tune']} at a learning rate of {train['lr']}. The "
        f"command:\n\n```\n{' '.join(shown(word) for word in config['command'])}\n```"
    )
    return CARD.format(
        title=f"{net['net']} on {config['dataset']['name']}",
        count=len(about.classes),
        algorithm=about.algorithm,
        options="".join(f", {name}={value}" for name, value in options.items()),
        size=about.size,
        channels=about.channels,
        mean=about.mean,
        std=about.std,
        temperature=about.temperature,
        training=training,
        results=results,
    )


def shown(word: str) -> str:
    """A word of a command without the folders of the machine."""
    return Path(word).name if "/" in word else word
