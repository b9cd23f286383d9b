"""What is trained again, and how: worked out before anything is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras_tuner
import numpy as np

from kt_tuning.data import ImageData
from kt_tuning.devices import Devices, global_batch
from kt_tuning.errors import OptionError
from kt_tuning.recipe import BATCH_SIZE, MAX_BATCH_SIZE, Recipe
from kt_tuning.records import TrialRecord
from kt_tuning.refitting.epochs import chosen_epochs
from kt_tuning.refitting.options import RefitOptions
from kt_tuning.search import Tuner
from kt_tuning.search.best_models import with_values


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
    """Work out how a trial's configuration is trained again.

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
    folder = tuner.run_directory / f"trial_{trial.trial_id}"
    epochs = options.epochs or chosen_epochs(
        folder, trial, objective=objective.name, maximise=objective.direction == "max"
    )
    seed = int(np.random.SeedSequence((tuner.seed, trial.number)).generate_state(1)[0])
    return MemberPlan(trial, hp, recipe, epochs, size, size / found.batch_size, seed)


def with_validation(data: ImageData) -> ImageData:
    """The same data with its validation images among the training images."""
    joined = np.sort(np.concatenate([data.indices["train"], data.indices["validation"]]))
    indices = {**data.indices, "train": joined, "validation": joined[:0]}
    return dataclasses.replace(data, indices=indices)


def member_folder(folder: Path, trial_id: str) -> Path:
    """Where a member of a refit is kept."""
    return folder / f"trial_{trial_id}"
