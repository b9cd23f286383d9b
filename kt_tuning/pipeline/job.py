"""The main job: images in; ensemble, scores, SavedModel and report out."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kt_tuning.augment import preview
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble
from kt_tuning.errors import SearchError, full_disk_explained
from kt_tuning.evaluation import CorrectedBest, Scores, corrected_best_of_run
from kt_tuning.judging import judge, load_data, save_winner
from kt_tuning.pipeline.make_tuner import make_tuner, options_of, write_files
from kt_tuning.pipeline.refitted import refitted
from kt_tuning.pipeline.timing import RunTime
from kt_tuning.progress import progress
from kt_tuning.records import TrialRecord, defaults_failure, replacing, trial_records
from kt_tuning.report import AUGMENTATION, write_report
from kt_tuning.run_options import CALL, OPTIONS, RunOptions
from kt_tuning.search import SharedFinalize, Tuner
from kt_tuning.search.lock import RunLock
from kt_tuning.shipping import export_run
from kt_tuning.summaries import next_steps, search_summary, test_summary, trials_summary
from kt_tuning.units import count, seconds

logger = logging.getLogger("kt_tuning")

PAGE = "report.html"
"""File of a run directory that is written last."""
COMPARED = 200
"""Validation images that the export is compared on."""
PREVIEW_IMAGES, PREVIEW_DRAWS = 4, 6
"""Rows and augmented columns of the preview of the winner's augmentation."""
PREVIEW_WIDTH = 960
"""Pixels, at most."""


@dataclasses.dataclass(frozen=True)
class RunOutcome:
    """What `run` made.

    Attributes:
        ensemble: The combined model.
        scores: Its scores on the test split.
        correction: The best validation score, and what it is worth, but for the choice of each
            trial's epoch on the same images, which is not corrected; None if trials kept no
            predictions or the objective is no metric.
        export: The SavedModel.
        report: The page.
        trials: All that the search has ended, failed ones included.
        warning: That the default configuration failed, if it did.
    """

    ensemble: Ensemble
    scores: Scores
    correction: CorrectedBest | None
    export: Path
    report: Path
    trials: tuple[TrialRecord, ...] = ()
    warning: str | None = None

    def __str__(self) -> str:
        """In plain sentences: how good it is, what was cut short, and what to do next."""
        steps = next_steps(self.report.parent, self.export)
        return "\n".join([test_summary(self.scores), trials_summary(self.trials), "", *steps])


def run(
    data: ImageData,
    out: Path,
    options: RunOptions,
    *,
    files: Mapping[str, str] | None = None,
    began: float | None = None,
) -> RunOutcome | None:
    """Search, combine, train again where that is cheap or asked for, evaluate, export, report.

    Started again, it goes on where it stopped: finished trials are kept. Of several processes that
    share a search, each runs trials; when there are none left, one of them does the rest.

    Args:
        data: The images.
        out: The run directory.
        options: How to search.
        files: Texts by name, written into the run directory: how it was asked for.
        began: Value of `time.monotonic()` from which the time limit counts; now if None.

    Returns:
        What it made; None if another process that shares the search has made it.

    Raises:
        KtTuningError: if an option, the data or the directory is wrong, the disk is full, or every
            trial fails.
        KeyboardInterrupt: on Ctrl-C, during the search or after it. Nothing that was not finished
            by then is begun; `finish` uses what there is.
    """
    options = options.limited()
    asked = dataclasses.asdict(options.without_password())
    files = {**(files or {}), OPTIONS: json.dumps(asked, default=str)}
    limit = seconds(options.time_limit, "time_limit")
    clock = RunTime.of(time.monotonic() if began is None else began, limit, data)
    with progress("Preparing the search", shown=options.verbose):
        tuner = make_tuner(data, out, options, files)
    if tuner.choice is not None:
        logger.info("%s", tuner.choice.reason)
    logger.info(
        search_summary(
            options.hypermodel if tuner.choice is None else tuner.choice.families,
            max_trials=tuner.oracle.max_trials,
            epochs=options.epochs,
            time_limit=options.time_limit,
            out=out,
        )
    )
    finalize = SharedFinalize(tuner.oracle, out, first=OPTIONS, last=PAGE)
    tuner.search(
        data,
        time_limit=clock.for_search(),
        **options.arguments(CALL),
    )
    with finalize.lock() as due:
        if not due:
            return None
        write_files(out, files)
        return _finish(tuner, data, out, options, clock)


