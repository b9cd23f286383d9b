"""Distillation: training one model to reproduce the predictions of an ensemble."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras import ops

from kt_tuning.core.errors import OptionError
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble
from kt_tuning.ensembling.calibration import SMALLEST_PROBABILITY
from kt_tuning.evaluation.test_uses import model_digest
from kt_tuning.finalize.configuration import Configuration, combine
from kt_tuning.finalize.member_training import MemberTraining
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
    """Train one model, the student, to reproduce the probabilities of an ensemble, the teacher.

    The student is trained like any trial, by its recipe, with augmentation and mixing. The
    teacher's probabilities are computed for each augmented image in the training step, which
    therefore includes a prediction of the whole teacher; nothing is stored. An interrupted training
    continues after its last finished epoch.

    Source: Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural network".

    Args:
        teacher: An ensemble, or any Keras model: uint8 pixels (n, H, W, C) -> probabilities
            (n, classes).
        student: The configuration to train: `Configuration.of(tuner)` for that of the best trial,
            or a smaller one, `Configuration(ConvNet(data.input_shape, data.classes, filters=(16,
            32)))`. Students benefit from long trainings.
        data: The data that the teacher's members were trained on, with the same split.
        directory: Folder of the student, for example "student" in the run directory.
        temperature: T of the soft targets, more than 0; see `distillation_loss`.
        soft_weight: Weight of the soft targets in the loss, in (0, 1]; the labels have the rest.
        teacher_seen: Whether the teacher was trained on the validation images, as after a refit;
            for an ensemble with folds this is known. The student then learns from the teacher about
            these images: a warning says that its validation scores are optimistic.
        overwrite: Whether another student in the directory is deleted first.
        verbose: Whether to show the live view.

    Returns:
        The student, calibrated on the validation images, as an ensemble with one member: it can be
        passed to `evaluate` and exported, and `to_keras()` returns its model.

    Raises:
        OptionError: if an argument is invalid, or teacher, student and data do not fit each other.
        SearchError: if the training fails.
        StorageError: if the directory contains something else, or another process uses it.
    """
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
    model = teacher.to_keras() if isinstance(teacher, Ensemble) else teacher
    shapes = (tuple(model.input_shape[1:]), tuple(model.output_shape[1:]))
    wanted = (tuple(data.input_shape), (data.classes,))
    if shapes != wanted:
        raise OptionError(
            f"The teacher maps {shapes[0]} to {shapes[1]}, the data need {wanted[0]} to "
            f"{wanted[1]}: it should have been trained on such images."
        )
    record = teacher.record if isinstance(teacher, Ensemble) else None
    teacher_seen = teacher_seen or (record is not None and record.folds > 1)
    if teacher_seen:
        logger.warning(
            "The teacher was trained on the validation images, so that the student's validation "
            "scores and its calibration are optimistic: use its test scores."
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
        student, teacher=model, temperature=temperature, soft_weight=soft_weight
    )
    run.train(1, lambda index: data, hypermodel=taught, verbose=verbose)
    ensemble = combine(run.candidates(1), data, directory, solver="single")
    ensemble.provenance["distillation"] = {
        **metadata,
        "teacher": record and record.to_json() if isinstance(teacher, Ensemble) else teacher.name,
        "teacher_trained_on_validation": teacher_seen,
    }
    return ensemble


class DistilledHyperModel(RecipeHyperModel):
    """The hypermodel of a configuration, whose models learn from a teacher.

    Args:
        student: The configuration.
        **teaching: The arguments of `teach`, but for the student.
    """

    def __init__(self, student: Configuration, **teaching: Any) -> None:
        super().__init__(student.hypermodel.wrapped, student.recipe)
        self._teaching = teaching

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build a student whose loss includes its teacher.

        Raises:
            OptionError: if the student is not trained by a loss, as a linear probe is not.
        """
        model = super().build(hp)
        if getattr(model, "frozen", None) is not None:
            raise OptionError(
                f"A student is trained by a loss, and {model.name!r} is a linear probe, whose "
                "weights a solver finds. `Configuration.student_of(tuner, data)` is one that can "
                "learn; `bag` trains several probes."
            )
        teach(model, **self._teaching)
        return model


def teach(
    student: keras.Model, teacher: keras.Model, *, temperature: float, soft_weight: float
) -> None:
    """Change a student's loss to (1 - s) · loss + s · `distillation_loss`; penalties stay whole.

    `keras.distillation.Distiller` is a model around both, for models that return logits; its
    checkpoints hold the teacher. Here the student is trained like any trial.

    The teacher sees the very pixels that the student is trained on, augmented and mixed: labels
    that were computed once for an image would be wrong for what augmentation makes of it (Beyer et
    al. 2022, "Knowledge distillation: a good teacher is patient and consistent").

    Args:
        student: Compiled; its loss and metrics of the labels stay what they are.
        teacher: Is not changed, and does not become part of the student.
        temperature: T, more than 0.
        soft_weight: s, in (0, 1].
    """
    loss_of_labels = student.compute_loss

    def compute_loss(
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        loss = loss_of_labels(x, y, y_pred, sample_weight, training)
        if x is None:
            # Without images it is asked which labels it takes.
            return loss
        soft = distillation_loss(teacher(x, training=False), y_pred, temperature)
        if sample_weight is not None:
            soft = soft * ops.cast(sample_weight, soft.dtype)
        penalties = sum(student.losses)
        return (1 - soft_weight) * loss + soft_weight * (ops.mean(soft) + penalties)

    student.compute_loss = compute_loss


def distillation_loss(teacher: Any, student: Any, temperature: float) -> Any:
    """T² KL(q ‖ p) in nats, with q and p the answers that logits divided by T would have given.

    The factor keeps the gradient as large as that of the labels, whatever T is.

    Args:
        teacher: Probabilities (n, classes).
        student: Probabilities (n, classes).
        temperature: T; the higher, the more what is said of unlikely classes counts.

    Returns:
        (n,).

    Source: Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural network",
    section 2.
    """
    wanted, said = (_log_softened(answer, temperature) for answer in (teacher, student))
    return temperature**2 * ops.sum(ops.exp(wanted) * (wanted - said), axis=-1)


def _log_softened(probabilities: Any, temperature: float) -> Any:
    floor = ops.maximum(ops.cast(probabilities, "float32"), SMALLEST_PROBABILITY)
    return ops.log_softmax(ops.log(floor) / temperature, axis=-1)
