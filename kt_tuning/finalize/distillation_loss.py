"""Distillation loss: part of a student's loss is the divergence from its teacher's answers.

`keras.distillation.Distiller` does the same for models that return logits, as a model of its own
around both, whose checkpoints hold the teacher, too (and in Keras 3.15 its default loss compares
logits without a softmax). Here only the loss of the student changes, so that it is trained by the
loop of every trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner
from keras import ops

from kt_tuning.core.errors import OptionError
from kt_tuning.ensembling.calibration import SMALLEST_PROBABILITY
from kt_tuning.trials import member_of


class DistilledHyperModel(keras_tuner.HyperModel):
    """A hypermodel whose models learn from a teacher.

    Args:
        wrapped: Hypermodel of the students, with a fit of its own.
        teacher: Pixels as the students take them -> probabilities (n, classes).
        temperature: See `teach`.
        soft_weight: See `teach`.
    """

    def __init__(
        self,
        wrapped: keras_tuner.HyperModel,
        teacher: keras.Model,
        *,
        temperature: float,
        soft_weight: float,
    ) -> None:
        super().__init__()
        self._wrapped = wrapped
        self._teacher = teacher
        self._temperature = temperature
        self._soft_weight = soft_weight

    def member(self, values: Mapping[str, Any]) -> keras_tuner.HyperModel:
        """Return the hypermodel that builds a configuration: of several families the chosen one."""
        return member_of(self._wrapped, values)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build a student whose loss includes its teacher.

        Raises:
            OptionError: if the student is not trained by a loss, as a linear probe is not.
        """
        model = self._wrapped.build(hp)
        if getattr(model, "frozen", None) is not None:
            raise OptionError(
                f"A student is trained by a loss, and {model.name!r} is a linear probe, whose "
                "weights a solver finds. `Configuration.student_of(tuner, data)` is one that can "
                "learn; `bag` trains several probes."
            )
        teach(model, self._teacher, temperature=self._temperature, soft_weight=self._soft_weight)
        return model

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Train as the wrapped hypermodel does."""
        return self._wrapped.fit(hp, model, *args, **kwargs)


def teach(
    student: keras.Model, teacher: keras.Model, *, temperature: float, soft_weight: float
) -> None:
    """Change a student's loss to (1 - s) · loss + s · `distillation_loss`; penalties stay whole.

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
