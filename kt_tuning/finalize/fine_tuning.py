"""Further training of a finished model, on the images that it was searched on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kt_tuning.core.errors import OptionError
from kt_tuning.data import ImageData
from kt_tuning.recipe import Recipe

if TYPE_CHECKING:
    import keras

LEARNING_RATE = 1e-3
RECIPE = Recipe(batch_size=64, augment="light")


def fine_tuning(
    model: keras.Model,
    data: ImageData,
    *,
    epochs: int = 1,
    learning_rate: float = LEARNING_RATE,
    seed: int = 0,
) -> Callable[[keras.Model, int], None]:
    """Prepare to train a model on the training images, lightly augmented, as trials are.

    Args:
        model: From uint8 pixels to probabilities. It is compiled anew, with Adam.
        data: Its training split is used.
        epochs: Epochs per round.
        learning_rate: Of the first round; it is halved in each further round.
        seed: Seed of the order of images, and of augmentation.

    Returns:
        A function of the model and a round, from 0, that trains it: what `prune` takes.

    Raises:
        OptionError: if `epochs` is below 1.
    """
    if epochs < 1:
        raise OptionError(f"A round has at least 1 epoch. Received: {epochs}")
    import keras
    import keras_tuner

    from kt_tuning.trials import ImageTask

    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(),
        jit_compile=False,
    )
    task = ImageTask(keras_tuner.HyperModel(), data, RECIPE, objectives=["val_accuracy"])

    def fit(model: keras.Model, number: int) -> None:
        model.optimizer.learning_rate = learning_rate / 2**number
        task.fit(
            keras_tuner.HyperParameters(),
            model,
            epochs=(number + 1) * epochs,
            initial_epoch=number * epochs,
            seed=seed,
            memory={},
            callbacks=[],
        )

    return fit
