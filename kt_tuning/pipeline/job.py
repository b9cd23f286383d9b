"""The main job: from images to an ensemble, scores, a SavedModel and a report."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from kt_tuning.augment import preview
from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import disk_errors_explained
from kt_tuning.core.progress import progress
from kt_tuning.core.quiet import without_retracing_advice
from kt_tuning.core.records import TrialRecord, first_trial_failure
from kt_tuning.core.units import clock as duration
from kt_tuning.core.units import count, seconds
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble
from kt_tuning.evaluation import Scores, corrected_best_of_run, forecast_of_run
from kt_tuning.evaluation.forecast import Forecast
from kt_tuning.evaluation.selection_bias import CorrectedBest
from kt_tuning.finalize import evaluate_run, export_run, save_final_model
from kt_tuning.pipeline.make_tuner import make_tuner, recorded_options, unused_options, write_files
from kt_tuning.pipeline.refitted import RunTime, refitted
from kt_tuning.report import write_report
from kt_tuning.run import Run, write_lock
from kt_tuning.run.layout import AUGMENTATION, OPTIONS, REPORT
from kt_tuning.run_options import CALL, RunOptions
from kt_tuning.search import SharedFinalize, Tuner
from kt_tuning.search.budget import default_epochs
from kt_tuning.summaries import (
    next_steps,
    refit_summary,
    search_summary,
    test_summary,
    trials_summary,
    uneven_summary,
)

logger = logging.getLogger("kt_tuning")

COMPARED, COMPARED_SHORT = 200, 50
"""Validation images that the export is compared on, and with a short time limit."""
PREVIEW_IMAGES, PREVIEW_DRAWS = 4, 6
"""Rows and augmented columns of the preview of the best trial's augmentation."""
PREVIEW_WIDTH = 960
"""Pixels, at most."""


@dataclasses.dataclass(frozen=True)
class RunOutcome:
    """The result of `run` or `finalize`.

    Attributes:
        ensemble: The combined model.
        scores: Its scores on the test split.
        correction: The best validation score, corrected for selection bias; None if trials kept no
            predictions or the objective is not in `METRICS`.
        export: Folder of the SavedModel.
        report: File of the report.
        trials: All finished trials, including failed ones.
        warning: The reason why the first configuration failed, if it did.
        seconds: Wall-clock time of the command in seconds, from its start to the report; None if
            unknown.
        forecast: Forecast of the best score after twice the search time; None if the best score
            has improved too rarely.
    """

    ensemble: Ensemble
    scores: Scores
    correction: CorrectedBest | None
    export: Path
    report: Path
    trials: tuple[TrialRecord, ...] = ()
    warning: str | None = None
    seconds: float | None = None
    forecast: Forecast | None = None

    def __str__(self) -> str:
        """Sentences on accuracy, trials, time, forecast and next steps."""
        steps = next_steps(self.report.parent, self.export)
        lines = [test_summary(self.scores)]
        record = self.ensemble.record
        if record is not None and record.refitted:
            lines.append(refit_summary(len(self.ensemble)))
        lines.append(trials_summary(self.trials))
        if self.seconds is not None:
            lines.append(f"The run took {duration(self.seconds)}.")
        if self.forecast is not None:
            lines.append(str(self.forecast))
        return "\n".join([*lines, "", *steps])


def run(
    data: ImageData,
    out: Path,
    options: RunOptions,
    *,
    files: Mapping[str, str] | None = None,
    began: float | None = None,
) -> RunOutcome | None:
    """Search, combine, train again where that is cheap or asked for, evaluate, export, report.

    Started again, it continues: finished trials are kept. Of several processes that share a search,
    each runs trials; when there are none left, one of them does the rest.

    Args:
        data: The images.
        out: The run directory.
        options: How to search.
        files: File name -> text, written into the run directory: the options.
        began: Value of `time.monotonic()` from which the time limit counts; now if None.

    Returns:
        The result; None if another process that shares the search has made it.

    Raises:
        KtTuningError: if an option, the data or the directory is wrong, the disk is full, or every
            trial fails.
        KeyboardInterrupt: on Ctrl-C, during the search or after it. Nothing that was not finished
            by then is begun; `finalize` uses the trials so far.
    """
    options = options.limited()
    asked = dataclasses.asdict(options.without_password())
    files = {**(files or {}), OPTIONS: json.dumps(asked, default=str)}
    limit = seconds(options.time_limit, "time_limit")
    began = time.monotonic() if began is None else began
    with progress("Preparing the search", shown=options.verbose):
        tuner = make_tuner(data, out, options, files)
    if (uneven := uneven_summary(data, options.objective, options.balance)) is not None:
        logger.info("%s", uneven)
    families = options.hypermodel if tuner.choice is None else tuner.choice.families
    clock = RunTime.of(began, limit, data, families)
    if tuner.choice is not None:
        logger.info("%s", tuner.choice.reason)
    if (unused := unused_options(options, families)) is not None:
        logger.warning("%s", unused)
    logger.info(
        search_summary(
            families,
            max_trials=tuner.oracle.max_trials,
            epochs=options.epochs or default_epochs(data),
            time_limit=options.time_limit,
            out=out,
        )
    )
    shared = SharedFinalize(tuner.oracle, out)
    tuner.search(data, time_limit=clock.for_search(), **options.arguments(CALL))
    # Workers elsewhere share the directory; their lock is in the database.
    alone = contextlib.nullcontext() if getattr(tuner.oracle, "shared", False) else write_lock(out)
    with alone, shared.lock() as due:
        if not due:
            return None
        write_files(out, files)
        return _finalize(tuner, data, out, options, clock)


