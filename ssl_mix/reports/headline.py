"""The top of a report: what was trained on what, and how good it is in one sentence."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_mix.evaluation import share_interval
from ssl_mix.models.registry import default_network
from ssl_mix.reports.blocks import Block, Commands, Text
from ssl_mix.reports.summary import Summary, summarize
from ssl_mix.reports.told import Told
from ssl_mix.runs.folder import chosen_by_auto


def headline(told: Told) -> list[Block]:
    """The answer, what it is the answer to, and the command that repeats it."""
    done, steps = told.steps
    blocks: list[Block] = [Text(answer(told))]
    if not told.finished:
        state = (
            f"step {done} of {steps} is the last that is recorded"
            if told.records
            else "nothing is recorded yet"
        )
        text = (
            f"This run is not finished: {state}. Go on with: ssl-mix resume {shlex.quote(str(told.folder))}"
        )
        blocks.append(Text(text, warning=True))
    return [*blocks, Text(trained_on(told)), Commands(command_of(told.config))]


def title_of(told: Told) -> str:
    """What a run is called."""
    return f"{name_of(told)} on {told.config['dataset'].get('name')}"


def name_of(told: Told) -> str:
    """The algorithm of a run, or what ``auto`` chose."""
    chosen = chosen_by_auto(told.folder)
    return str(told.config["algorithm"].get("name")) if chosen is None else f"auto: {chosen}"


def answer(told: Told) -> str:
    """How good the run is: accuracy with its interval, and the linear probe beside it."""
    summary = summarize(list(told.records))
    if summary.last is None:
        return _untested(told)
    images = told.test_images
    low, high = share_interval(round(summary.last * images), images)
    found = f"{100 * summary.last:.1f} % of {images} test images are recognized"
    return f"{found}, {interval_text(low, high)}{against_probe(summary, low, high)}"


def interval_text(low: float, high: float) -> str:
    """A 95 % interval of a share in words."""
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f}"


def _untested(told: Told) -> str:
    held_out = [record["validation_accuracy"] for record in told.records if "validation_accuracy" in record]
    if held_out and not isinstance(told.split, str):
        count = len(told.split.validation)
        low, high = share_interval(round(held_out[-1] * count), count)
        known = f"{100 * held_out[-1]:.1f} % of {count} held-out images are recognized"
        lacking = "have not been looked at" if told.test_images else "are missing"
        return f"{known}, {interval_text(low, high)}; test images {lacking}."
    if told.test_images:
        return f"How good it is is not known yet: its {told.test_images} test images have not been looked at."
    return (
        "How good it is is not known: there are no test images. Measure it on some: ssl-mix evaluate "
        f"{shlex.quote(str(told.folder))} --test DIR"
    )


def against_probe(summary: Summary, low: float, high: float) -> str:
    """The rest of a sentence: what a linear probe has, and what follows."""
    if summary.probe is None or summary.last is None:
        return "; it began from random weights, so that there is no linear probe to beat."
    gain = 100 * (summary.last - summary.probe)
    if gain < 0:
        verdict = "this run lost to it"
    elif gain == 0:
        verdict = "this run has gained nothing"
    else:
        verdict = f"this run gained {gain:.1f} points"
    doubt = ", but the probe is within the interval" if gain and low <= summary.probe <= high else ""
    return f"; a linear probe has {100 * summary.probe:.1f} %: {verdict}{doubt}."


def trained_on(told: Told) -> str:
    """Images, network and training in a few sentences."""
    config = told.config
    data, train, images = config["dataset"], config["train"], f"{told.test_images} test images"
    if isinstance(told.split, str):
        parts = f"Which images were labeled is not known ({told.split.rstrip('.')})"
    else:
        split = told.split
        held_out = f", {len(split.validation)} held out" if split.validation else ""
        parts = (
            f"{name_of(told)} learned {data.get('name')} from {len(split.labeled)} labeled "
            f"images of {len(told.classes)} {'class' if len(told.classes) == 1 else 'classes'} and "
            f"{len(split.unlabeled)} unlabeled ones{held_out}; there are {images}"
        )
    steps = (
        f"{told.steps[0]:,} of {told.steps[1]:,} steps" if not told.finished else f"{told.steps[1]:,} steps"
    )
    seconds = summarize(list(told.records)).seconds
    return (
        f"{parts}. The network is {network_of(config)}; {steps} of {train['batch_size']} labeled images took "
        f"{duration(seconds)}, seed {train['seed']}."
    )


def network_of(config: Mapping[str, Any]) -> str:
    """Name, size of images, and what its weights were."""
    net, shape = config["net"], config["dataset"]["image_shape"]
    images, given = len(shape) == 3, (config.get("given") or {}).get("net")
    name = net.get("net") or (given["class"] if given else default_network(min(shape[1:])))
    weights = net.get("pretrained")
    start = "random weights" if weights in (None, "none") else f"trained weights ({weights})"
    tuned = "" if net.get("tune", "all") == "all" else f", tuned: {net['tune']}"
    seen = f"{shape[2]} x {shape[1]} pixels" if images else f"inputs of {' x '.join(map(str, shape))}"
    return f"{name} for {seen}, from {start}{tuned}"


def duration(seconds: float) -> str:
    """Time in words."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def command_of(config: Mapping[str, Any]) -> str:
    """The command line behind a run, or the script that began it."""
    words = [str(word) for word in config.get("command", ())]
    if not words:
        return "its command is not recorded"
    name = Path(words[0]).name
    if name in ("ssl-mix", "__main__.py"):
        return shlex.join(["ssl-mix", *words[1:]])
    return f"# began in Python, by:\n{shlex.join(words)}"
