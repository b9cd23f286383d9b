"""The main job: images in; ensemble, scores, SavedModel and report out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np

from hypermodels import HYPERMODELS, Families, ImageHyperModel
from kt_tuning.augment import preview
from kt_tuning.data import ImageData
from kt_tuning.ensembling import PRICE, Ensemble
from kt_tuning.errors import OptionError, StorageError
from kt_tuning.evaluation import CorrectedBest, Scores, corrected_best_of_run
from kt_tuning.judging import judge, save_winner
from kt_tuning.recipe import Recipe
from kt_tuning.records import read_json
from kt_tuning.refitting import RefitOptions, refit
from kt_tuning.report import AUGMENTATION, write_report
from kt_tuning.search import Finish, Tuner, narrow
from kt_tuning.search.study.urls import without_password
from kt_tuning.shipping import export_run

OPTIONS = "options.json"
"""File of a run directory: `RunOptions`, for what comes after the run."""
PAGE = "report.html"
"""File of a run directory that is written last."""
DEFAULT_TRIALS = 20
"""Trials of a search that was given neither a number of trials nor a time limit."""
PREVIEW_IMAGES, PREVIEW_DRAWS = 4, 6
"""Rows and augmented columns of the preview of the winner's augmentation."""
PREVIEW_WIDTH = 960
"""Pixels, at most."""


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
        max_latency: Milliseconds for one image, at most, or None.
        folds: Of a cross-validation, or None.
        executions: Trainings of each configuration, on each fold.
        batch_size: Images a step; several are searched.
        max_batch_size: What batches may grow to, or None; several are searched.
        augment: Name in `POLICIES`, or "search".
        mixup: α of MixUp; several are searched.
        cutmix: α of CutMix; several are searched.
        balance: How rare classes count as much as others, see `Recipe`; several are searched.
        patience: Epochs without improvement after which a trial stops, or None.
        precision: What training computes with, see `Recipe`.
        workers: Trials at the same time, or "auto".
        storage: URL of the database that keeps the study, see `Tuner`; None for `study.db`.
        ensemble_size: Candidates for the ensemble.
        price: The share of the loss that is worth a doubling of what the ensemble costs; 0: cost
            does not matter.
        seed: Same seed, same trials and scores (if no time limit interferes).
        overwrite: Whether an earlier search in the run directory is deleted.
        verbose: Whether to show the live view.
        normalize: Whether pixels are standardised, inside the model, by the means and standard
            deviations of the training images' channels.
        hyperparameters: How the space is narrowed, by name; see `kt_tuning.search.narrow`.
        track: Where the search is also logged: names in `kt_tuning.tracking.TRACKERS`.
        refit: Whether the winner is trained again on training and validation images, at the end.
    """

    hypermodel: tuple[str, ...] = ("convnet",)
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    objective: str | tuple[str, ...] = ("val_accuracy",)
    strategy: str = "auto"
    pruner: str | None = None
    epochs: int = 30
    time_limit: str | float | None = None
    max_trials: int | None = None
    trial_time_limit: str | float | None = None
    max_stale_trials: int | None = None
    max_parameters: int | None = None
    max_flops: int | None = None
    max_latency: float | None = None
    folds: int | None = None
    executions: int = 1
    batch_size: tuple[int, ...] = (64,)
    max_batch_size: tuple[int, ...] | None = None
    augment: str = "light"
    mixup: tuple[float, ...] = (0.0,)
    cutmix: tuple[float, ...] = (0.0,)
    balance: tuple[str, ...] = ("none",)
    patience: int | None = None
    precision: str = "auto"
    workers: int | str = 1
    storage: str | None = None
    ensemble_size: int = 5
    price: float = PRICE
    seed: int = 0
    overwrite: bool = False
    verbose: bool = True
    normalize: bool = False
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    track: tuple[str, ...] = ()
    refit: bool = False

    def without_password(self) -> RunOptions:
        """The same as they may be written: what connects to a database comes from elsewhere."""
        shown = None if self.storage is None else without_password(self.storage)
        return dataclasses.replace(self, storage=shown)


@dataclasses.dataclass(frozen=True)
class RunOutcome:
    """What `run` made.

    Attributes:
        ensemble: The combined model.
        scores: Its scores on the test split.
        correction: The best validation score, and what it is worth; None if trials kept no
            predictions or the objective is no metric.
        export: The SavedModel.
        report: The page.
        refit: The SavedModel of the models that were trained again, or None. They have not been
            judged: the scores are of the ensemble before.
    """

    ensemble: Ensemble
    scores: Scores
    correction: CorrectedBest | None
    export: Path
    report: Path
    refit: Path | None = None


def run(
    data: ImageData, out: Path, options: RunOptions, *, files: Mapping[str, str] | None = None
) -> RunOutcome | None:
    """Search, combine, evaluate, export and report, in this order; and refit if asked to.

    Started again, it goes on where it stopped: finished trials are kept. Of several processes that
    share a search, each runs trials; when there are none left, one of them does the rest.

    Args:
        data: The images.
        out: The run directory.
        options: How to search.
        files: Texts by name, written into the run directory: how it was asked for.

    Returns:
        What it made; None if another process that shares the search has made it.

    Raises:
        KtTuningError: if an option, the data or the directory is wrong, or every trial fails.
    """
    tuner = _tuner(data, out, options)
    asked = dataclasses.asdict(options.without_password())
    files = {**(files or {}), OPTIONS: json.dumps(asked, default=str)}
    finish = Finish(tuner.oracle, out, first=OPTIONS, last=PAGE)
    # Before the search if they are not there yet, for one that is killed; otherwise after it, since
    # it may be refused here.
    _write(out, {name: t for name, t in files.items() if not (out / name).exists()})
    tuner.search(
        data,
        time_limit=options.time_limit,
        trial_time_limit=options.trial_time_limit,
        max_stale_trials=options.max_stale_trials,
        workers=options.workers,
        verbose=options.verbose,
    )
    with finish.turn() as due:
        if not due:
            return None
        _write(out, files)
        return _finish(tuner, data, out, options)


def _finish(tuner: Tuner, data: ImageData, out: Path, options: RunOptions) -> RunOutcome:
    """Combine, evaluate, export and report."""
    ensemble = tuner.ensemble(options.ensemble_size, price=options.price)
    save_winner(ensemble, out)
    scores = judge(ensemble, data, out)
    ensemble.provenance["scores"] = scores.to_json()
    (shipped,) = export_run(out, ensemble.to_keras(), data)
    _preview_augmentation(tuner, data, out)
    correction = corrected_best_of_run(out)
    again = None
    if options.refit:
        made = refit(tuner, data, RefitOptions(overwrite=True, verbose=options.verbose))
        save_winner(made.ensemble, made.directory)
        again = made.export(data)
    report = write_report(out, path=out / PAGE)
    return RunOutcome(ensemble, scores, correction, out / shipped.folder, report, again)


def tuner_of(out: Path, data: ImageData) -> Tuner:
    """The tuner of a run, to do something with what it found.

    Args:
        out: The run directory.
        data: What it searched on.

    Raises:
        StorageError: if the run was not made by `run`.
    """
    path = out / OPTIONS
    if not path.exists():
        raise StorageError(
            f"{out} does not say what was searched: expected {OPTIONS}, which `kt-tuning run` "
            "writes. After a search in Python use its tuner, such as `tuner.refit()`."
        )
    names = {field.name for field in dataclasses.fields(RunOptions)}
    asked = {name: value for name, value in read_json(path).items() if name in names}
    return _tuner(data, out, RunOptions(**{**asked, "overwrite": False, "track": ()}))


def _write(out: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")


def _preview_augmentation(tuner: Tuner, data: ImageData, out: Path) -> None:
    """Write a picture of what the best trial's policy does to training images, if it has one."""
    policy = tuner.recipe.plan(tuner.get_best_hyperparameters(1)[0].values).policy
    if not policy.steps:
        return
    count = min(PREVIEW_IMAGES, len(data.train))
    chosen = np.random.default_rng(0).choice(len(data.train), count, replace=False)
    picture = preview(policy, data.train.take(chosen), draws=PREVIEW_DRAWS)
    picture.thumbnail((PREVIEW_WIDTH, picture.height))
    picture.save(out / AUGMENTATION, quality=85)


