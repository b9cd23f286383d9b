"""Distillation: an ensemble's knowledge in one model, at the cost of one model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras

from kt_tuning.core.errors import OptionError
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble
from kt_tuning.evaluation import model_digest
from kt_tuning.finalize.combine_members import combine
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.finalize.distillation_loss import DistilledHyperModel
from kt_tuning.finalize.member_training import MemberTraining, TrainingSubset
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel

logger = logging.getLogger("kt_tuning")


def distill(
    teacher: Ensemble | keras.Model,
    student: Configuration,
    data: ImageData,
    directory: str | Path,
    *,
    temperature: float = 2.0,
    soft_weight: float = 0.9,
    teacher_seen: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> Ensemble:
    """Train one model to answer as an ensemble does.

    The student is trained like any trial, by its recipe, with augmentation and mixing. The
    teacher's answers are computed for each augmented image, in the training step, which therefore
    costs one more prediction of the whole teacher; nothing is stored. An interrupted training
    continues after its last finished epoch.

    Args:
        teacher: An ensemble, or any Keras model: uint8 pixels (n, H, W, C) -> probabilities
            (n, classes).
        student: What is trained: `Configuration.of(tuner)` for the size of the best trial, or a
            smaller one, `Configuration(ConvNet(data.input_shape, data.classes, filters=(16, 32)))`.
            Students gain from long trainings.
        data: The data that the teacher's members were trained on, split alike.
        directory: Folder of the student, e.g. a folder "student" in the run directory.
        temperature: T of the soft targets, more than 0; see `distillation_loss`.
        soft_weight: Weight of the soft targets in the loss, in (0, 1]; the rest is that of the
            labels.
        teacher_seen: Whether the teacher was trained on the validation images, as after a refit;
            of an ensemble with folds that is known. The student then learns of these images from
            it: a warning says that its validation figures are optimistic.
        overwrite: Whether another student in the directory is deleted first.
        verbose: Whether to show the live view.

    Returns:
        The student, calibrated on the validation images, as an ensemble of one: `evaluate` and
        `export` take it, `to_keras()` is its model.

    Raises:
        OptionError: if an argument is wrong, or teacher, student and data do not go together.
        SearchError: if the training fails.
        StorageError: if the directory holds something else, or another process uses it.
    """
    _check(temperature, soft_weight)
    model = teacher.to_keras() if isinstance(teacher, Ensemble) else teacher
    _check_teacher(model, data)
    folds = 1 if not isinstance(teacher, Ensemble) or not teacher.record else teacher.record.folds
    teacher_seen = teacher_seen or folds > 1
    if teacher_seen:
        logger.warning(
            "The teacher was trained on the validation images, so that the student's validation "
            "figures, and its calibration, are optimistic: rely on its test scores."
        )
    metadata = {"temperature": float(temperature), "soft_weight": float(soft_weight)}
    run = MemberTraining(
        "distill",
        student,
        data,
        directory,
        metadata={**metadata, "teacher": model_digest(model)},
        overwrite=overwrite,
    )
    taught = DistilledHyperModel(
        student.hypermodel, model, temperature=temperature, soft_weight=soft_weight
    )
    run.train(
        1,
        lambda index: TrainingSubset(data),
        hypermodel=RecipeHyperModel(taught, student.recipe),
        verbose=verbose,
    )
    ensemble = combine(run.candidates(1), data, directory, solver="single")
    ensemble.provenance["distillation"] = {
        **metadata,
        "teacher": _describe(teacher),
        "teacher_trained_on_validation": teacher_seen,
    }
    return ensemble


def _check(temperature: float, soft_weight: float) -> None:
    # Written so that nan fails it.
    if not 0 < temperature < float("inf"):
        raise OptionError(
            "`temperature` is a number more than 0, such as 2. "
            f"Received: temperature={temperature!r}"
        )
    if not 0 < soft_weight <= 1:
        raise OptionError(
            "`soft_weight` is a share of the loss, more than 0 and at most 1. "
            f"Received: soft_weight={soft_weight!r}"
        )


def _check_teacher(model: keras.Model, data: ImageData) -> None:
    shapes = (tuple(model.input_shape[1:]), tuple(model.output_shape[1:]))
    wanted = (tuple(data.input_shape), (data.classes,))
    if shapes != wanted:
        raise OptionError(
            f"The teacher maps {shapes[0]} to {shapes[1]}, the data need {wanted[0]} to "
            f"{wanted[1]}: it should have been trained on such images."
        )


def _describe(teacher: Ensemble | keras.Model) -> Any:
    if not isinstance(teacher, Ensemble):
        return teacher.name
    return None if teacher.record is None else teacher.record.to_json()
