"""Pre-trained networks with a new head: first the head learns, then the top of the network."""

from __future__ import annotations

from typing import Any, ClassVar

import keras

from hypermodels.backbone import Backbone
from hypermodels.backbone_family import BackboneHyperModel
from hypermodels.blocks import classifier
from hypermodels.compiling import FitSchedule, StretchedSchedule, choose_optimizer
from hypermodels.headless import NAME, InferenceModel
from hypermodels.preprocessing import fit_pixels, rescale_values
from hypermodels.space import Space
from hypermodels.two_speed import TwoSpeed
from hypermodels.unfreezing import Unfreezing, leave_top_trainable

UNFROZEN = (0.0, 0.1, 0.25, 0.5, 1.0)
ENLARGEMENTS = (1, 2, 3, 4)
LARGEST_SIDE = 256
COMFORTABLE_SIDE = 96
"""Pixels of the shorter side up to which images are enlarged by default for a pre-trained network:
those networks shrink by 32 what they see."""


class FineTune(BackboneHyperModel):
    """A network that has learned from other images, with a new classifier.

    The network's own preprocessing is inside the model: it takes raw pixels like any other. While
    the first phase lasts, only the new head learns; then the last layers of the network learn with
    it, at a lower rate. Batch normalisation keeps the statistics it came with, as Keras' guide to
    transfer learning advises, and dropout inside the network stays off. With `weights=None` there
    is nothing to keep: all is trained from the first step.

    Grey images are repeated to three channels. A network of `keras.applications` gets images of
    `enlarge` times their size, and if that is below its minimum (32 pixels; 71 for Xception, 75 for
    the Inceptions), as much larger as brings the shorter side there. Another model gets images of
    the size of its input, or, where it leaves that open, of their own size.

    A name or a path goes to other processes and is read there; a model is copied when it is passed:
    its configuration and weights are kept and sent, and it is not changed itself.

    Hyperparameters, by name:

    backbone: If it is not passed, one of those at hand: an installed package brings it, it is in
        Keras' cache, or in the folder of backbones (see `hypermodels.backbone_files`).
    enlarge: Factor by which images are enlarged for a network that has a name.
    unfreeze: Share of the network's layers with weights, from its output, that learn at all; 0 for
        a fixed feature extractor.
    frozen_epochs: Share of the epochs of the first phase.
    fine_tune_rate: Learning rate of the network over that of the head.
    dense_units: Width of a hidden layer of the head, 0 for none.
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
        # The head's: with less it has learned little when the first phase ends.
        "adaptive_learning_rate": 1e-2,
        "weight_decay": 1e-2,
    }
    compiling_ranges: ClassVar = {"adaptive_learning_rate": (1e-4, 1e-1)}

    @property
    def allows_mixed_precision(self) -> bool:
        """Not on a backbone that is a file or a model: what it computes with is not known."""
        return self.only_named and super().allows_mixed_precision

    def rescale(self, pixels: Any) -> Any:
        """Leave the pixels to the backbone's own preprocessing."""
        return pixels

    def architecture(self, space: Space, x: Any) -> Any:
        """Map raw pixels (N, height, width, channels) to logits (N, classes)."""
        backbone = self._backbone(space)
        height, width = self._size(space, backbone)
        network = backbone.load(height, width)
        x = rescale_values(fit_pixels(x, network, height, width), backbone.values)
        if backbone.pretrained:
            leave_top_trainable(network, self._unfrozen(space))
            network = InferenceModel(network.inputs, network.outputs[0], name=NAME)
        return classifier(
            network(x),
            self.classes,
            dropout=space.number("dropout", 0.0, 0.5, default=0.2, step=0.1),
            dense_units=space.choice("dense_units", [0, 128, 512], default=0),
        )

    def optimizer(
        self, space: Space, model: keras.Model
    ) -> tuple[keras.optimizers.Optimizer, FitSchedule]:
        """One optimizer for the head and, after the first phase, a slower one for the backbone."""
        fast, head_schedule = choose_optimizer(space)
        if not self._backbone(space).pretrained:
            return fast, head_schedule
        with space.when("unfreeze", [share for share in self._shares() if share]):
            frozen_epochs = space.number("frozen_epochs", 0.1, 0.5, default=0.3, step=0.1)
            ratio = space.number("fine_tune_rate", 0.01, 1.0, default=0.1, log=True)
        count = len(model.get_layer(NAME).trainable_variables)
        if not count:
            return fast, head_schedule
        slow, schedule = choose_optimizer(space)
        if isinstance(schedule.schedule, StretchedSchedule):
            schedule.schedule.peak *= ratio
        else:
            slow.learning_rate = schedule.schedule * ratio
        return TwoSpeed(slow, fast, count, ratio), Unfreezing(
            head_schedule, schedule, frozen_epochs
        )

    def _size(self, space: Space, backbone: Backbone) -> tuple[int, int]:
        """Height and width of the images for the backbone, if it leaves that open."""
        height, width, _ = self.input_shape
        if not self.resizable:
            return height, width
        side = min(height, width)
        fitting = [f for f in ENLARGEMENTS if f == 1 or f * side <= LARGEST_SIDE]
        enough = [f for f in fitting if f * side >= COMFORTABLE_SIDE]
        default = min(enough, default=fitting[-1]) if backbone.pretrained else 1
        factor: int = space.choice("enlarge", fitting, default=default)
        if factor < 1:
            raise ValueError(f"`enlarge` is a factor, at least 1. Received: enlarge={factor}")
        if not backbone.resizable:
            return height, width
        return height * factor, width * factor

    def _unfrozen(self, space: Space) -> float:
        share: float = space.choice("unfreeze", UNFROZEN, default=0.25)
        if not 0 <= share <= 1:
            raise ValueError(
                "`unfreeze` is a share of the backbone's layers, 0 to 1. "
                f"Received: unfreeze={share}"
            )
        return share

    def _shares(self) -> list[float]:
        """Every value that `unfreeze` may have."""
        return [*UNFROZEN, self.fixed.get("unfreeze", 0.0)]
