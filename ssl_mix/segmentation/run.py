"""A transfer to segmentation as a run: begin it, go on with it, and say how good it is."""

import dataclasses
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from ssl_mix._version import __version__
from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets import DataSet, ImageSet, Split
from ssl_mix.datasets.data import UNKNOWN
from ssl_mix.datasets.pixel_statistics import channel_statistics
from ssl_mix.datasets.splits import checksum
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.execution import own_state, resolve_device
from ssl_mix.engine.trainer import Trainer
from ssl_mix.errors import UserError
from ssl_mix.evaluation.segmentation import VOID
from ssl_mix.models.pretrained import loading_notes
from ssl_mix.runs.checkpoint import CURRENT, OF_A_RUN, load_checkpoint
from ssl_mix.runs.folder import CONFIG, check_run_folder, create_run_folder, read_config, write_text
from ssl_mix.runs.reading import build, reading
from ssl_mix.runs.session import Session
from ssl_mix.segmentation.algorithm import Segmentation, grid_logits
from ssl_mix.segmentation.data import Checked, PairSource, PairViews, Progress, check_pairs
from ssl_mix.segmentation.encoder import fit_to
from ssl_mix.segmentation.options import SIZE, SegmentationOptions
from ssl_mix.segmentation.pairs import Pairs, find_pairs
from ssl_mix.segmentation.picture import draw
from ssl_mix.segmentation.scoring import GridLogits, Score, linear_probe, majority, score_pairs

FORMAT = "ssl-mix segmentation 1"
RESULT, PICTURE = "segmentation.json", "segmentation.png"
PROBE = "linear head on frozen features"  # the name of that baseline


@dataclass(frozen=True)
class SegmentationRun:
    """A run with its folder, ready to train through ``session``.

    Attributes:
        session: trains it.
        ready: what it was begun with.
        baselines: scores without training, by what they are of.
    """

    session: Session
    ready: "_Prepared"
    baselines: dict[str, Score]

    def finish(self, progress: Progress | None = None) -> Score:
        """Score the teacher, and write ``segmentation.json`` and ``segmentation.png`` into the folder."""
        trainer, folder, pairs = self.ready.trainer, self.session.folder, self.ready.pairs.test
        net = trainer.teacher.net

        def logits_of(images: Tensor) -> Tensor:
            return grid_logits(net, images)

        with own_state(trainer.config, trainer.device, "evaluation"):
            score = _score(net, logits_of, self.ready, progress)
            views, size = trainer.data.augmentation, trainer.feed.shape[1]
            draw(logits_of, pairs, views, size, trainer.device).savefig(folder / PICTURE)
        baselines = {name: found._asdict() for name, found in self.baselines.items()}
        result = {"step": trainer.step, "images": len(pairs), **score._asdict(), "baselines": baselines}
        write_text(folder / RESULT, json.dumps(result, indent=2) + "\n")
        return score


def is_segmentation(folder: Path) -> bool:
    """Whether a folder holds such a run."""
    return (folder / CONFIG).is_file() and read_config(folder).get("format") == FORMAT


