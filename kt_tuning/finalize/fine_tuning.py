"""Training a finished model a little further, on the images that it was searched on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from kt_tuning.augment import Policy, augment
from kt_tuning.data import ImageData
from kt_tuning.data.batches import Batches, Random
from kt_tuning.errors import OptionError

if TYPE_CHECKING:
    import keras

LEARNING_RATE = 1e-3
BATCH_SIZE = 64
POLICY = "light"


def fine_tuning(
    model: keras.Model,
    data: ImageData,
    *,
    epochs: int = 1,
    learning_rate: float = LEARNING_RATE,
    seed: int = 0,
) -> Callable[[keras.Model, int], None]:
    """Prepare to train a model on the training images, lightly augmented.

    Args:
        model: From uint8 pixels to probabilities. It is compiled anew, with Adam.
        data: Its training split is used.
        epochs: Of one round.
        learning_rate: Of the first round; that of the last should be small, so it halves each
            round.
        seed: Of the order of images, and of augmentation.

    Returns:
        A function of the model and a round, from 0, that trains it: what `prune` takes.

    Raises:
        OptionError: if `epochs` is below 1.
    """
    if epochs < 1:
        raise OptionError(f"A round has at least 1 epoch. Received: {epochs}")
    import keras

    from kt_tuning.data.loader import FollowEpochs, Loader

    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(),
        jit_compile=False,
    )
    policy = Policy.named(POLICY)
    batches = Batches(
        data.train,
        BATCH_SIZE,
        seed=seed,
        augment=Random(functools.partial(augment, policy), policy.draws),
    )

    def fit(model: keras.Model, number: int) -> None:
        model.optimizer.learning_rate = learning_rate / 2**number
        with Loader(batches) as loader:
            model.fit(
                loader,
                initial_epoch=number * epochs,
                epochs=(number + 1) * epochs,
                shuffle=False,
                verbose=0,
                callbacks=[FollowEpochs(loader)],
            )

    return fit
