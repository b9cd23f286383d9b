"""The time of a run, and the refit of its final models if it was asked for or is worth its time."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence

from hypermodels import HYPERMODELS
from hypermodels.backbone_family import BackboneHyperModel
from hypermodels.frozen import learns_only_head
from kt_tuning.core.json_record import write_json
from kt_tuning.core.records import TrialRecord
from kt_tuning.core.units import clock as duration
from kt_tuning.data import ImageData
from kt_tuning.devices.speed import network_slowness, slowness
from kt_tuning.ensembling import Ensemble
from kt_tuning.features import FeatureCache
from kt_tuning.finalize.refit import refit
from kt_tuning.finalize.refit_plan import RefitOptions
from kt_tuning.run import Run
from kt_tuning.run.layout import ENSEMBLE
from kt_tuning.run_options import RunOptions
from kt_tuning.search import Tuner
from kt_tuning.search.tuner_models import with_values
from kt_tuning.trials import new_model

logger = logging.getLogger("kt_tuning")

FINISHING, A_TEST_IMAGE = 9.0, 0.004
"""Seconds to combine, evaluate, export and report, and seconds a test image, with
EfficientNet-Lite0 on two processor cores. On a machine that `slowness` calls 1.5 times and
`network_slowness` 2.8 times as slow the stages took 18 s with 400 test images."""
FINISHING_NEW, A_TEST_PIXEL = 8.0, 1e-6
"""The same for networks trained from scratch, and seconds per pixel of a test image."""
REFIT_SHARE = 0.35
"""Share of the remaining time that is kept for the refit; linear probes are solved again almost at
once."""
LEAST = 0.2
"""Smallest share of the limit that the search has."""
SHORT = 120.0
"""Limit in seconds below which the stages after the search do less: time is kept only for the refit
of a linear probe, and the export is compared on fewer images."""
SHARE = 0.3
"""Largest cost of a refit that was not asked for, as a share of a search without a time limit."""
NO_MATTER, OVERRUN = 10.0, 0.05
"""Seconds that a refit may take in any case, and the share of a time limit by which it may exceed
it."""
MORE_IMAGES = 1.3
"""Estimated time of an epoch on training and validation images over one on training images."""
PROBE_SECONDS = 2.5
"""Estimated time to solve a linear probe again, with available features."""


@dataclasses.dataclass(frozen=True)
class RunTime:
    """The time limit of a run, divided between the search and the stages after it.

    Attributes:
        began: Value of `time.monotonic()` at its start, before the images were read.
        limit: Seconds that it may take, or None.
        finishing: Seconds of the stages after the search, without a refit.
        refits: Whether the final models are probably trained again: those of pre-trained networks.
        solving: Seconds to solve a linear probe again, with available features.
    """

    began: float
    limit: float | None
    finishing: float
    refits: bool = True
    solving: float = PROBE_SECONDS

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
        fixed, an_image = FINISHING, A_TEST_IMAGE
        if not any(pretrained):
            fixed, an_image = FINISHING_NEW, min(A_TEST_IMAGE, A_TEST_PIXEL * height * width)
        factor = slowness(limit)
        finishing = fixed * factor + an_image * len(data.test) * network_slowness(limit)
        solving = PROBE_SECONDS * factor
        return cls(began, limit, finishing, refits=pretrained[0], solving=solving)

    @property
    def short(self) -> bool:
        """Whether there is a limit below `SHORT`."""
        return self.limit is not None and self.limit < SHORT

    def for_search(self) -> float | None:
        """Return the seconds that a search which begins now may take, or None."""
        left = self.for_refit()
        if self.limit is None or left is None:
            return None
        kept = self.solving if self.short else REFIT_SHARE * left
        return max(left - kept * self.refits, LEAST * self.limit)

    def for_refit(self) -> float | None:
        """Return the seconds that a refit which begins now may take, below 0 if late, or None."""
        if self.limit is None:
            return None
        return self.began + self.limit - self.finishing - time.monotonic()


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
    if options.refit is None and (unknown or not _is_cheap(tuner, members, data, options, clock)):
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
    tuner: Tuner,
    members: list[TrialRecord],
    data: ImageData,
    options: RunOptions,
    clock: RunTime,
) -> bool:
    """Return whether the members contain pre-trained networks and are soon trained again."""
    if options.folds or any(member.backbone is None for member in members):
        return False
    allowed = clock.for_refit()
    cut = [member for member in members if member.message]
    solving = clock.solving * len(cut)
    if cut and allowed is not None and not _completed(tuner, cut, data, allowed - solving):
        # On all images it would take longer than the time that was too short for them.
        logger.info(
            "The best model was cut short by the time limit, so it is not trained again on "
            "training and validation images: `kt-tuning refit` does that."
        )
        return False
    # Features may have taken some of the time.
    run, allowed, cost = Run(tuner.run_directory), clock.for_refit(), 0.0
    for member in members:
        cost += clock.solving
        if member.epochs > 1:
            cost += MORE_IMAGES * float(run.history(member.trial_id)["seconds"].sum())
    if allowed is None or clock.limit is None:
        allowed = max(NO_MATTER, SHARE * sum(trial.seconds for trial in run.trials()))
    else:
        allowed += OVERRUN * clock.limit
    cheap = cost <= allowed
    if not cheap:
        logger.info(
            "The best model is not trained again on training and validation images, which would "
            "take about %s: `kt-tuning refit` does that.",
            duration(cost),
        )
    return cheap


def _completed(tuner: Tuner, cut: list[TrialRecord], data: ImageData, seconds: float) -> bool:
    """Compute the features that linear probes lacked when the time limit cut them short.

    Args:
        tuner: The tuner of the search.
        cut: The trials.
        data: The data of the search.
        seconds: Time for it.

    Returns:
        Whether all trials are linear probes, and there are features of all training images now.
    """
    until = time.monotonic() + seconds
    for trial in cut:
        model = new_model(tuner.hypermodel, with_values(tuner.oracle.get_space(), trial))
        if not learns_only_head(model) or time.monotonic() >= until:
            return False
        cache = FeatureCache(data.content, len(data.labels))
        places, _ = cache.until(data.train, model.frozen, until)
        if len(places) < len(data.train):
            return False
    return True
