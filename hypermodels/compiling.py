"""How a model is compiled: optimizer, learning-rate schedule and loss, from hyperparameters."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from keras.optimizers import schedules

from hypermodels.space import Space

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
SCHEDULES = ("constant", "exponential", "cosine")


@keras.saving.register_keras_serializable(package="hypermodels")
class CrossEntropy(keras.losses.Loss):
    """Cross-entropy, in nats, for integer or soft labels, with label smoothing.

    Smoothing mixes each target with the uniform distribution, y' = (1 - s) y + s / C (Szegedy et
    al. 2016, section 7).

    Args:
        label_smoothing: s, in [0, 1).

    Call arguments:
        y_true: Labels (N,) or (N, 1) as integers, or (N, C) as probabilities.
        y_pred: Probabilities (N, C).
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        name: str = "cross_entropy",
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

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each row, (N,)."""
        classes = y_pred.shape[-1]
        if len(y_true.shape) < 2 or y_true.shape[-1] != classes:
            y_true = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), classes)
        return keras.losses.categorical_crossentropy(
            ops.cast(y_true, y_pred.dtype), y_pred, label_smoothing=self.label_smoothing
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for saving."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


class FitSchedule(keras.callbacks.Callback):
    """Stretches a learning-rate schedule over the training that is about to start.

    A hypermodel is built before anybody knows how many steps it will be trained for; Keras tells
    its callbacks, and the training step, which reads the schedule's attributes, is traced later.

    Args:
        schedule: The schedule of the model's optimizer, or a constant rate.
        warmup: Share of all steps during which a cosine schedule rises linearly from 0, in [0, 1).
    """

    def __init__(self, schedule: schedules.LearningRateSchedule | float, warmup: float) -> None:
        super().__init__()
        self.schedule = schedule
        self.warmup = warmup

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Set the schedule's length from the steps and epochs of this `fit`."""
        self.stretch(self.params["steps"], self.params["epochs"])

    def stretch(self, steps_per_epoch: int | None, epochs: int) -> None:
        """Set the schedule's length.

        Args:
            steps_per_epoch: Optimizer steps in an epoch.
            epochs: Epochs in all, those already trained included.

        Raises:
            ValueError: if the schedule needs `steps_per_epoch` and it is None.
        """
        schedule = self.schedule
        if not isinstance(schedule, schedules.LearningRateSchedule):
            return
        if steps_per_epoch is None:
            raise ValueError(
                "A cosine or exponential schedule needs to know how many steps an epoch has. Pass "
                "`steps_per_epoch`, a data set of known length, or fix schedule='constant'."
            )
        if isinstance(schedule, schedules.ExponentialDecay):
            lengths = {"decay_steps": steps_per_epoch}
        else:
            total = steps_per_epoch * epochs
            warmup = round(total * self.warmup)
            lengths = {"warmup_steps": warmup, "decay_steps": max(1, total - warmup)}
        changed = any(getattr(schedule, name) != length for name, length in lengths.items())
        vars(schedule).update(lengths)
        if changed and self.model is not None:
            # A training step that has been traced holds the old length.
            self.model.make_train_function(force=True)


def _schedule(space: Space, peak: float) -> FitSchedule:
    """Constant; exponential, η·γ^t with t in epochs; or linear warm-up, then half a cosine to 0.

    Loshchilov and Hutter 2017, without restarts.
    """
    kind = space.choice("schedule", SCHEDULES, default="cosine")
    with space.when("schedule", ["exponential"]):
        gamma = space.number("decay", 0.8, 0.99, default=0.9)
    with space.when("schedule", ["cosine"]):
        warmup = space.choice("warmup", [0.0, 0.1, 0.2], default=0.2)
    if kind == "exponential":
        return FitSchedule(schedules.ExponentialDecay(peak, decay_steps=1, decay_rate=gamma), 0.0)
    if kind == "cosine":
        cosine = schedules.CosineDecay(0.0, decay_steps=1, warmup_target=peak, warmup_steps=1)
        return FitSchedule(cosine, warmup)
    return FitSchedule(peak, 0.0)


def optimizer(space: Space) -> tuple[keras.optimizers.Optimizer, FitSchedule]:
    """The optimizer, and the callback that fits its schedule to the training.

    `learning_rate` is the peak. It has a range of its own for SGD, whose useful rates are about a
    hundred times those of the adaptive optimizers.
    """
    kind = space.choice("optimizer", OPTIMIZERS, default="sgd")
    with space.when("optimizer", ["sgd"]):
        sgd_rate = space.number("sgd_learning_rate", 0.01, 0.5, default=0.15, log=True)
        momentum = space.number("momentum", 0.8, 0.98, default=0.9)
    with space.when("optimizer", ["adam", "adamw", "rmsprop"]):
        adaptive_rate = space.number("adaptive_learning_rate", 1e-4, 1e-2, default=2e-3, log=True)
    with space.when("optimizer", ["sgd", "adamw"]):
        weight_decay = space.number("weight_decay", 1e-5, 1e-1, default=5e-3, log=True)

    fit_schedule = _schedule(space, sgd_rate if kind == "sgd" else adaptive_rate)
    rate = fit_schedule.schedule
    if kind == "sgd":
        made = keras.optimizers.SGD(
            rate, momentum, nesterov=momentum > 0, weight_decay=weight_decay
        )
    elif kind == "adamw":
        made = keras.optimizers.AdamW(rate, weight_decay=weight_decay)
    elif kind == "adam":
        made = keras.optimizers.Adam(rate)
    else:
        made = keras.optimizers.RMSprop(rate)
    if kind in ("sgd", "adamw"):
        # Shrinking a bias or a normalisation's scale does not regularise (He et al. 2019, 3.2).
        made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return made, fit_schedule


def loss(space: Space) -> CrossEntropy:
    """Cross-entropy with searched label smoothing."""
    return CrossEntropy(space.choice("label_smoothing", [0.0, 0.05, 0.1], default=0.1))
