"""The top of a report: what was trained on what, and how good it is in one sentence."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_mix.errors import UserError, counts_of, verb_for
from ssl_mix.evaluation import share_interval
from ssl_mix.models.registry import default_network
from ssl_mix.reports.auto_ladder import AUTO, is_auto
from ssl_mix.reports.blocks import Block, Commands, Text
from ssl_mix.reports.summary import summarize
from ssl_mix.reports.told import Told
from ssl_mix.suites.results import read_results

LEARNED = ("train", "labeled", "table")  # options that name images to learn from


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
    return f"{method_of(told)} on {data_name(told.config)}"


def method_of(told: Told) -> str:
    """The name of the algorithm, or "auto", which chooses one."""
    return AUTO if is_auto(told.folder) else str(told.config["algorithm"].get("name"))


def data_name(config: Mapping[str, Any]) -> str:
    """The name of a data set; of images of one's own their folder or table, by the last two parts of its
    path."""
    own = next((config["data"][name] for name in LEARNED if config["data"].get(name)), None)
    return str(config["dataset"].get("name")) if own is None else "/".join(Path(own).parts[-2:])


def answer(told: Told) -> str:
    """How good the run is: accuracy with its interval, and the linear probe beside it."""
    summary = summarize(list(told.records))
    if summary.last is None:
        return _untested(told)
    images = told.test_images
    low, high = share_interval(round(summary.last * images), images)
    found = f"{100 * summary.last:.1f} % of {counts_of(images, 'test image')} {verb_for(images)} recognized"
    interval = low, high
    if summary.probe is None:
        beside = _against_first_features(told, summary.last, interval)
    else:
        beside = f"a linear probe has {_against(summary.probe, summary.last, interval)}"
    return f"{found}, {interval_text(low, high)}; {beside}"


def interval_text(low: float, high: float) -> str:
    """A 95 % interval of a share in words."""
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f}"


def _untested(told: Told) -> str:
    held_out = [record["validation_accuracy"] for record in told.records if "validation_accuracy" in record]
    if held_out and not isinstance(told.split, str):
        count = len(told.split.validation)
        low, high = share_interval(round(held_out[-1] * count), count)
        known = (
            f"{100 * held_out[-1]:.1f} % of {counts_of(count, 'held-out image')} {verb_for(count)} recognized"
        )
        lacking = "have not been looked at" if told.test_images else "are missing"
        return f"{known}, {interval_text(low, high)}; test images {lacking}."
    if told.test_images:
        return (
            f"How good it is is not known yet: its {counts_of(told.test_images, 'test image')} "
            f"{verb_for(told.test_images, 'has', 'have')} not been looked at."
        )
    return (
        "How good it is is not known: there are no test images. Measure it on some: ssl-mix evaluate "
        f"{shlex.quote(str(told.folder))} --test DIR"
    )


def _against(probe: float, last: float, interval: tuple[float, float]) -> str:
    """The rest of a sentence: what a linear probe has, and what follows."""
    gain = 100 * (last - probe)
    if gain < 0:
        verdict = "this run lost to it"
    elif gain == 0:
        verdict = "this run has gained nothing"
    else:
        verdict = f"this run gained {gain:.1f} points"
    doubt = ", but the probe is within the interval" if gain and interval[0] <= probe <= interval[1] else ""
    return f"{100 * probe:.1f} %: {verdict}{doubt}."


def _against_first_features(told: Told, last: float, interval: tuple[float, float]) -> str:
    """The same of a run that has recorded no probe; its suite "accuracy" may have made one."""
    probe = _measured_probe(told)
    if probe is not None:
        return f"a linear probe on the features before training has {_against(probe, last, interval)}"
    if (told.config.get("given") or {}).get("net"):
        return "what a linear probe has is not known, for the network was handed over in Python."
    command = f"ssl-mix evaluate {shlex.quote(str(told.folder))} --suite accuracy"
    return f"it began from random weights: what a linear probe on those has, {command} tells."


def _measured_probe(told: Told) -> float | None:
    """What the suite "accuracy" found on the same images with the same weights."""
    try:
        found = read_results(told.folder).get("accuracy", {})
    except UserError:  # told where suites are shown
        return None
    same = found.get("step") == told.steps[0] and found.get("images") == told.test_images
    other = found.get("test") or found.get("among_classes") or found.get("weights") != "last"
    probe: float | None = found.get("probe_accuracy")
    return probe if same and not other else None


def trained_on(told: Told) -> str:
    """Images, network and training in a few sentences."""
    config = told.config
    train, there = config["train"], "there is" if told.test_images == 1 else "there are"
    images = counts_of(told.test_images, "test image")
    if isinstance(told.split, str):
        parts = f"Which images were labeled is not known ({told.split.rstrip('.')})"
    else:
        split = told.split
        held_out = f", {len(split.validation)} held out" if split.validation else ""
        parts = (
            f"{method_of(told)} learned {data_name(config)} from "
            f"{counts_of(len(split.labeled), 'labeled image')} of {counts_of(len(told.classes), 'class')} "
            f"and {counts_of(len(split.unlabeled), 'unlabeled one')}{held_out}; {there} {images}"
        )
    steps = (
        counts_of(told.steps[1], "step")
        if told.finished
        else f"{told.steps[0]:,} of {counts_of(told.steps[1], 'step')}"
    )
    seconds = summarize(list(told.records)).seconds
    return (
        f"{parts}. The network is {network_of(config)}; {steps} of "
        f"{counts_of(train['batch_size'], 'labeled image')} took {duration(seconds)}, seed {train['seed']}."
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
    if seconds < 1:
        return "less than a second"
    if seconds < 120:
        return counts_of(round(seconds), "second")
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def command_of(config: Mapping[str, Any]) -> str:
    """The command line behind a run, or the script that began it."""
    words = [str(word) for word in config.get("command", ())]
    if not words:
        return "its command is not recorded"
    program = Path(words[0])
    if program.name == "ssl-mix" or program.name == "__main__.py" and "ssl_mix" in program.parts:
        return shlex.join(["ssl-mix", *words[1:]])
    return f"# began in Python, by:\n{shlex.join(words)}"
