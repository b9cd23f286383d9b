"""Training in two phases: a new head on a frozen backbone, then both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras

from hypermodels.compiling import FitSchedule
from hypermodels.two_speed import TwoSpeed


class Unfreezing(FitSchedule):
    """Leaves the backbone frozen for a share of the epochs, then trains it at its own rate.

    Which phase it is follows from the number of the epoch and that of all epochs. So a training
    that goes on from a checkpoint is in the phase in which it was interrupted, and one that is
    shortened has its phases shortened.

    Args:
        head: Fits the schedule of the optimizer's fast part to the whole training.
        backbone: Fits the schedule of the slow part to the second phase.
        frozen_epochs: Share of the epochs that are the first phase, in [0, 1]; rounded up, so that
            even the shortest training begins with the head.
    """

    def __init__(self, head: FitSchedule, backbone: FitSchedule, frozen_epochs: float) -> None:
        super().__init__(head.schedule)
        self._head = head
        self._backbone = backbone
        self._share = frozen_epochs
        self._first_unfrozen = 0

    def set_model(self, model: keras.Model) -> None:
        """Take the model whose optimizer is a `TwoSpeed`."""
        super().set_model(model)
        self._head.set_model(model)
        self._backbone.set_model(model)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Set the lengths of both schedules from the steps and epochs of this `fit`."""
        self._head.set_params(self.params)
        self._head.on_train_begin(logs)
        super().on_train_begin(logs)

    def stretch(self, steps_per_epoch: int | None, epochs: int) -> None:
        """Set the lengths of both phases.

        Args:
            steps_per_epoch: Optimizer steps in an epoch.
            epochs: Epochs in all, those already trained included.

        Raises:
            ValueError: if a schedule needs `steps_per_epoch` and it is None.
        """
        # 0.1 · 30 is a little more than 3.
        self._first_unfrozen = math.ceil(round(self._share * epochs, 6))
        self._head.stretch(steps_per_epoch, epochs)
        self._backbone.stretch(steps_per_epoch, max(1, epochs - self._first_unfrozen))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Freeze or unfreeze the backbone."""
        optimizer = self.model.optimizer
        # Mixed precision wraps it.
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        assert isinstance(optimizer, TwoSpeed)
        frozen = epoch < self._first_unfrozen
        if optimizer.frozen != frozen:
            optimizer.frozen = frozen
            # A training step that has been traced holds the other phase.
            self.model.make_train_function(force=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Let a schedule that follows the loss follow it."""
        self._head.on_epoch_end(epoch, logs)


def leave_top_trainable(model: keras.Model, share: float) -> None:
    """Freeze all but the last layers of a model.

    Args:
        model: Its layers that were frozen before count as well.
        share: Share of the layers with weights that stay trainable, from the output; in [0, 1].
    """
    model.trainable = True
    found = [layer for layer in _leaves(model) if layer.trainable_weights]
    for layer in found[: len(found) - math.ceil(share * len(found))]:
        layer.trainable = False


def _leaves(model: keras.Model) -> Iterator[Any]:
    """The layers of a model, and of models inside it, from input to output."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer
