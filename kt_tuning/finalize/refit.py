"""Refit: the final models trained again, on training and validation images, on all devices."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path

import keras
import numpy as np

from kt_tuning.core.atomic import make_folder
from kt_tuning.core.errors import StorageError, disk_errors_explained
from kt_tuning.core.json_record import Record, write_json
from kt_tuning.core.progress import progress
from kt_tuning.core.quiet import quiet_keras_tuner
from kt_tuning.core.units import count
from kt_tuning.data import ImageData
from kt_tuning.devices import find_devices
from kt_tuning.ensembling import Ensemble, EnsembleRecord
from kt_tuning.evaluation import held_out_uses
from kt_tuning.export.export_model import next_version
from kt_tuning.finalize.refit_plan import RefitOptions, choose_members, plan_member, with_validation
from kt_tuning.finalize.refit_training import train_member
from kt_tuning.run import Run, remove_run, run_lock, trial_folder, write_lock
from kt_tuning.run.layout import DATA, ENSEMBLE, REFIT, REFIT_RECORD, SEARCH, SPLIT, WEIGHTS
from kt_tuning.search import Tuner
from kt_tuning.search.identity import check_same_data
from kt_tuning.trials import load_weights, new_model

logger = logging.getLogger("kt_tuning")

CHECK_IMAGES = 32
"""Validation images that an export is compared with the models on."""


@dataclasses.dataclass(frozen=True)
class RefitRecord(Record):
    """How models were trained again: `refit.json` in the folder of a refit.

    The folder is a run directory itself: the data and search records are copied from the run,
    `test_uses.json` counts together with that of the run, each `trial_<id>/` holds a model, and
    `ensemble.json` the weights that the models had in the run.

    Attributes:
        trial_ids: The trials whose configurations they have, K of them.
        epochs: (K,) of each training.
        batch_sizes: (K,) images per step, of all devices together.
        rate_ratios: (K,) those over the images per step of the trial; what the learning rate was
            multiplied by follows from it and the optimizer, see `kt_tuning.devices.rate_factor`.
        seeds: (K,) of initial weights, order and augmentation: those of the trials.
        images: How many they were trained on: those of the training and the validation split.
        fingerprint: Of the data.
        devices: What they were trained on, in words.
        test_uses: When the test split had been looked at before, e.g. "2026-11-22 06:05 UTC".
    """

    trial_ids: tuple[str, ...]
    epochs: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    rate_ratios: tuple[float, ...]
    seeds: tuple[int, ...]
    images: int
    fingerprint: str
    devices: str = ""
    test_uses: tuple[str, ...] = ()

    def differs_from(self, other: RefitRecord) -> list[str]:
        """Names of what decides the models and is not the same in `other`."""
        decisive = ("trial_ids", "epochs", "batch_sizes", "seeds", "fingerprint")
        return [name for name in decisive if getattr(self, name) != getattr(other, name)]

    @property
    def caveat(self) -> str | None:
        """What a reader of test scores should know, or None if there is nothing."""
        if not self.test_uses:
            return None
        times = "once" if len(self.test_uses) == 1 else f"{len(self.test_uses)} times"
        return (
            f"The test split was opened {times} before this refit, first on {self.test_uses[0]}. "
            "Those scores belong to the models before the refit. The refitted models have not been "
            "evaluated, and for them the test split is no longer unseen."
        )

    def __str__(self) -> str:
        """One line: what, on what and for how long."""
        models = "1 model" if len(self.trial_ids) == 1 else f"{len(self.trial_ids)} models"
        rows = zip(self.epochs, self.batch_sizes, strict=True)
        how = ", ".join(
            f"{count(epochs, 'epoch')} of {size} images per step" for epochs, size in rows
        )
        return f"{models} on {self.images:,} images, on {self.devices}: {how}."


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

    Each configuration is trained for as many epochs (not steps) as its trial had at its best epoch,
    see `chosen_epochs`. The learning-rate schedule is as long as this training, so that the rate
    has decayed at its end. All devices share each batch; batch size and learning rate grow with
    their number by the rules in `kt_tuning.devices.rules`. Everything else, including the seeds, is
    the same as in the trial, except that batches do not grow if several devices share a training.
    The refitted models can only be evaluated on the test images: the weights, temperatures and
    calibration of the ensemble stay those that were fitted to validation predictions of the models
    before.

    An interrupted refit continues after its last finished epoch. The test split is not used; if it
    has been used before, the record says how often, and a warning says what follows from that.

    Several devices have been tested as virtual ones on a processor: a refit has not been run on
    GPUs or TPUs yet.

    Args:
        tuner: The tuner of the search.
        data: The data of the search.
        options: The members, epochs, batch size and devices; `RefitOptions()` if None.

    Raises:
        OptionError: if an option is invalid, or the ensemble has members of other runs.
        SearchError: if no trial has completed, or a loss is not a number any more.
        StorageError: if the search was run on other data, the directory contains another refit, or
            another process uses it.
    """
    options = options or RefitOptions()
    run, folder = tuner.run_directory, tuner.run_directory / REFIT
    Run(run).read_data()
    check_same_data(run, data)
    combination, trials = choose_members(tuner, options.members)
    devices = find_devices(options.tpu).take(options.devices)
    joined = with_validation(data)
    uses = held_out_uses(run, data.uses_without_run).of(data.fingerprint)
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
    make_folder(folder)
    with disk_errors_explained(folder), write_lock(run), run_lock(folder), quiet_keras_tuner():
        record = _begin(run, folder, record, combination, overwrite=options.overwrite)
        logger.info("Refit: %s", record)
        if record.caveat is not None:
            logger.warning(record.caveat)
        folders = [trial_folder(folder, trial.trial_id) for trial in trials]
        for number, (plan, place) in enumerate(zip(plans, folders, strict=True), 1):
            title = f"Refit {number} of {len(plans)}, epochs"
            with progress(title, plan.epochs, shown=options.verbose) as bar:
                train_member(tuner, plan, joined, devices, place, bar)
        keras.backend.clear_session()
        # For one device.
        models = [new_model(tuner.hypermodel, plan.hp) for plan in plans]
        for model, place in zip(models, folders, strict=True):
            load_weights(model, place / WEIGHTS)
        ensemble = Ensemble(
            combination.served([[model] for model in models]),
            combination.combination,
            record=combination,
            card=data.card,
            provenance={
                "search": Run(run).read_search().to_json(),
                "trials": {
                    trial.trial_id: {"values": trial.values, "metrics": trial.metrics}
                    for trial in trials
                },
                "refit": record.to_json(),
            },
        )
        _write_ensemble(folder, ensemble.record_model(), record)
    return Refit(ensemble, record, folder)


def _begin(
    run: Path, folder: Path, record: RefitRecord, combination: EnsembleRecord, *, overwrite: bool
) -> RefitRecord:
    """Write the records of a refit unless they are there; return those that are there then."""
    known = Run(folder).read(RefitRecord, REFIT_RECORD)
    if known is not None:
        names = known.differs_from(record)
        if not names:
            return known
        if not overwrite:
            told = "; ".join(f"{n}={getattr(known, n)}, now {getattr(record, n)}" for n in names)
            raise StorageError(
                f"{folder} holds another refit: {told}. Ask for the same one to continue it, or "
                "pass overwrite=True to start again."
            )
        remove_run(folder)
    for name in (DATA, SPLIT, SEARCH):
        if (run / name).exists():
            shutil.copyfile(run / name, folder / name)
    _write_ensemble(folder, combination, record)
    record.save(folder / REFIT_RECORD)
    return record


def _write_ensemble(folder: Path, combination: EnsembleRecord, record: RefitRecord) -> None:
    """Write how the models are combined, and how they were trained."""
    write_json(folder / ENSEMBLE, {**combination.to_json(), "refit": record.to_json()})
