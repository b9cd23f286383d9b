"""The refit: the final models trained again, on all images but the test images."""

from __future__ import annotations

import dataclasses
import functools
import logging
from pathlib import Path

import keras
import numpy as np

from kt_tuning.core.errors import full_disk_explained
from kt_tuning.core.progress import Task, progress
from kt_tuning.core.quiet import quiet_keras_tuner
from kt_tuning.data import ImageData
from kt_tuning.devices import find_devices
from kt_tuning.ensembling import Ensemble
from kt_tuning.evaluation import held_out_uses
from kt_tuning.export import next_version
from kt_tuning.finalize.refit.folder import (
    begin,
    check_compatible,
    provenance,
    write_ensemble,
)
from kt_tuning.finalize.refit.options import RefitOptions
from kt_tuning.finalize.refit.plan import (
    MemberPlan,
    choose_members,
    plan_member,
    with_validation,
)
from kt_tuning.finalize.refit.record import RefitRecord
from kt_tuning.finalize.refit.training import train_member
from kt_tuning.run import Run, run_lock, trial_folder
from kt_tuning.run.layout import REFIT, WEIGHTS
from kt_tuning.search import Tuner
from kt_tuning.search.run_directory import check_same_data
from kt_tuning.trials import load_weights, new_model

logger = logging.getLogger("kt_tuning")

CHECK_IMAGES = 32
"""Validation images that an export is compared with the models on."""


@dataclasses.dataclass(frozen=True, eq=False)
class Refit:
    """The result of a refit.

    Attributes:
        ensemble: The models, trained on training and validation images, combined as before; a
            single one for `members="best"`.
        record: How they were trained.
        directory: Where they are: `refit` in the run directory, laid out like one.
    """

    ensemble: Ensemble
    record: RefitRecord
    directory: Path

    def __repr__(self) -> str:
        return f"Refit({str(self.directory)!r}: {self.record})"

    def export(self, data: ImageData) -> Path:
        """Write a SavedModel, the next version in `refit/export`, which it returns.

        Args:
            data: The images: some are compared with what the models say of them.
        """
        some = data.validation.take(np.arange(min(CHECK_IMAGES, len(data.validation))))
        return self.ensemble.export(next_version(self.directory / "export"), check_images=some)


def refit(tuner: Tuner, data: ImageData, options: RefitOptions | None = None) -> Refit:
    """Train the members of a search's ensemble again, on training and validation images together.

    Each configuration is trained for as many epochs as it had had when it was best: epochs, not
    steps, see `chosen_epochs`. A learning-rate schedule goes through all of itself in these, so
    that the training ends annealed. All devices share each batch; batches and learning rates grow
    with their number by the rules in `kt_tuning.devices.rules`. Everything else, seeds included,
    is as in the trial, except that batches do not grow while several devices share a training.
    Nothing is left to measure the models on but the test images: an ensemble's weights,
    temperatures and calibration stay those that were fitted on validation predictions of the models
    before.

    An interrupted refit continues after its last finished epoch. The test split is not used; if it
    has been before, the record says how often, and a warning says what follows.

    Several devices have been tested as virtual ones on a processor: the refit has not run on
    several GPUs or on a TPU yet.

    Args:
        tuner: The tuner of the search.
        data: The data that it searched on.
        options: What is trained and on what; `RefitOptions()` if None.

    Raises:
        OptionError: if an option is wrong, or the ensemble has members from elsewhere.
        SearchError: if no trial has completed, or a loss is no number any more.
        StorageError: if the data are others, the directory holds another refit, or another
            process uses it.
    """
    options = options or RefitOptions()
    run, folder = tuner.run_directory, tuner.run_directory / REFIT
    Run(run).read_data()
    check_same_data(run, data)
    combination, trials = choose_members(tuner, options.members)
    devices = find_devices(options.tpu).take(options.devices)
    joined, uses = with_validation(data), held_out_uses(run).of(data.fingerprint)
    images = len(joined.train)
    plans = [plan_member(tuner, trial, images, devices, options) for trial in trials]
    record = RefitRecord(
        trial_ids=tuple(trial.trial_id for trial in trials),
        epochs=tuple(plan.epochs for plan in plans),
        batch_sizes=tuple(plan.batch_size for plan in plans),
        rate_ratios=tuple(plan.ratio for plan in plans),
        seeds=tuple(plan.seed for plan in plans),
        images=images,
        fingerprint=data.fingerprint,
        devices=str(devices),
        test_uses=tuple(use.date for use in uses.uses),
    )
    check_compatible(folder, record, overwrite=options.overwrite)
    folder.mkdir(exist_ok=True)
    with full_disk_explained(folder), run_lock(folder), quiet_keras_tuner():
        record = begin(run, folder, record, combination, overwrite=options.overwrite)
        logger.info("Refit: %s", record)
        if record.caveat is not None:
            logger.warning(record.caveat)
        for number, plan in enumerate(plans, 1):
            title = f"Refit {number} of {len(plans)}, epochs"
            with progress(title, plan.epochs, shown=options.verbose) as task:
                place = trial_folder(folder, plan.trial.trial_id)
                tell = functools.partial(_tell, task)
                train_member(tuner, plan, joined, devices, place, tell)
        keras.backend.clear_session()
        ensemble = Ensemble(
            [_load(tuner, plan, folder) for plan in plans],
            combination.combination,
            record=combination,
            card=data.card,
            provenance=provenance(run, record, trials),
        )
        write_ensemble(folder, ensemble.record_model(), record)
    return Refit(ensemble, record, folder)


def _load(tuner: Tuner, plan: MemberPlan, folder: Path) -> keras.Model:
    """Return a member's model for one device."""
    model = new_model(tuner.hypermodel, plan.hp)
    load_weights(model, trial_folder(folder, plan.trial.trial_id) / WEIGHTS)
    return model


def _tell(task: Task, done: int, loss: float) -> None:
    task.update(done, f"loss {loss:.4f}")
