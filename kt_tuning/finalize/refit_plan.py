"""The plan of a refit: its members, and epochs, batch size and seed of each."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np

from kt_tuning.core.errors import OptionError, SearchError, StorageError
from kt_tuning.core.names import find_name
from kt_tuning.core.records import TrialRecord
from kt_tuning.core.units import check_count
from kt_tuning.data import ImageData
from kt_tuning.devices import Devices, global_batch
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.recipe import BATCH_SIZE, MAX_BATCH_SIZE, Recipe
from kt_tuning.run import Run, read_history, trial_folder
from kt_tuning.run.layout import ENSEMBLE, HISTORY
from kt_tuning.search import Tuner
from kt_tuning.search.tuner_models import with_values

AUTO, ALL, BEST = "auto", "ensemble", "best"


@dataclasses.dataclass(frozen=True)
class RefitOptions:
    """Options of a refit.

    Attributes:
        members: "ensemble" for every member of the run's ensemble, with the same weights in the
            ensemble; "best" for the best trial only; "auto" for the ensemble if the run has one,
            else the best trial.
        epochs: Epochs of every member; None for the number of epochs after which each trial was
            best.
        batch_size: Images per step of all devices together; None for that of the trial times the
            number of devices, see `kt_tuning.devices.global_batch`.
        devices: Number of devices that share the training; None for all.
        tpu: Address of a TPU, see `kt_tuning.devices.find_devices`.
        overwrite: Whether an earlier refit of other models, or with other options, is deleted. A
            refit with the same options is always kept and continued.
        verbose: Whether to show a progress bar.

    Raises:
        OptionError: if a value is out of range.
    """

    members: str = AUTO
    epochs: int | None = None
    batch_size: int | None = None
    devices: int | None = None
    tpu: Any = None
    overwrite: bool = False
    verbose: bool = True

    def __post_init__(self) -> None:
        members = find_name(self.members, (AUTO, ALL, BEST), "choice of members")
        object.__setattr__(self, "members", members)
        for name in ("epochs", "batch_size", "devices"):
            object.__setattr__(self, name, check_count(name, getattr(self, name), optional=True))


@dataclasses.dataclass(frozen=True, eq=False)
class MemberPlan:
    """One training.

    Attributes:
        trial: The trial whose configuration is trained.
        hp: Its hyperparameters.
        recipe: How it is trained.
        epochs: Of the training.
        batch_size: Images a step, of all devices together.
        ratio: That over the images per step of the trial.
        seed: Of initial weights, order and augmentation: that of the trial.
    """

    trial: TrialRecord
    hp: keras_tuner.HyperParameters
    recipe: Recipe
    epochs: int
    batch_size: int
    ratio: float
    seed: int


def plan_member(
    tuner: Tuner, trial: TrialRecord, images: int, devices: Devices, options: RefitOptions
) -> MemberPlan:
    """Return how a trial's configuration is trained again, on a number of images."""
    objective = tuner.objectives[0]
    hp = with_values(tuner.oracle.get_space(), trial)
    found = tuner.recipe.plan(hp.values)
    size = options.batch_size or global_batch(found.batch_size, devices.count, images)
    if size % devices.count:
        raise OptionError(
            f"`batch_size` is a multiple of the number of devices, {devices.count}, which share "
            f"each batch. Received: batch_size={size}"
        )
    recipe = tuner.recipe
    if size != found.batch_size or not devices.alone:
        # Only our own training loop, on one device, can enlarge batches.
        recipe = dataclasses.replace(recipe, batch_size=size, max_batch_size=None)
        for name in (BATCH_SIZE, MAX_BATCH_SIZE):
            hp.values.pop(name, None)
    folder = trial_folder(tuner.run_directory, trial.trial_id)
    epochs = options.epochs or chosen_epochs(
        folder, trial, objective=objective.name, maximise=objective.direction == "max"
    )
    seed = int(np.random.SeedSequence((tuner.seed, trial.number)).generate_state(1)[0])
    return MemberPlan(trial, hp, recipe, epochs, size, size / found.batch_size, seed)


def with_validation(data: ImageData) -> ImageData:
    """Return the same data with the validation images among the training images."""
    joined = np.sort(np.concatenate([data.indices["train"], data.indices["validation"]]))
    indices = {**data.indices, "train": joined, "validation": joined[:0]}
    return dataclasses.replace(data, indices=indices)


def choose_members(tuner: Tuner, members: str) -> tuple[EnsembleRecord, list[TrialRecord]]:
    """Return how the models are combined, without earlier measurements, and their trials in order.

    Args:
        tuner: The tuner of the search.
        members: "auto", "ensemble" or "best", see `RefitOptions`.

    Raises:
        OptionError: if the ensemble has members that are no trials of this run.
        SearchError: if no trial has completed, or there is no ensemble.
    """
    run = Run(tuner.run_directory)
    trials = run.scored_trials()
    record = run.read(EnsembleRecord, ENSEMBLE)
    if members == BEST or (members == AUTO and record is None):
        best = trials[0]
        alone = EnsembleRecord(
            trial_ids=(best.trial_id,),
            weights=(1.0,),
            solver="single",
            cross_fitted={},
            member_scores=(best.metrics[tuner.objectives[0].name],),
            temperatures=(1.0,),
        )
        return alone, [best]
    if record is None:
        raise SearchError(
            f"{tuner.run_directory} has no ensemble yet: call `tuner.ensemble()` first, or refit "
            f"members={BEST!r}."
        )
    known = {trial.trial_id: trial for trial in trials}
    if strange := [name for name in record.trial_ids if name not in known]:
        raise OptionError(
            f"The ensemble should have trials of this run alone. Received: {', '.join(strange)}. "
            f"Refit members={BEST!r}, or combine the run's own trials: `tuner.ensemble()`."
        )
    unmeasured = dataclasses.replace(
        record,
        cross_fitted={},
        errors={},
        diversity=None,
        reliability=None,
        folds=1,
        sharpening=1.0,
    )
    return unmeasured, [known[name] for name in record.trial_ids]


def chosen_epochs(folder: Path, record: TrialRecord, *, objective: str, maximise: bool) -> int:
    """Return the number of epochs after which the trial was best.

    Epochs are kept, not steps: each image is seen as often as in the trial. With several folds or
    executions it is the median over them, the higher one of two.

    Args:
        folder: Folder of the trial.
        record: Its record.
        objective: Name of the metric that decides which epoch is best.
        maximise: Whether higher values are better.

    Raises:
        StorageError: if the trial has several trainings and their curves cannot be read.
    """
    if len(record.scores) <= 1:
        return record.best_epoch + 1
    path = folder / HISTORY
    try:
        history = read_history(path)
        runs, epochs, values = (history[name] for name in ("run", "epoch", objective))
    except (StorageError, KeyError) as error:
        raise StorageError(
            f"{path} should have the columns run, epoch and {objective}. Received: {error!r}. "
            "Pass the number of `epochs` to train for."
        ) from error
    best = []
    for run in np.unique(runs):
        of_run = np.where(runs == run, values if maximise else -values, -np.inf)
        best.append(int(epochs[np.nanargmax(of_run)]))
    return statistics.median_high(best) + 1