def _tuner(data: ImageData, out: Path, options: RunOptions) -> Tuner:
    if options.ensemble_size < 1:
        raise OptionError(
            f"The ensemble has at least 1 candidate. Received: {options.ensemble_size}"
        )
    if not 0 <= options.price < 1:
        raise OptionError(f"`price` is from 0 to less than 1. Received: {options.price}")
    hypermodel = _hypermodel(data, options)
    recipe = Recipe(
        batch_size=options.batch_size,
        max_batch_size=options.max_batch_size,
        augment=options.augment,
        mixup=options.mixup,
        cutmix=options.cutmix,
        balance=options.balance,
        patience=options.patience,
        precision=options.precision,
    )
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
        max_latency=options.max_latency,
        recipe=recipe,
        hyperparameters=_narrowed(hypermodel, recipe, options.hyperparameters),
        tracker=options.track,
        seed=options.seed,
        directory=out.parent,
        project_name=out.name,
        overwrite=options.overwrite,
        storage=options.storage,
    )


def _narrowed(
    hypermodel: ImageHyperModel | Families, recipe: Recipe, wanted: Mapping[str, Any]
) -> keras_tuner.HyperParameters | None:
    """The space as it was asked for, or None if nothing was."""
    if not wanted:
        return None
    space = keras_tuner.HyperParameters()
    recipe.declare(space)
    space.merge(hypermodel.hyperparameters(), overwrite=False)
    return narrow(space, wanted)


def _hypermodel(data: ImageData, options: RunOptions) -> ImageHyperModel | Families:
    for name in options.hypermodel:
        if name not in HYPERMODELS:
            raise OptionError(f"Unknown hypermodel {name!r}. Known: {', '.join(HYPERMODELS)}.")
    names, shape, classes = options.hypermodel, data.input_shape, data.classes
    fixed = dict(options.fixed)
    if options.normalize:
        fixed["normalization"] = data.pixel_statistics()
    try:
        if len(names) == 1:
            made = HYPERMODELS[names[0]](shape, classes, **fixed)
        else:
            made = Families.named(names, shape, classes, fixed)
        made.hyperparameters()
    except ValueError as error:
        raise OptionError(str(error)) from error
    return made