def finish(
    out: str | Path, data: ImageData | str | Path | None = None, *, verbose: bool = True
) -> RunOutcome:
    """Combine, evaluate, export and report what a run has found so far, without searching.

    For a run that `run` began and that was interrupted. Finished and paused trials count; the run
    can be gone on with afterwards.

    Args:
        out: The run directory.
        data: The images, or where they are now; where they were if None.
        verbose: Whether to show progress.

    Raises:
        SearchError: if no trial has a score yet.
        StorageError: if the run was not made by `run`, another process is using it, or a file of
            it is damaged or gone.
        DataError: if the images are others than those of the search.
    """
    out = Path(out)
    options = dataclasses.replace(options_of(out), verbose=verbose)
    if not any(record.usable for record in trial_records(out)):
        raise SearchError(
            f"No trial of {out} has a score yet: search on, by the same `kt-tuning run` command."
        )
    if not isinstance(data, ImageData):
        data = load_data(out, data, progress=verbose)
    tuner = make_tuner(data, out, options)
    alone = contextlib.nullcontext() if options.storage else RunLock(out)
    with alone, SharedFinalize(tuner.oracle, out, first=OPTIONS, last=PAGE).lock():
        return _finish(tuner, data, out, options, RunTime.of(time.monotonic(), None, data))


def _finish(
    tuner: Tuner, data: ImageData, out: Path, options: RunOptions, clock: RunTime
) -> RunOutcome:
    """Combine, evaluate, export and report."""
    with full_disk_explained(out):
        return _results(tuner, data, out, options, clock)


def _results(
    tuner: Tuner, data: ImageData, out: Path, options: RunOptions, clock: RunTime
) -> RunOutcome:
    stage = functools.partial(progress, shown=options.verbose)
    with stage("Combining the best trials"):
        ensemble = tuner.ensemble(options.ensemble_size, cost_penalty=options.cost_penalty)
    ensemble = refitted(tuner, ensemble, data, options, clock)
    save_winner(ensemble, out)
    with stage(f"Evaluating on {count(len(data.test), 'test image')}"):
        scores = judge(ensemble, data, out)
    ensemble.provenance["scores"] = scores.to_json()
    with stage("Exporting a SavedModel and comparing it with the Keras model"):
        (shipped,) = export_run(out, ensemble.to_keras(), data, images=COMPARED)
    with stage("Correcting the best validation score for having been chosen"):
        _preview_augmentation(tuner, data, out)
        correction = corrected_best_of_run(out)
    with stage("Writing the report"):
        report = write_report(out, path=out / PAGE)
    trials = tuple(trial_records(out))
    warning = defaults_failure(trials)
    return RunOutcome(ensemble, scores, correction, out / shipped.folder, report, trials, warning)


def _preview_augmentation(tuner: Tuner, data: ImageData, out: Path) -> None:
    """Write a picture of what the best trial's policy does to training images, if it has one."""
    policy = tuner.recipe.plan(tuner.get_best_hyperparameters(1)[0].values).policy
    if not policy.steps:
        return
    count = min(PREVIEW_IMAGES, len(data.train))
    chosen = np.random.default_rng(0).choice(len(data.train), count, replace=False)
    picture = preview(policy, data.train.take(chosen), draws=PREVIEW_DRAWS)
    picture.thumbnail((PREVIEW_WIDTH, picture.height))
    with replacing(out / AUGMENTATION) as temporary:
        picture.save(temporary, quality=85)
