"""Averaged weights: whoever looks at the model after an epoch sees them, training does not.

Keras' optimizers keep an exponential moving average of the weights (Polyak and Juditsky 1992) and
put it into the model when training ends. Between two epochs these callbacks exchange the two, so
that what is measured and saved there is the average.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from hypermodels.compiling.fit_schedule import inner_optimizers


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
