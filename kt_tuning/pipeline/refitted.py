"""The final models trained again, if that was asked for or is worth its time."""

from __future__ import annotations

import dataclasses
import logging
import time

from kt_tuning.core.json_record import write_json
from kt_tuning.core.records import TrialRecord
from kt_tuning.core.units import clock as duration
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble
from kt_tuning.finalize.refit import RefitOptions, refit
from kt_tuning.run import Run
from kt_tuning.run.layout import ENSEMBLE
from kt_tuning.run_options import RunOptions
from kt_tuning.search import Tuner

logger = logging.getLogger("kt_tuning")

FINISHING, A_TEST_IMAGE = 20.0, 0.01
"""Seconds that combining, evaluating, exporting and reporting take, and those of each test image:
of EfficientNet-Lite0 on two processor cores."""
REFIT_SHARE, REFIT_FROM = 0.4, 120.0
"""Share of what is left that is kept for training the winner again, and the limit in seconds from
which it is: probes are solved for again in no time."""
LEAST = 0.35
"""Share of the limit that the search has in any case."""
SHARE = 0.3
"""Of the time of a search without a limit: what a refit that was not asked for may take."""
NO_MATTER = 10.0
"""Seconds that a refit may take in any case."""
MORE_IMAGES = 1.3
"""An epoch on training and validation images over one on training images, and to spare."""
PROBE_SECONDS = 5.0
"""What it takes to solve for a probe again, whose features are there."""


@dataclasses.dataclass(frozen=True)
class RunTime:
    """The wall-clock of a run.

    Attributes:
        began: Value of `time.monotonic()` when it began, reading the images included.
        limit: Seconds that it may take, or None.
        finishing: Seconds that what comes after the search takes, but for a refit.
    """

    began: float
    limit: float | None
    finishing: float

    @classmethod
    def of(cls, began: float, limit: float | None, data: ImageData) -> RunTime:
        """The wall-clock of a run on some images."""
        return cls(began, limit, FINISHING + A_TEST_IMAGE * len(data.test))

    def for_search(self) -> float | None:
        """Seconds that a search which begins now may take, or None."""
        if self.limit is None:
            return None
        left = self.began + self.limit - self.finishing - time.monotonic()
        if self.limit >= REFIT_FROM:
            left *= 1 - REFIT_SHARE
        return max(left, LEAST * self.limit)

    def for_refit(self) -> float | None:
        """Seconds that a refit which begins now may take, or None."""
        if self.limit is None:
            return None
        return max(0.0, self.began + self.limit - self.finishing - time.monotonic())


def refitted(
    tuner: Tuner, ensemble: Ensemble, data: ImageData, options: RunOptions, clock: RunTime
) -> Ensemble:
    """Train an ensemble's members again, if that was asked for or is worth its time.

    Pre-trained networks with a new classifier gain from a quarter more images, and are hardly ever
    trained too long. Weights, temperatures and calibration stay as they were fitted, on predictions
    of the models before; so do all validation figures.

    Args:
        tuner: Has searched.
        ensemble: Of its trials; it is recorded in the run directory.
        data: What it searched on.
        options: Of the run.
        clock: Says what time there is.

    Returns:
        The ensemble of the models that were trained again, which takes the place of the other one
        in the run directory; or the one that was passed.
    """
    assert ensemble.record is not None
    wanted = options.refit
    if wanted is None:
        wanted = _is_cheap(tuner, ensemble, options, clock)
    if not wanted:
        return ensemble
    # The epoch that was best on few validation images is luck; the last one is annealed.
    epochs = (
        max(member.epochs for member in _members(tuner, ensemble))
        if options.refit is None
        else None
    )
    wishes = RefitOptions(epochs=epochs, overwrite=True, verbose=options.verbose)
    made = refit(tuner, data, wishes)
    served = made.ensemble
    served.record = dataclasses.replace(ensemble.record, refitted=True)
    served.provenance = {**ensemble.provenance, **served.provenance}
    write_json(tuner.run_directory / ENSEMBLE, served.record_model().to_json())
    return served


def _is_cheap(tuner: Tuner, ensemble: Ensemble, options: RunOptions, clock: RunTime) -> bool:
    """Whether the members contain pre-trained networks and are soon trained again."""
    assert ensemble.record is not None
    members = _members(tuner, ensemble)
    unknown = len(members) < len(ensemble.record.trial_ids)
    if options.folds or unknown or any(member.backbone is None for member in members):
        return False
    if clock.limit is not None and any(member.message for member in members):
        # On all images it would take longer than the time that was too short for them.
        logger.info(
            "The best model was cut short by the time limit, so it is not trained again on "
            "training and validation images: `kt-tuning refit` does that."
        )
        return False
    cost = sum(_cost(member, tuner) for member in members)
    allowed = clock.for_refit()
    if allowed is None:
        allowed = SHARE * sum(trial.seconds for trial in Run(tuner.run_directory).trials())
    cheap = cost <= max(allowed, NO_MATTER)
    if not cheap:
        logger.info(
            "The winner is not trained again on training and validation images, which would take "
            "about %s: `kt-tuning refit` does that.",
            duration(cost),
        )
    return cheap


def _members(tuner: Tuner, ensemble: Ensemble) -> list[TrialRecord]:
    """The trials of a run whose models an ensemble has."""
    assert ensemble.record is not None
    known = {trial.trial_id: trial for trial in Run(tuner.run_directory).trials()}
    return [known[name] for name in ensemble.record.trial_ids if name in known]


def _cost(trial: TrialRecord, tuner: Tuner) -> float:
    """Seconds of its training again, with more images, about."""
    if trial.epochs <= 1:
        return PROBE_SECONDS
    history = Run(tuner.run_directory).history(trial.trial_id)
    return PROBE_SECONDS + MORE_IMAGES * float(history["seconds"].sum())
