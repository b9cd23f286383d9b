"""A Keras model in memory as a pre-trained network."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from typing import Any

import keras
import numpy as np

from hypermodels.backbone import Backbone, Origin
from hypermodels.network_parts import without_classifier


@dataclasses.dataclass(frozen=True, eq=False)
class ModelBackbone(Backbone):
    """A copy of a Keras model, as its configuration and weights, without its classifier.

    The model itself is let go: no trial can change it, and the copy goes to other processes.

    Attributes:
        config: As `keras.saving.serialize_keras_object` returns it.
        weights: As `keras.Model.get_weights` returns them: NumPy arrays.
        values: What its pixels look like.
        pretrained: True.
    """

    config: dict[str, Any]
    weights: list[Any]
    values: str = "raw"
    pretrained: bool = dataclasses.field(default=True, init=False)

    @classmethod
    def of(cls, model: keras.Model, values: str = "raw") -> ModelBackbone:
        """Copy a model.

        Raises:
            ValueError: if it is not built.
        """
        if not model.built:
            raise ValueError(f"`backbone` is a built model. Received: {model.name!r} is not built")
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
        return cls(config, model.get_weights(), values)

    def check(self) -> None:
        """Nothing can be amiss: all of it is in memory."""

    @property
    def origin(self) -> Origin:
        """The model's name, and a digest of its weights."""
        digest = hashlib.sha256()
        for weights in self.weights:
            digest.update(np.ascontiguousarray(weights).data)
        return Origin(
            str(self.config["config"].get("name")),
            source="a Keras model that was passed in Python",
            digest=f"sha256:{digest.hexdigest()}",
        )

    def load(self, height: int, width: int) -> keras.Model:
        """Make another copy; see `Backbone.load`."""
        # Keras takes a config apart while it reads it.
        config = copy.deepcopy(self.config)
        model = keras.saving.deserialize_keras_object(config, safe_mode=False)
        model.set_weights(self.weights)
        return without_classifier(model)

    def __str__(self) -> str:
        parameters = sum(int(weights.size) for weights in self.weights)
        return f"{self.config['config'].get('name')} ({parameters:,} parameters)"
