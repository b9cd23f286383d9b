"""The main job: images in; ensemble, scores, SavedModel and report out."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypermodels import HYPERMODELS, Families, ImageHyperModel
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble
from kt_tuning.errors import OptionError
from kt_tuning.evaluation import Scores, evaluate, note_held_out_use
from kt_tuning.recipe import Recipe
from kt_tuning.records import RESULT, TrialRecord
from kt_tuning.report import write_report
from kt_tuning.search import Tuner

logger = logging.getLogger("kt_tuning")

DEFAULT_TRIALS = 20
"""Trials of a search that was given neither a number of trials nor a time limit."""
PARITY_IMAGES = 32
"""Validation images that the export is compared with the ensemble on."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How `run` searches; each is an option of `kt-tuning run`.

    Attributes:
        hypermodel: Names in `HYPERMODELS`; several families are searched together.
        fixed: Values of hyperparameters that are not searched; with several families
            "resnet/filters" is one of that family.
        objective: What is optimised, e.g. "val_accuracy"; one or several names.
        strategy: Name in `STRATEGIES`.
        pruner: Name in `PRUNERS`, or None for what goes with the strategy.
        epochs: Epochs of a full training.
        time_limit: Wall-clock of all trials, e.g. "10m", or None.
        max_trials: Trials, at most, or None.
        trial_time_limit: Wall-clock of one trial, or None.
        max_stale_trials: Trials in a row without a better one that end the search, or None.
        max_parameters: Scalars in a model's weights, at most, or None.
        max_flops: Floating-point operations for one image, at most, or None.
        folds: Of a cross-validation, or None.
        executions: Trainings of each configuration, on each fold.
        batch_size: Images a step; several are searched.
        augment: Name in `POLICIES`, or "search".
        mixup: α of MixUp; several are searched.
        cutmix: α of CutMix; several are searched.
        patience: Epochs without improvement after which a trial stops, or None.
        workers: Trials at the same time, or "auto".
        ensemble_size: Candidates for the ensemble.
        seed: Same seed, same trials and scores (if no time limit interferes).
        overwrite: Whether an earlier search in the run directory is deleted.
        verbose: Whether to show the live view.
    """

    hypermodel: tuple[str, ...] = ("convnet",)
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    objective: str | tuple[str, ...] = "val_accuracy"
    strategy: str = "auto"
    pruner: str | None = None
    epochs: int = 30
    time_limit: str | float | None = None
    max_trials: int | None = None
    trial_time_limit: str | float | None = None
    max_stale_trials: int | None = None
    max_parameters: int | None = None
    max_flops: int | None = None
    folds: int | None = None
    executions: int = 1
    batch_size: tuple[int, ...] = (64,)
    augment: str = "light"
    mixup: tuple[float, ...] = (0.0,)
    cutmix: tuple[float, ...] = (0.0,)
    patience: int | None = None
    workers: int | str = 1
    ensemble_size: int = 5
    seed: int = 0
    overwrite: bool = False
    verbose: bool = True


@dataclasses.dataclass(frozen=True)
class RunOutcome:
    """What `run` made.

    Attributes:
        ensemble: The combined model.
        scores: Its scores on the test split.
        export: The SavedModel.
        report: The page.
    """

    ensemble: Ensemble
    scores: Scores
    export: Path
    report: Path


def run(data: ImageData, out: Path, options: RunOptions) -> RunOutcome:
    """Search, combine, evaluate, export and report, in this order.

    Started again, it goes on where it stopped: finished trials are kept.

    Args:
        data: The images.
        out: The run directory.
        options: How to search.

    Raises:
        KtTuningError: if an option, the data or the directory is wrong, or every trial fails.
    """
    tuner = _tuner(data, out, options)
    tuner.search(
        data,
        time_limit=options.time_limit,
        trial_time_limit=options.trial_time_limit,
        max_stale_trials=options.max_stale_trials,
        workers=options.workers,
        verbose=options.verbose,
    )
    ensemble = tuner.ensemble(options.ensemble_size)
    scores = evaluate(ensemble, data.test, opened=functools.partial(_open_test_split, data, out))
    scores.save(out / "scores.json")
    ensemble.provenance["scores"] = scores.to_json()
    some = np.arange(min(PARITY_IMAGES, len(data.validation)))
    export = ensemble.export(next_version(out / "export"), parity_images=data.validation.take(some))
    return RunOutcome(ensemble, scores, export, write_report(out))


def _open_test_split(data: ImageData, out: Path, images: int) -> None:
    """Write down that the test split is looked at, and say so if that was not the first time."""
    uses = note_held_out_use(out, by="evaluate", fingerprint=data.fingerprint, images=images)
    trials = [TrialRecord.load(path) for path in out.glob(f"trial_*/{RESULT}")]
    caveat = uses.of(data.fingerprint).caveat(trials)
    if caveat is not None:
        logger.warning(caveat)


def _tuner(data: ImageData, out: Path, options: RunOptions) -> Tuner:
    if options.ensemble_size < 1:
        raise OptionError(
            f"The ensemble has at least 1 candidate. Received: {options.ensemble_size}"
        )
    hypermodel = _hypermodel(data, options)
    max_trials = options.max_trials
    if max_trials is None and options.time_limit is None:
        max_trials = DEFAULT_TRIALS
    return Tuner(
        hypermodel,
        objective=options.objective,
        strategy=options.strategy,
        pruner=options.pruner,
        max_trials=max_trials,
        epochs=options.epochs,
        folds=options.folds,
        executions_per_trial=options.executions,
        max_parameters=options.max_parameters,
        max_flops=options.max_flops,
        recipe=Recipe(
            batch_size=options.batch_size,
            augment=options.augment,
            mixup=options.mixup,
            cutmix=options.cutmix,
            patience=options.patience,
        ),
        seed=options.seed,
        directory=out.parent,
        project_name=out.name,
        overwrite=options.overwrite,
    )


def _hypermodel(data: ImageData, options: RunOptions) -> ImageHyperModel | Families:
    for name in options.hypermodel:
        if name not in HYPERMODELS:
            raise OptionError(f"Unknown hypermodel {name!r}. Known: {', '.join(HYPERMODELS)}.")
    names, shape, classes = options.hypermodel, data.input_shape, data.classes
    try:
        if len(names) == 1:
            made = HYPERMODELS[names[0]](shape, classes, **options.fixed)
        else:
            made = Families.named(names, shape, classes, options.fixed)
        made.hyperparameters()
    except ValueError as error:
        raise OptionError(str(error)) from error
    return made


def next_version(folder: Path) -> Path:
    """The first unused version, 1, 2, …, of TensorFlow Serving's layout `folder/<version>`."""
    taken = [int(path.name) for path in folder.glob("*") if path.name.isdigit()]
    return folder / str(max(taken, default=0) + 1)
