"""Batches of one size, which several devices can share equally."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner
import numpy as np

from kt_tuning.data.batch_loader import Loader
from kt_tuning.data.batches import Batch
from kt_tuning.trials import member_of


class WholeBatches(keras.utils.PyDataset):
    """The batches of a loader; the last one of an epoch is filled up with images of its first one.

    A smaller one would weigh its images differently wherever devices share it, could not be divided
    among them on JAX, and would be compiled a second time on a TPU.

    Args:
        loader: What to fill up.
    """

    def __init__(self, loader: Loader) -> None:
        super().__init__(workers=1)
        self._loader = loader

    def __len__(self) -> int:
        return len(self._loader)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch of the epoch."""
        batch = self._loader[index]
        missing = self._loader.batch_size - len(batch[0])
        if not missing:
            return batch
        filler = self._loader[0] if index else batch
        rows = np.arange(missing) % len(filler[0])
        return tuple(
            np.concatenate([part, more[rows]]) for part, more in zip(batch, filler, strict=True)
        )


class WholeBatchesHyperModel(keras_tuner.HyperModel):
    """A hypermodel that is fitted on whole batches of a known shape.

    Args:
        hypermodel: The other one.
    """

    def __init__(self, hypermodel: keras_tuner.HyperModel) -> None:
        super().__init__()
        self._hypermodel = hypermodel

    def member(self, values: Mapping[str, Any]) -> keras_tuner.HyperModel:
        """Return the hypermodel that builds a configuration: of several families the chosen one."""
        return member_of(self._hypermodel, values)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the other one's model."""
        return self._hypermodel.build(hp)

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, data: Any, **kwargs: Any
    ) -> Any:
        """Train as the other one does."""
        data = whole_batches(data) if isinstance(data, Loader) else data
        return self._hypermodel.fit(hp, model, data, **kwargs)


def whole_batches(loader: Loader) -> Any:
    """Return a loader's whole batches in the form that Keras' backend divides among devices best.

    Args:
        loader: Of the training.

    Returns:
        On TensorFlow a `tf.data.Dataset` of static shapes: Keras would leave the number of images
        open. Elsewhere a `keras.utils.PyDataset`.
    """
    batches = WholeBatches(loader)
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    shapes = tuple(tf.TensorSpec(part.shape, part.dtype) for part in batches[0])
    dataset = tf.data.Dataset.from_generator(
        # By index: Keras may start to read an epoch that it then gives up.
        lambda: (batches[index] for index in range(len(batches))),
        output_signature=shapes,
    )
    counted = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return counted.prefetch(tf.data.AUTOTUNE)
