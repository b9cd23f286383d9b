"""Batches that grow during a training: noise is useful at first, and in the way later."""

from __future__ import annotations

from typing import Any

import keras

from kt_tuning.data.loader import Loader

PATIENCE = 2
"""Epochs in a row without a notably lower training loss after which batches are doubled."""
NOTABLE = 0.01
"""By which share of the lowest loss before it a loss must be lower to count."""
SIZE, LOWEST, WAITED = "batch_size", "lowest_loss", "epochs_waited"


class BatchGrowth(keras.callbacks.Callback):
    """Doubles the batch size whenever the training loss stalls, up to a maximum.

    A stall at a given learning rate is mostly noise of the gradients, which larger batches have
    less of, in fewer steps (Smith et al. 2018). The training loss tells, not the validation loss:
    what a model overfits is no noise.

    A learning-rate schedule of `hypermodels` goes on by epochs, whatever their number of steps;
    any other one goes on by steps. It should be among the callbacks before whatever writes
    checkpoints, so that these have the new size.

    Args:
        loader: What is resized.
        most: Images a batch, at most.
        memory: Where its state is kept, JSON-able; an earlier training's state is taken up.
    """

    def __init__(self, loader: Loader, most: int, memory: dict[str, Any]) -> None:
        super().__init__()
        self._loader = loader
        self._most = most
        self._memory = memory

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compare the loss with those before, and double the batch size if it is time to."""
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
