"""The main job: images in; ensemble, scores, SavedModel and report out, within a time limit."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hypermodels import HYPERMODELS
from hypermodels.backbone_family import BackboneHyperModel
from kt_tuning.augment import preview
from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import disk_errors_explained
from kt_tuning.core.json_record import write_json
from kt_tuning.core.progress import progress
from kt_tuning.core.quiet import without_retracing_advice
from kt_tuning.core.records import TrialRecord, first_trial_failure
from kt_tuning.core.units import clock as duration
from kt_tuning.core.units import count, seconds
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble
from kt_tuning.evaluation import Scores, corrected_best_of_run
from kt_tuning.evaluation.selection_bias import CorrectedBest
from kt_tuning.finalize import evaluate_run, export_run, save_final_model
from kt_tuning.finalize.refit import refit
from kt_tuning.finalize.refit_plan import RefitOptions
from kt_tuning.pipeline.make_tuner import make_tuner, recorded_options, unused_options, write_files
from kt_tuning.report import write_report
from kt_tuning.run import Run, write_lock
from kt_tuning.run.layout import AUGMENTATION, ENSEMBLE, OPTIONS, REPORT
from kt_tuning.run_options import CALL, RunOptions
from kt_tuning.search import SharedFinalize, Tuner
from kt_tuning.summaries import (
    next_steps,
    refit_summary,
    search_summary,
    test_summary,
    trials_summary,
    uneven_summary,
)

logger = logging.getLogger("kt_tuning")

COMPARED = 200
"""Validation images that the export is compared on."""
PREVIEW_IMAGES, PREVIEW_DRAWS = 4, 6
"""Rows and augmented columns of the preview of the best trial's augmentation."""
PREVIEW_WIDTH = 960
"""Pixels, at most."""
FINISHING, A_TEST_IMAGE = 20.0, 0.01
"""Seconds to combine, evaluate, export and report, and seconds a test image, measured with
EfficientNet-Lite0 on two processor cores."""
FINISHING_NEW, A_TEST_PIXEL = 15.0, 1e-6
"""The same of networks from nothing, and seconds a pixel of a test image."""
REFIT_SHARE, REFIT_FROM = 0.35, 120.0
"""Share of the remaining time that is kept for the refit, and the limit in seconds from which it
is kept; linear probes are solved again almost at once."""
LEAST = 0.35
"""Smallest share of the limit that the search has."""
SHARE = 0.3
"""Largest cost of a refit that was not asked for, as a share of a search without a time limit."""
NO_MATTER = 10.0
"""Seconds that a refit may take in any case."""
MORE_IMAGES = 1.3
"""Estimated time of an epoch on training and validation images over one on training images."""
PROBE_SECONDS = 5.0
"""Estimated time to solve a linear probe again, with features at hand."""


@dataclasses.dataclass(frozen=True)
class RunOutcome:
    """The result of `run` or `finalize`.

    Attributes:
        ensemble: The combined model.
        scores: Its scores on the test split.
        correction: The best validation score, corrected for selection; None if trials kept no
            predictions or the objective is no metric.
        export: The SavedModel.
        report: The page.
        trials: All finished trials, failed ones included.
        warning: The reason why the first configuration failed, if it did.
    """

    ensemble: Ensemble
    scores: Scores
    correction: CorrectedBest | None
    export: Path
    report: Path
    trials: tuple[TrialRecord, ...] = ()
    warning: str | None = None

    def __str__(self) -> str:
        """Accuracy, trials that were cut short, and next steps, in sentences."""
        steps = next_steps(self.report.parent, self.export)
        lines = [test_summary(self.scores)]
        record = self.ensemble.record
        if record is not None and record.refitted:
            lines.append(refit_summary(len(self.ensemble)))
        return "\n".join([*lines, trials_summary(self.trials), "", *steps])


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
            epochs=options.epochs,
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

    Finished and paused trials count; the search can continue afterwards. `images` returns the data
    that were searched on. For the errors see `Tuner.finalize`.
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
            ensemble = tuner.ensemble(options.ensemble_size, cost_penalty=options.cost_penalty)
        ensemble = refitted(tuner, ensemble, data, options, clock)
        save_final_model(ensemble, out)
        with stage(f"Evaluating on {count(len(data.test), 'test image')}"):
            scores = evaluate_run(ensemble, data, out)
        ensemble.provenance["scores"] = scores.to_json()
        with stage("Exporting a SavedModel and comparing it with the Keras model"):
            (shipped,) = export_run(out, ensemble.to_keras(), data, images=COMPARED)
        with stage("Correcting the best validation score for having been chosen"):
            _preview_augmentation(tuner, data, out)
            correction = corrected_best_of_run(out)
        with stage("Writing the report"):
            report = write_report(out, path=out / REPORT)
    trials = tuple(Run(out).trials())
    warning = first_trial_failure(trials, Run(out).read_search())
    return RunOutcome(ensemble, scores, correction, out / shipped.folder, report, trials, warning)


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


