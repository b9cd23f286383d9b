"""The plan of a refit: its members, and epochs, batch size and seed of each."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

import keras_tuner
import numpy as np

from kt_tuning.core.errors import OptionError, SearchError, StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.data import ImageData
from kt_tuning.devices import Devices, global_batch
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.finalize.refit.options import AUTO, BEST, RefitOptions
from kt_tuning.recipe import BATCH_SIZE, MAX_BATCH_SIZE, Recipe
from kt_tuning.run import Run, read_history, trial_folder
from kt_tuning.run.layout import ENSEMBLE, HISTORY
from kt_tuning.search import Tuner
from kt_tuning.search.best_models import with_values

SINGLE = "single"


@dataclasses.dataclass(frozen=True, eq=False)
class MemberPlan:
    """One training.

    Attributes:
        trial: Whose configuration it has.
        hp: Its hyperparameters.
        recipe: How it is trained.
        epochs: Of the training.
        batch_size: Images a step, of all devices together.
        ratio: That over the images a step of the trial.
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
    """Return how a trial's configuration is trained again.

    Args:
        tuner: Has searched.
        trial: One of its trials.
        images: How many it is trained on.
        devices: On what.
        options: As asked for.

    Raises:
        OptionError: if the devices cannot share the batches.
    """
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
        # Batches that grow do so in our own training loop alone, on one device.
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
    """Return the trials whose configurations are trained again, and how they are combined.

    Args:
        tuner: Has searched.
        members: "auto", "ensemble" or "best", see `RefitOptions`.

    Returns:
        The combination and its members, in its order. What is known of the models before they
        were trained again is not in it.

    Raises:
        OptionError: if the ensemble has members that are no trials of this run.
        SearchError: if no trial has completed, or there is no ensemble.
    """
    objective = tuner.objectives[0]
    run = Run(tuner.run_directory)
    trials = run.best_trials()
    if not trials:
        raise SearchError("No trial has completed yet: call `search` first.")
    record = run.read(EnsembleRecord, ENSEMBLE)
    if members == BEST or (members == AUTO and record is None):
        best = trials[0]
        alone = EnsembleRecord(
            trial_ids=(best.trial_id,),
            weights=(1.0,),
            solver=SINGLE,
            cross_fitted={},
            member_scores=(best.metrics[objective.name],),
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