def finalize(tuner: Tuner, images: Callable[[], ImageData], *, verbose: bool = True) -> RunOutcome:
    """Combine, evaluate, export and report the trials so far, without searching further.

    Finished and paused trials count; the search can continue afterwards.

    Args:
        tuner: Of the run.
        images: Returns the data that were searched on.
        verbose: Whether to show progress.

    Raises:
        SearchError: if no trial has a score yet.
        StorageError: if another process is using the run, or a file of it is damaged or gone.
        DataError: if the images are others than those of the search.
    """
    out = tuner.run_directory
    folds = Run(out).read_search().folds
    recorded = recorded_options(out)
    options = dataclasses.replace(recorded, folds=folds if folds > 1 else None, verbose=verbose)
    Run(out).scored_trials()
    data = images()
    shared = getattr(tuner.oracle, "shared", False)
    alone = contextlib.nullcontext() if shared else write_lock(out)
    with alone, SharedFinalize(tuner.oracle, out).lock():
        return _finalize(tuner, data, out, options, RunTime(time.monotonic(), None, 0.0))


def _finalize(
    tuner: Tuner, data: ImageData, out: Path, options: RunOptions, clock: RunTime
) -> RunOutcome:
    """Combine, evaluate, export and report."""
    stage = functools.partial(progress, shown=options.verbose)
    with disk_errors_explained(out), without_retracing_advice():
        with stage("Combining the best trials"):
            ensemble = tuner.ensemble(
                options.ensemble_size,
                cost_penalty=options.cost_penalty,
                # To evaluate it would take twice the time.
                mirror=options.mirror and not clock.short,
            )
        ensemble = refitted(tuner, ensemble, data, options, clock)
        save_final_model(ensemble, out, obstacle=tuner.export_obstacle)
        with stage(f"Evaluating on {count(len(data.test), 'test image')}"):
            scores = evaluate_run(ensemble, data, out)
        ensemble.provenance["scores"] = scores.to_json()
        with stage("Exporting a SavedModel and comparing it with the Keras model"):
            compared = COMPARED_SHORT if clock.short else COMPARED
            (shipped,) = export_run(out, ensemble.to_keras(), data, images=compared)
        with stage("Correcting the best validation score for selection bias"):
            _preview_augmentation(tuner, data, out)
            correction, forecast = corrected_best_of_run(out), forecast_of_run(out)
        with stage("Writing the report"):
            report = write_report(out, path=out / REPORT)
    trials = tuple(Run(out).trials())
    warning = first_trial_failure(trials, Run(out).read_search())
    return RunOutcome(
        ensemble,
        scores,
        correction,
        out / shipped.folder,
        report,
        trials,
        warning,
        seconds=time.monotonic() - clock.began,
        forecast=forecast,
    )


def _preview_augmentation(tuner: Tuner, data: ImageData, out: Path) -> None:
    """Write a picture of training images as the best trial augments them, if it does."""
    policy = tuner.recipe.plan(tuner.get_best_hyperparameters(1)[0].values).policy
    if not policy.steps:
        return
    count = min(PREVIEW_IMAGES, len(data.train))
    chosen = np.random.default_rng(0).choice(len(data.train), count, replace=False)
    picture = preview(policy, data.train.take(chosen), draws=PREVIEW_DRAWS)
    picture.thumbnail((PREVIEW_WIDTH, picture.height))
    with atomic_write(out / AUGMENTATION, durable=False) as temporary:
        picture.save(temporary, quality=85)
