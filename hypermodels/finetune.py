"""Pre-trained networks with a new classifier, which is trained together with the last layers."""

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
    """A pre-trained network with a new classifier, fine-tuned on the images.

    `fit` first fits the classifier to the features of the training images, as `LinearProbe` does,
    so that the gradients of a random classifier do not distort the features (Kumar et al. 2022,
    arXiv 2202.10054). Then the classifier and the last layers of the network are trained together.
    The first layers are frozen: a search computes their output only once, see `model.frozen`. Batch
    normalisation keeps its statistics, which are merged into the convolutions, and dropout inside
    the network is off. In a training of fewer than `FULL_STEPS` (100) steps the learning rates are
    reduced in proportion, since it would otherwise end with a worse model than it began with. With
    `weights=None` nothing is pre-trained, and all layers are trained from the first step.

    The model contains the network's own preprocessing and takes raw pixels like any other. Grey
    images are repeated to three channels. For a model with a fixed input size, images are resized
    to that size.

    A name or a path is sent to other processes and loaded there; a model is copied when it is
    passed: its configuration and weights are stored and sent, and it is not changed itself.

    Hyperparameters:
        backbone: If it is not passed, one of the available networks: those of installed packages,
            in Keras' cache, or in the folder of backbones (see `hypermodels.backbone_files`).
        size: Pixels of the shorter side of the input of a named network.
        unfreeze: Smallest share of the network's layers with weights that are trained, counted from
            its output; the split is between two blocks. 0 trains only the classifier, 1 the whole
            network.
        dropout: Share of features dropped before the classifier.

    Args:
        input_shape: (height, width, channels) of the images.
        classes: Number of classes, at least 2.
        backbone: A name in `hypermodels.pretrained.PRETRAINED` ("EfficientNetLite0"), in
            `keras.applications` or of a file in the folder of backbones; the path of a `.keras` or
            `.h5` file; a preset of KerasHub ("hf://…", "kaggle://…" or its folder); or a built
            `keras.Model`. Its classifier is removed. Missing weights are downloaded once. None
            searches the available networks.
        weights: Weights of a named backbone: "imagenet"; the path of a weights file of the network
            without its classifier; None for random weights, so that all layers are trained; or
            "random" for random weights that are treated like pre-trained ones, to try a search.
        values: Pixel values that a backbone from a file or a model expects: "raw" (0 to 255), "tf"
            (-1 to 1), "torch" or "caffe", see `hypermodels.preprocessing`. None: what is known
            about the file, else "raw".
        **options: As for `ImageHyperModel`, including fixed hyperparameters.

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

        If the network is pre-trained, the model has these attributes:

        start: The `FrozenPart` to whose features the classifier is fitted before the training.
        frozen: The `FrozenPart` with the frozen layers; missing if all layers are trained.
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
        if backbone.pretrained:
            network = self._folded(backbone, height, width)
        else:
            network = backbone.load(height, width)
        x = rescale_values(fit_pixels(x, network, height, width), backbone.values)
        if backbone.pretrained:
            bottom, top = split_network(network, self._unfrozen(space))
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
        """Fit the classifier, then train it together with the last layers of the network.

        Args:
            hp: The hyperparameters from which `model` was built.
            model: A model returned by `build`.
            x: As for `keras.Model.fit`.
            y: As for `keras.Model.fit`.
            start: Features of the training images, computed by `model.start`; if None, they are
                computed from `x` and `y`.
            frozen: Whether `x` contains features, computed by `model.frozen`, instead of images.
                Callbacks receive the whole model in any case.
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
