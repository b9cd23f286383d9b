"""A frozen pre-trained network with a logistic regression on its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import keras_tuner
from keras import layers, ops

from hypermodels.backbone_family import BackboneHyperModel
from hypermodels.blocks import channel_axis, classifier
from hypermodels.blocks.stem_and_head import LOGITS
from hypermodels.frozen import Features, FrozenPart, extract
from hypermodels.logistic_regression import fit_classifier, log_losses
from hypermodels.network_parts import NAME, InferenceModel, signed_root, with_all_stages
from hypermodels.preprocessing import fit_pixels, rescale_values
from hypermodels.space import Space

SMALLER, LEAST_SIDE = 5 / 9, 32
"""The smaller of two scales over the larger one, and pixels of its sides at least."""
DEFAULT_SIZE = 160
"""Pixels of the shorter side of the images for the network."""


class LinearProbe(BackboneHyperModel):
    """A frozen pre-trained network with a logistic regression on its features.

    The regression uses standardised (signed) square roots of the features, see
    `hypermodels.network_parts`. `fit` computes the features of the training images and solves the
    regression, without epochs or a learning rate. The result is one Keras model from pixels to
    probabilities, like any other; its attribute `frozen` is a `FrozenPart`.

    Grey images are repeated to three channels.

    Hyperparameters:
        backbone: As for `FineTune`.
        all_stages: Whether the average of the last feature map of each resolution is appended to
            the features.
        size: Pixels of the shorter side of the input of a named network.
        mirror: Whether the features of an image and of its mirror image are averaged.
        two_scales: Whether the features of the image at 5/9 of its size are appended; only for
            named networks.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: Number of classes, at least 2.
        penalty: Factor of the L2 penalty, half the sum of the squared weights of standardised
            features, which is added to the mean log-loss; above 0. None chooses it by
            cross-validation on the training images.
        **options: As for `FineTune`: `backbone`, `weights`, `values`, fixed hyperparameters.

    Raises:
        ValueError: if there is no such backbone, or an argument is out of range.
    """

    allows_mixed_precision: ClassVar[bool] = False
    by_epochs: ClassVar[bool] = False

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        penalty: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(input_shape, classes, **options)
        if penalty is not None and not penalty > 0:
            raise ValueError(f"`penalty` is a number above 0. Received: penalty={penalty}")
        self.penalty = penalty

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile the model that `hp` describes; see `ImageHyperModel.build`."""
        model = super().build(hp)
        model.frozen = FrozenPart.of(model, model.get_layer(LOGITS).input)
        return model

    def _compile(self, space: Space, model: keras.Model) -> None:
        """Compile a model that a solver trains: there is nothing to choose."""
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])

    def architecture(self, space: Space, x: Any) -> Any:
        """Map raw pixels (N, height, width, channels) to logits (N, classes)."""
        backbone = self._backbone(space)
        height, width = self._network_size(space, backbone, default=DEFAULT_SIZE)
        network = self._frozen(backbone, height, width)
        stages = with_all_stages(network)
        if stages is not network and space.boolean("all_stages", default=True):
            network = stages
        two_scales = self.resizable and space.boolean("two_scales", default=False)
        if two_scales and backbone.resizable:
            network = _of_any_size(network)
        network.trainable = False
        network = InferenceModel(network.inputs[0], network.outputs[0], name=NAME)
        network.trainable = False
        x = rescale_values(fit_pixels(x, network, height, width), backbone.values)
        scales = [x]
        if two_scales and backbone.resizable:
            size = [max(LEAST_SIDE, round(side * SMALLER)) for side in (height, width)]
            scales.append(layers.Resizing(*size, antialias=True, name="shrink")(x))
        mirrors = space.boolean("mirror", default=False)
        features = [_features(network, scale, mirrors=mirrors) for scale in scales]
        together = layers.Concatenate(name="scales")(features) if len(features) > 1 else features[0]
        return classifier(signed_root(together), self.classes)

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        x: Any,
        y: Any = None,
        *,
        validation_data: Any = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        initial_epoch: int = 0,
        **others: Any,
    ) -> keras.callbacks.History:
        """Solve for the weights of the logistic regression; callbacks see one epoch.

        Args:
            hp: The hyperparameters from which `model` was built.
            model: A model returned by `build`.
            x: Images as an array or a data set, as for `keras.Model.fit`; or `Features`.
            y: Labels of an array: integers (n,), or one-hot rows (n, classes).
            validation_data: As for `keras.Model.fit`.
            callbacks: As for `keras.Model.fit`.
            initial_epoch: As for `keras.Model.fit`.
            **others: Not used: there are no epochs, batches or shuffling.

        Returns:
            The `keras.callbacks.History`.
        """
        history = keras.callbacks.CallbackList(
            list(callbacks or []), add_history=True, model=model, epochs=1, verbose=0
        )
        history.on_train_begin()
        history.on_epoch_begin(initial_epoch)
        features = x if isinstance(x, Features) else extract(model.frozen, x, y)
        logs = self._solve(model, features)
        if validation_data is not None:
            pair = (
                validation_data
                if isinstance(validation_data, (tuple, list))
                else (validation_data,)
            )
            found = model.evaluate(*pair, verbose=0, return_dict=True)
            logs.update({f"val_{name}": value for name, value in found.items()})
        history.on_epoch_end(initial_epoch, logs)
        history.on_train_end(logs)
        return model.history

    def _solve(self, model: keras.Model, features: Features) -> dict[str, float]:
        """Set the weights of the head; loss and accuracy on the training images."""
        kernel, bias = fit_classifier(features, self.classes, self.penalty)
        model.get_layer(LOGITS).set_weights([kernel, bias])
        logits = features.values @ kernel + bias
        return {
            "loss": float(log_losses(logits, features.labels).mean()),
            "accuracy": float((logits.argmax(1) == features.labels).mean()),
        }


def _features(network: keras.Model, x: Any, *, mirrors: bool) -> Any:
    """Features of images, or the means of theirs and those of their mirror images."""
    features = network(x)
    if not mirrors:
        return features
    mirrored = network(ops.flip(x, axis=2 if channel_axis() == -1 else 3))
    return layers.Average()([features, mirrored])


def _of_any_size(network: keras.Model) -> keras.Model:
    """The same network, with the same layers, for images of any size."""
    shape = (None, None, 3) if channel_axis() == -1 else (3, None, None)
    return keras.models.clone_model(
        network, input_tensors=keras.Input(shape), clone_function=lambda layer: layer
    )
