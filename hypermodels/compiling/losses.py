"""Losses of classifiers, for integer or soft labels."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import keras
from keras import ops

from hypermodels.space import Space


class ClassificationLoss(keras.losses.Loss):
    """A loss of probabilities against integer or soft labels, with label smoothing.

    Smoothing mixes each target with the uniform distribution, y' = (1 - s) y + s / C (Szegedy et
    al. 2016, section 7).

    Args:
        label_smoothing: s, in [0, 1).

    Call arguments:
        y_true: Labels (N,) or (N, 1) as integers, or (N, C) as probabilities.
        y_pred: Probabilities (N, C).

    Raises:
        ValueError: if `label_smoothing` is out of range.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        name: str | None = None,
        reduction: str = "sum_over_batch_size",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` is a share of the label, at least 0 and less than 1. "
                f"Received: label_smoothing={label_smoothing}"
            )
        self.label_smoothing = label_smoothing

    @abstractmethod
    def compare(self, targets: Any, probabilities: Any) -> Any:
        """The loss of each row, (N,); targets and probabilities are (N, C)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each row, (N,)."""
        classes = y_pred.shape[-1]
        if len(y_true.shape) < 2 or y_true.shape[-1] != classes:
            y_true = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), classes)
        targets = ops.cast(y_true, y_pred.dtype)
        if self.label_smoothing:
            targets = targets * (1.0 - self.label_smoothing) + self.label_smoothing / classes
        return self.compare(targets, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="hypermodels")
class CrossEntropy(ClassificationLoss):
    """Cross-entropy in nats, -Σ y log p."""

    def compare(self, targets: Any, probabilities: Any) -> Any:
        """The loss of each row, (N,)."""
        return keras.losses.categorical_crossentropy(targets, probabilities)


@keras.saving.register_keras_serializable(package="hypermodels")
class FocalLoss(ClassificationLoss):
    """Cross-entropy that looks away from what is easy, -Σ y (1 - p)^γ log p (Lin et al. 2017).

    The paper's α, a weight for each class, is the class weight of `fit`.

    Args:
        focusing: γ, at least 0; 0 is the cross-entropy.
        **kwargs: As for `ClassificationLoss`.
    """

    def __init__(self, focusing: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.focusing = focusing

    def compare(self, targets: Any, probabilities: Any) -> Any:
        """The loss of each row, (N,)."""
        tiny = keras.config.epsilon()
        p = ops.clip(probabilities, tiny, 1.0 - tiny)
        return -ops.sum(targets * ops.power(1.0 - p, self.focusing) * ops.log(p), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving."""
        return {**super().get_config(), "focusing": self.focusing}


@keras.saving.register_keras_serializable(package="hypermodels")
class BrierScore(ClassificationLoss):
    """The squared error of the probabilities, summed over the classes, Σ (p - y)² (Brier 1950)."""

    def compare(self, targets: Any, probabilities: Any) -> Any:
        """The loss of each row, (N,)."""
        return ops.sum(ops.square(probabilities - targets), axis=-1)


def choose_loss(space: Space) -> ClassificationLoss:
    """The loss that a space asks for: `loss`, `focusing` of the focal loss, `label_smoothing`."""
    kind = space.choice("loss", ["cross_entropy"], default="cross_entropy", rare=["focal", "mse"])
    with space.when("loss", ["focal"]):
        focusing = space.number("focusing", 0.5, 5.0, default=2.0)
    smoothing = space.choice("label_smoothing", [0.0, 0.05, 0.1], default=0.1)
    if kind == "focal":
        return FocalLoss(focusing, label_smoothing=smoothing)
    if kind == "mse":
        return BrierScore(smoothing)
    return CrossEntropy(smoothing)