def start_segmentation(
    options: SegmentationOptions, folder: Path, *, overwrite: bool = False, progress: Progress | None = None
) -> SegmentationRun:
    """Read all images and masks, measure what is reached without training, and only then make the folder.

    Raises:
        ValueError: anything the user can mend; no folder has been made or replaced then.
    """
    check_run_folder(folder, overwrite=overwrite)
    options = options.absolute()
    ready = _prepare(options, options.config(torch.get_num_threads()), progress)
    baselines = _baselines(ready, progress)
    description = {
        "format": FORMAT,
        "options": dataclasses.asdict(options),
        "train": dataclasses.asdict(ready.trainer.config),
        "identity": ready.identity,
        "baselines": {name: score._asdict() for name, score in baselines.items()},
        "versions": {"ssl_mix": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    create_run_folder(folder, description, overwrite=overwrite)
    session = Session(folder, ready.trainer, ready.identity, tuple(_notes(ready, options)))
    return SegmentationRun(session, ready, baselines)


def resume_segmentation(folder: Path, progress: Progress | None = None) -> SegmentationRun:
    """The run in ``folder`` at its newest whole checkpoint, to go on to the same bits.

    Raises:
        ValueError: its images, masks or weights are not as they were, or no checkpoint is whole.
    """
    description = read_config(folder)
    with reading(folder / CONFIG):
        options = build(SegmentationOptions, description["options"])
        config = build(TrainConfig, description["train"])
        identity = description["identity"]
        baselines = {name: Score(**score) for name, score in description["baselines"].items()}
    ready = _prepare(options, config, progress)
    if identity != ready.identity:
        raise UserError(f"the images or masks of {folder} are not those that it began with: put them back")
    state, refused = load_checkpoint(folder, OF_A_RUN)
    if state is not None:
        if state["identity"] != json.dumps(identity):
            raise UserError(f"{folder / CURRENT} belongs to another run: take it away, or train again")
        with reading(folder / CURRENT):
            ready.trainer.load_state_dict(state)
    session = Session(folder, ready.trainer, identity, tuple(refused))
    return SegmentationRun(session, ready, baselines)


class _Prepared(NamedTuple):
    """A run that is ready to start.

    Attributes:
        trainer: at step 0.
        pairs: images and masks.
        train: what was found in those to learn from.
        test: in those to score on.
    """

    trainer: Trainer
    pairs: Pairs
    train: Checked
    test: Checked

    @property
    def identity(self) -> dict[str, str]:
        """What must be the same for a checkpoint to fit."""
        return {"train": self.train.digest, "test": self.test.digest}


def _prepare(options: SegmentationOptions, config: TrainConfig, progress: Progress | None) -> _Prepared:
    size = options.image_size or options.network().trained_size() or SIZE
    resolve_device(options.device)
    pairs = find_pairs(Path(options.images), Path(options.masks), options.held_out, options.seed)
    _network(options, size, 2)  # refused before minutes of reading
    train, test = (
        check_pairs(
            part, size, options.num_classes, keep=keep, progress=progress, label=f"reading {label} masks"
        )
        for part, keep, label in ((pairs.train, True, "training"), (pairs.test, False, "test"))
    )
    num_classes = options.num_classes or _classes_in(train, test)
    source = PairSource(pairs.train, size, train.stored)
    normalization: dict[str, Any] = options.network().normalization() or _statistics(source)
    images = ImageSet(source, torch.full((len(source),), UNKNOWN))
    views = PairViews(Augmentation(**normalization))
    data = DataSet("segmentation", tuple(map(str, range(num_classes))), images, None, views)
    every = tuple(range(len(source)))
    split = Split(every, (), (), options.seed, checksum(every))
    net = _network(options, size, num_classes)
    trainer = Trainer(Segmentation(head=options.head), net, data, split, config)
    trainer.watch.over = True  # it looks at the classes of whole images, which these have not
    return _Prepared(trainer, pairs, train, test)


def _network(options: SegmentationOptions, size: int, num_classes: int) -> nn.Module:
    """The network with its weights, for images of that size: built for that of its weights, then fitted."""
    network = options.network()
    side = network.trained_size() or size
    net = network.build((3, side, side), num_classes, options.seed)
    fit_to(net, size)
    return network.tuned(net, (3, size, size), options.seed)


def _classes_in(train: Checked, test: Checked) -> int:
    """One more than the largest number in the masks."""
    numbers = (train.pixels + test.pixels)[:VOID].nonzero()
    count = int(numbers.max()) + 1 if len(numbers) else 0
    if count < 2:
        raise UserError(
            "the masks hold no number but 0 and 255, which is void, and two classes are needed: write the "
            "second class as 1, or give `num_classes`"
        )
    return count


def _statistics(source: PairSource) -> dict[str, tuple[float, ...]]:
    mean, std = channel_statistics(source)
    return {"mean": mean[:3], "std": std[:3]}


def _score(net: nn.Module, logits_of: GridLogits, ready: _Prepared, progress: Progress | None) -> Score:
    trainer = ready.trainer
    views, size = trainer.data.augmentation, trainer.feed.shape[1]
    classes, device = len(trainer.data.classes), trainer.device
    return score_pairs(
        net, logits_of, ready.pairs.test, views, classes, size=size, device=device, progress=progress
    )


def _baselines(ready: _Prepared, progress: Progress | None) -> dict[str, Score]:
    trainer = ready.trainer
    classes = len(trainer.data.classes)
    common, constant = majority(ready.test.pixels, ready.train.pixels, classes)
    source = cast(PairSource, trainer.data.train.images)
    with own_state(trainer.config, trainer.device, "start"):
        logits_of = linear_probe(
            trainer.student,
            source,
            trainer.data.augmentation,
            classes,
            seed=trainer.config.seed,
            device=trainer.device,
        )
        probed = _score(trainer.student, logits_of, ready, progress)
    return {f"every pixel class {common}": constant, PROBE: probed}


def _notes(ready: _Prepared, options: SegmentationOptions) -> list[str]:
    classes = len(ready.trainer.data.classes)
    unseen = [c for c in range(classes) if not ready.train.pixels[c] and ready.test.pixels[c]]
    notes = [note for note in loading_notes(ready.trainer.student) if not note.startswith("the head is")]
    if not options.network().from_weights:
        notes.append("the network starts from random weights (`pretrained` names others)")
    if unseen:
        notes.append(
            f"no mask to learn from holds the classes {', '.join(map(str, unseen))}, and test masks do"
        )
    return [*ready.pairs.notes, *notes]