@dataclasses.dataclass(frozen=True)
class RunTime:
    """The time limit of a run, divided between the search and the stages after it.

    Attributes:
        began: Value of `time.monotonic()` at its start, before the images were read.
        limit: Seconds that it may take, or None.
        finishing: Seconds of the stages after the search, without a refit.
        refits: Whether the final models are probably trained again: those of pre-trained networks.
    """

    began: float
    limit: float | None
    finishing: float
    refits: bool = True

    @classmethod
    def of(
        cls, began: float, limit: float | None, data: ImageData, families: Sequence[str]
    ) -> RunTime:
        """Return the time of a run on some images.

        Args:
            began: As above.
            limit: As above.
            data: The images.
            families: Names of the families, in the order in which they are tried.
        """
        pretrained = [
            issubclass(HYPERMODELS.get(name, object), BackboneHyperModel) for name in families
        ]
        height, width, _ = data.input_shape
        finishing = FINISHING + A_TEST_IMAGE * len(data.test)
        if not any(pretrained):
            an_image = min(A_TEST_IMAGE, A_TEST_PIXEL * height * width)
            finishing = FINISHING_NEW + an_image * len(data.test)
        return cls(began, limit, finishing, refits=pretrained[0])

    def for_search(self) -> float | None:
        """Return the seconds that a search which begins now may take, or None."""
        left = self.for_refit()
        if self.limit is None or left is None:
            return None
        kept = REFIT_SHARE if self.refits and self.limit >= REFIT_FROM else 0.0
        return max(left * (1 - kept), LEAST * self.limit)

    def for_refit(self) -> float | None:
        """Return the seconds that a refit which begins now may take, or None."""
        if self.limit is None:
            return None
        return max(0.0, self.began + self.limit - self.finishing - time.monotonic())


def refitted(
    tuner: Tuner, ensemble: Ensemble, data: ImageData, options: RunOptions, clock: RunTime
) -> Ensemble:
    """Refit an ensemble's members if that was asked for or is worth its time.

    Pre-trained networks with a new classifier gain from a quarter more images, and are hardly ever
    trained too long. Weights, temperatures and calibration stay as they were fitted, on predictions
    of the models before; so do all validation figures.

    Args:
        tuner: The tuner of the search.
        ensemble: An ensemble of its trials, recorded in the run directory.
        data: The data of the search.
        options: Options of the run.
        clock: Its time limit.

    Returns:
        The ensemble of the refitted models, which replaces the other one in the run directory; or
        `ensemble`.
    """
    assert ensemble.record is not None
    known = {trial.trial_id: trial for trial in Run(tuner.run_directory).trials()}
    members = [known[name] for name in ensemble.record.trial_ids if name in known]
    unknown = len(members) < len(ensemble.record.trial_ids)
    if options.refit is False:
        return ensemble
    if options.refit is None and (unknown or not _is_cheap(tuner, members, options, clock)):
        return ensemble
    # The best epoch on few validation images is noise; the last epoch of a schedule is annealed.
    epochs = max(member.epochs for member in members) if options.refit is None else None
    asked = RefitOptions(epochs=epochs, overwrite=True, verbose=options.verbose)
    made = refit(tuner, data, asked).ensemble
    made.record = dataclasses.replace(ensemble.record, refitted=True)
    made.provenance = {**ensemble.provenance, **made.provenance}
    write_json(tuner.run_directory / ENSEMBLE, made.record_model().to_json())
    return made


def _is_cheap(
    tuner: Tuner, members: list[TrialRecord], options: RunOptions, clock: RunTime
) -> bool:
    """Return whether the members contain pre-trained networks and are soon trained again."""
    if options.folds or any(member.backbone is None for member in members):
        return False
    if clock.limit is not None and any(member.message for member in members):
        # On all images it would take longer than the time that was too short for them.
        logger.info(
            "The best model was cut short by the time limit, so it is not trained again on "
            "training and validation images: `kt-tuning refit` does that."
        )
        return False
    run, allowed = Run(tuner.run_directory), clock.for_refit()
    cost = 0.0
    for member in members:
        cost += PROBE_SECONDS
        if member.epochs > 1:
            cost += MORE_IMAGES * float(run.history(member.trial_id)["seconds"].sum())
    if allowed is None:
        allowed = SHARE * sum(trial.seconds for trial in run.trials())
    cheap = cost <= max(allowed, NO_MATTER)
    if not cheap:
        logger.info(
            "The best model is not trained again on training and validation images, which would "
            "take about %s: `kt-tuning refit` does that.",
            duration(cost),
        )
    return cheap
