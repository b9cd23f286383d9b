"""Pre-trained networks with a new classifier, whose last layers learn with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import keras_tuner

from hypermodels.backbone import Backbone
from hypermodels.backbone_family import BackboneHyperModel
from hypermodels.blocks import classifier
from hypermodels.blocks.stem_and_head import LOGITS
from hypermodels.compiling import around
from hypermodels.folding import fold_batch_normalization
from hypermodels.frozen import Features, FrozenPart, extract
from hypermodels.logistic_regression import fit_classifier
from hypermodels.network_parts import NAME, InferenceModel, split_network
from hypermodels.preprocessing import fit_pixels, rescale_values
from hypermodels.space import Space

UNFROZEN = (0.0, 0.1, 0.25, 0.5, 1.0)
SMALL_SIDE = 64
"""Pixels of the shorter side up to which an image is small."""
DEFAULT_SIZES = (96, 224)
"""Pixels of the shorter side of the images for the network: of small images, and of others."""
FULL_STEPS = 100
"""Steps from which a training has the learning rates that its schedule says; in few steps these
would spoil the solved classifier that it begins with."""
TOP = "backbone_top"
"""Name of the layer that holds the part of the network that learns."""


class FineTune(BackboneHyperModel):
    """A network that has learned from other images, with a new classifier.

    `fit` first solves for the classifier on the features of the training images, as `LinearProbe`
    does, so that the network's features are not spoilt by the gradients of a random one (Kumar et
    al. 2022, arXiv 2202.10054); then the classifier and the last layers of the network learn
    together. The first layers never learn: a search computes what they make of the images only
    once, see `model.frozen`. Batch normalisation keeps the statistics it came with, merged into the
    convolutions, and dropout inside the network stays off. In fewer than `FULL_STEPS` steps the
    learning rates are lower in proportion: the training would end worse than it begins. With
    `weights=None` there is nothing to keep: all is trained from the first step.

    The network's own preprocessing is inside the model: it takes raw pixels like any other. Grey
    images are repeated to three channels. A model that has a fixed input size gets images of that
    size.

    A name or a path goes to other processes and is read there; a model is copied when it is passed:
    its configuration and weights are kept and sent, and it is not changed itself.

    Hyperparameters:
        backbone: If it is not passed, one of those at hand: an installed package brings it, it is
            in Keras' cache, or in the folder of backbones (see `hypermodels.backbone_files`).
        size: Pixels of the shorter side of the images for a network that has a name.
        unfreeze: Share of the network's layers with weights, from its output, that learn at least;
            the split is between two blocks. 0 for a fixed feature extractor, 1 for the whole
            network.
        dropout: Share of features dropped before the classifier.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: Number of classes, at least 2.
        backbone: A name in `hypermodels.pretrained.PRETRAINED` ("EfficientNetLite0"), in
            `keras.applications` or of a file in the folder of backbones; the path of a `.keras` or
            `.h5` file; a preset of KerasHub ("hf://…", "kaggle://…" or its folder); or a built
            `keras.Model`. Its classifier is cut off. What has to be downloaded is downloaded once.
            None: searched.
        weights: Of a named backbone: "imagenet"; the path of a weights file of the network without
            its classifier; None: random ones, so that all is trained; or "random": random ones in
            place of others, to try a search out.
        values: What the pixels of a backbone that is a file or a model look like: "raw" (0 to 255),
            "tf" (-1 to 1), "torch" or "caffe". None: what is known of a file, else "raw".
        **options: As for `ImageHyperModel`, fixed hyperparameters included.

    Raises:
        ValueError: if there is no such backbone, or an argument is out of range.
    """

    compiling_defaults: ClassVar = {
        "optimizer": "adamw",
        "adaptive_learning_rate": 3e-4,
        "weight_decay": 5e-2,
    }
    compiling_ranges: ClassVar = {"adaptive_learning_rate": (3e-5, 3e-3)}

    @property
    def allows_mixed_precision(self) -> bool:
        """Whether no weights are pre-trained; depthwise layers are slow in bfloat16."""
        own = type(self).build is FineTune.build
        return own and self.weights is None and self.only_named

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile the model that `hp` describes; see `ImageHyperModel.build`.

        Attributes of the model, if the network is pre-trained:

        start: The `FrozenPart` whose features the classifier is solved on before training.
        frozen: The `FrozenPart` that never learns; missing if all of the network does.
        """
        model = super().build(hp)
        names = {layer.name for layer in model.layers}
        if names & {NAME, TOP}:
            model.fit_schedule.full_steps = FULL_STEPS
            model.start = FrozenPart.of(model, model.get_layer(LOGITS).input)
        if NAME in names:
            (node,) = model.get_layer(NAME)._inbound_nodes
            model.frozen = FrozenPart.of(model, node.output_tensors[0])
        return model

    def architecture(self, space: Space, x: Any) -> Any:
        """Map raw pixels (N, height, width, channels) to logits (N, classes)."""
        backbone = self._backbone(space)
        height, width = self._size(space, backbone)
        network = backbone.load(height, width)
        x = rescale_values(fit_pixels(x, network, height, width), backbone.values)
        if backbone.pretrained:
            bottom, top = split_network(fold_batch_normalization(network), self._unfrozen(space))
            if bottom is not None:
                bottom.trainable = False
                x = InferenceModel(bottom.inputs[0], bottom.outputs[0], name=NAME)(x)
            if top is not None:
                x = InferenceModel(top.inputs[0], top.outputs[0], name=TOP)(x)
        else:
            x = network(x)
        return classifier(
            x, self.classes, dropout=space.number("dropout", 0.0, 0.5, default=0.2, step=0.1)
        )

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        x: Any,
        y: Any = None,
        *,
        start: Features | None = None,
        frozen: bool = False,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        **options: Any,
    ) -> keras.callbacks.History:
        """Solve for the classifier, then train it together with the top of the network.

        Args:
            hp: The values that `model` was built from.
            model: What `build` returned.
            x: As for `keras.Model.fit`.
            y: As for `keras.Model.fit`.
            start: Features of the training images by `model.start`; computed from `x` and `y` if
                None.
            frozen: Whether `x` holds features by `model.frozen` in place of images. Callbacks see
                the whole model even so.
            callbacks: As for `keras.Model.fit`.
            **options: As for `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`.
        """
        if getattr(model, "start", None) is not None and not options.get("initial_epoch"):
            features = extract(model.start, x, y) if start is None else start
            model.get_layer(LOGITS).set_weights(fit_classifier(features, self.classes))
        callbacks = around(model, [model.fit_schedule, *(callbacks or [])])
        if not frozen:
            return model.fit(x, y, callbacks=callbacks, **options)
        head = model.frozen.head
        head.compile(optimizer=model.optimizer, loss=model.loss, metrics=["accuracy"])
        seen = keras.callbacks.CallbackList(
            [*callbacks, _Stop(head)],
            add_history=True,
            model=model,
            epochs=options.get("epochs", 1),
            steps=len(x),
            verbose=0,
        )
        # `fit` returns it, and looks for it on the model that it is called on.
        head.history = model.history
        head.fit(x, callbacks=seen, **options)
        return model.history

    def _size(self, space: Space, backbone: Backbone) -> tuple[int, int]:
        small, usual = DEFAULT_SIZES
        side = min(self.input_shape[:2])
        default = small if side <= SMALL_SIDE or not backbone.pretrained else usual
        return self._network_size(space, backbone, default=default)

    def _unfrozen(self, space: Space) -> float:
        share: float = space.choice("unfreeze", UNFROZEN, default=0.25)
        if not 0 <= share <= 1:
            raise ValueError(
                "`unfreeze` is a share of the backbone's layers, 0 to 1. "
                f"Received: unfreeze={share}"
            )
        return share


class _Stop(keras.callbacks.Callback):
    """Stops the training of a part of a model when a callback has stopped that of the model."""

    def __init__(self, part: keras.Model) -> None:
        super().__init__()
        self._part = part

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Copy `stop_training` of the model to the part."""
        self._part.stop_training = self.model.stop_training
