"""Ending a training before its time, so that it can go on."""

from __future__ import annotations

import keras


class Pause(keras.callbacks.Callback):
    """Stops `fit` after an epoch, of which there is a checkpoint.

    Args:
        epochs: Epochs done by then, those before this `fit` included.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Stop if this was the last epoch before the pause."""
        if epoch + 1 == self._epochs:
            self.model.stop_training = True
