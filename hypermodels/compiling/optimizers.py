"""Optimizers, from hyperparameters, and the averages of the weights that they keep.

Keras' optimizers keep an exponential moving average of the weights (Polyak and Juditsky 1992) and
put it into the model when training ends. Between two epochs the callbacks of `around` exchange the
two, so that what is measured and saved there is the average.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hypermodels.blocks.stem_and_head import LOGITS
from hypermodels.compiling.fit_schedule import FitSchedule, choose_schedule, inner_optimizers
from hypermodels.space import Space, missing_before

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
RARE_OPTIMIZERS = ("lion", "muon")
MUON_SINCE = "3.13"
"""Version of Keras whose Muon has AdamW's range of learning rates and a decay of its own for what
AdamW updates."""
ADAPTIVE = ("adam", "adamw", "rmsprop", "muon")
DECAYING = ("sgd", "adamw", "lion", "muon")
NOT_DECAYED = ("bias", "gamma", "beta", "position", "token")


def choose_optimizer(space: Space) -> tuple[keras.optimizers.Optimizer, FitSchedule]:
    """The optimizer that a space asks for, and the callback that fits its rate to the training.

    `optimizer` and its learning rate, the peak of the schedule. SGD and Lion (Chen et al. 2023)
    have ranges of their own, about a hundred times and a tenth of the others'. Muon takes those of
    AdamW; Keras gives its orthogonal steps to matrices alone, and AdamW's to convolutions and to
    whatever else there is (Liu et al. 2025); the last layer gets AdamW's, too.

    `weight_decay` of all but Adam and RMSprop; biases, scales of normalisations, positions and
    tokens are left alone. `ema`, the momentum of averaged weights (see `around`), `clip_norm`, the
    bound of the norm of all gradients together (Pascanu et al. 2013), and `accumulation`, the
    number of batches that one step is made from, are 0, 0 and 1 unless they are fixed or the space
    is wide.
    """
    kind = space.choice(
        "optimizer",
        OPTIMIZERS,
        default="sgd",
        rare=RARE_OPTIMIZERS,
        missing=missing_before(MUON_SINCE, "muon"),
    )
    with space.when("optimizer", ["sgd"]):
        sgd_rate = space.number("sgd_learning_rate", 0.01, 0.5, default=0.15, log=True)
        momentum = space.number("momentum", 0.8, 0.98, default=0.9)
        nesterov = space.boolean("nesterov", default=True, rare=True)
    with space.when("optimizer", ADAPTIVE):
        adaptive_rate = space.number("adaptive_learning_rate", 1e-4, 1e-2, default=2e-3, log=True)
    with space.when("optimizer", ["lion"]):
        lion_rate = space.number("lion_learning_rate", 1e-5, 1e-3, default=2e-4, log=True)
    with space.when("optimizer", DECAYING):
        weight_decay = space.number("weight_decay", 1e-5, 1e-1, default=5e-3, log=True)
    peak = {"sgd": sgd_rate, "lion": lion_rate}.get(kind, adaptive_rate)
    fit_schedule = choose_schedule(space, float(peak))
    rate, shared = fit_schedule.schedule, _shared(space)
    if kind == "sgd":
        momentum = float(momentum)
        shared |= {"momentum": momentum, "nesterov": nesterov and momentum > 0}
        made = keras.optimizers.SGD(rate, weight_decay=weight_decay, **shared)
    elif kind == "adam":
        made = keras.optimizers.Adam(rate, **shared)
    elif kind == "adamw":
        made = keras.optimizers.AdamW(rate, weight_decay=weight_decay, **shared)
    elif kind == "rmsprop":
        made = keras.optimizers.RMSprop(rate, **shared)
    elif kind == "lion":
        made = keras.optimizers.Lion(rate, weight_decay=weight_decay, **shared)
    else:
        shared |= {"adam_weight_decay": weight_decay, "exclude_layers": [LOGITS]}
        made = keras.optimizers.Muon(rate, weight_decay=weight_decay, **shared)
    if kind in DECAYING:
        # Shrinking a bias or a normalisation's scale does not regularise (He et al. 2019, 3.2).
        made.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return made, fit_schedule


def _shared(space: Space) -> dict[str, Any]:
    """Arguments that every optimizer of Keras takes."""
    ema = space.choice("ema", [0.0], default=0.0, rare=[0.9, 0.99, 0.999])
    clip_norm = space.choice("clip_norm", [0.0], default=0.0, rare=[0.5, 1.0, 5.0])
    batches = space.choice("accumulation", [1], default=1, rare=[2, 4, 8])
    averaged = {"use_ema": True, "ema_momentum": ema} if ema else {}
    return {
        "global_clipnorm": clip_norm or None,
        "gradient_accumulation_steps": batches if batches > 1 else None,
        **averaged,
    }


def around(
    model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]
) -> list[keras.callbacks.Callback]:
    """Have callbacks see the averaged weights at the end of epochs, if the optimizer has them.

    Args:
        model: Compiled.
        callbacks: Of its training.

    Returns:
        The callbacks, between two that exchange weights.
    """
    if not any(part.use_ema for part in inner_optimizers(model.optimizer)):
        return list(callbacks)
    return [ShowAverage(), *callbacks, HideAverage()]


class _Exchange(keras.callbacks.Callback):
    """Exchanges a model's weights with their averages."""

    def exchange(self) -> None:
        for part in inner_optimizers(self.model.optimizer):
            # Before its first step an optimizer has no averages.
            if not part.use_ema or int(ops.convert_to_numpy(part.iterations)) == 0:
                continue
            averages = part._model_variables_moving_average
            for variable, average in zip(part._trainable_variables, averages, strict=True):
                value = ops.convert_to_numpy(variable)
                variable.assign(average)
                average.assign(value)


class ShowAverage(_Exchange):
    """Puts the averages into the model; the first of the callbacks."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Let the callbacks see them."""
        self.exchange()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Let the validation measure them."""
        self.exchange()


class HideAverage(_Exchange):
    """Puts the trained weights back into the model; the last of the callbacks."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Take up a training that was saved by a callback, which saw the averages in the model.

        After a training that was finished both are the same.
        """
        self.exchange()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Go on with the trained weights."""
        self.exchange()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Go on with the trained weights."""
        self.exchange()
