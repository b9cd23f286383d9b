"""Batches that grow during a training: gradient noise helps at first and hinders later."""

from __future__ import annotations

from typing import Any

import keras

from kt_tuning.data.batch_loader import Loader

PATIENCE = 2
"""Epochs without a notably lower training loss after which batches are doubled."""
NOTABLE = 0.01
"""Relative decrease of the lowest training loss that counts as an improvement."""
SIZE, LOWEST, WAITED = "batch_size", "lowest_loss", "epochs_waited"


class BatchGrowth(keras.callbacks.Callback):
    """Doubles the batch size whenever the training loss stalls, up to a maximum.

    At a given learning rate a stall is mostly gradient noise, which larger batches reduce (Smith et
    al. 2018, "Don't decay the learning rate, increase the batch size"). The validation loss is not
    used: overfitting is no noise.

    Learning-rate schedules of `hypermodels` advance by epochs, others by steps. The callback must
    come before the one that writes checkpoints, which then have the new size.

    Args:
        loader: The loader that is resized.
        most: Largest number of images a batch.
        memory: State in JSON types; that of an interrupted training is continued.
    """

    def __init__(self, loader: Loader, most: int, memory: dict[str, Any]) -> None:
        super().__init__()
        self._loader = loader
        self._most = most
        self._memory = memory

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compare the loss with earlier ones, and double the batch size after a stall."""
        logs = {} if logs is None else logs
        logs[SIZE] = float(self._loader.batch_size)
        memory, loss = self._memory, float(logs["loss"])
        lowest = memory.get(LOWEST)
        if lowest is None or loss < lowest * (1 - NOTABLE):
            memory.update({LOWEST: loss, WAITED: 0})
            return
        memory[WAITED] += 1
        size = min(2 * self._loader.batch_size, self._most)
        if memory[WAITED] < PATIENCE or size == self._loader.batch_size:
            return
        memory.update({SIZE: size, WAITED: 0})
        self._loader.resize(size)
        steps = len(self._loader)
        # All callbacks share these parameters.
        self.params["steps"] = steps
        schedule = getattr(self.model, "fit_schedule", None)
        if schedule is not None:
            schedule.change_steps(steps)
