"""Recurrent networks that read an image row by row, or patch by patch."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from keras import layers

from hypermodels.base import ImageHyperModel
from hypermodels.blocks import classifier, convolutional_stem
from hypermodels.patches import (
    average_steps,
    channels_last,
    check_patch_size,
    cut_patches,
    patch_sizes,
)
from hypermodels.space import Space

CELLS = {"lstm": layers.LSTM, "gru": layers.GRU}
MOST_LAYERS = 3
MOST_PATCHES = 64
FEWEST_ROWS = 8
"""Rows that convolutions leave, at least, where images have so many."""


class Recurrent(ImageHyperModel):
    """Long short-term memory or gated recurrent units over the rows or patches of an image.

    Sources: Hochreiter and Schmidhuber 1997 (LSTM); Cho et al. 2014 (GRU); Schuster and Paliwal
    1997 (bidirectional). A layer of u units on f features has 4·(u·(u + f) + u) parameters with
    LSTM and 3·(u·(u + f) + 2·u) with GRU; `bidirectional` doubles them.

    Hyperparameters:
        sequence: Steps of the sequence: "rows", or square "patches" in row-major order.
        stem: Rows of "pixels", or of the output of a "convolution" (only for rows): 3×3
            convolutions with pooling leave 8 to 15 rows, as in the text recognition of Shi et al.
            2017.
        stem_filters: Channels of the last convolution of the stem.
        patch_size: Side of a patch in pixels (only for patches).
        cell: "lstm" or "gru".
        stages: Number of stacked layers.
        units: Units of a layer; `units=(128, 64)` fixes them, and `per_stage=("units",)` searches
            them, for each layer.
        bidirectional: Whether each layer reads the sequence in both directions.
        readout: Input of the classifier: the "last" step, or the "average" over all steps.
        dropout: Share of features dropped before each layer and before the classifier.
    """

    compiling_defaults: ClassVar = {
        "optimizer": "adamw",
        "adaptive_learning_rate": 2e-3,
        "weight_decay": 0.01,
    }

    def architecture(self, space: Space, x: Any) -> Any:
        """Map rescaled images, float (N, height, width, channels), to logits (N, classes)."""
        x = self._sequence(space, x)
        cell = CELLS[space.choice("cell", list(CELLS), default="lstm")]
        stages = space.stages(MOST_LAYERS, default=2)
        widths = [
            space.choice("units", [32, 64, 128, 256], default=128, stage=stage)
            for stage in range(MOST_LAYERS)
        ]
        bidirectional = space.boolean("bidirectional", default=True)
        readout = space.choice("readout", ["last", "average"], default="average")
        dropout = space.number("dropout", 0.0, 0.5, default=0.1, step=0.1)

        for stage, units in enumerate(widths[:stages]):
            goes_on = stage < stages - 1 or readout == "average"
            layer = cell(units, return_sequences=goes_on)
            if dropout and stage:
                x = layers.Dropout(dropout)(x)
            x = layers.Bidirectional(layer)(x) if bidirectional else layer(x)
        if readout == "average":
            x = average_steps(x)
        return classifier(x, self.classes, dropout=dropout)

    def _sequence(self, space: Space, x: Any) -> Any:
        """Images (N, height, width, channels) as (N, steps, features)."""
        sizes = patch_sizes(self.input_shape, MOST_PATCHES)
        sequence = space.choice("sequence", ["rows", "patches"], default="rows")
        with space.when("sequence", ["rows"]):
            stem = space.choice("stem", ["convolution", "pixels"], default="convolution")
            with space.when("stem", ["convolution"]):
                filters = space.choice("stem_filters", [32, 64, 128], default=64)
        with space.when("sequence", ["patches"]):
            size = space.choice("patch_size", sizes, default=sizes[0])
        if sequence == "patches":
            check_patch_size(self.input_shape, size)
            return cut_patches(channels_last(x), size)
        if stem == "convolution":
            x = convolutional_stem(x, filters, self._shrink())
        rows = channels_last(x)
        _, height, width, channels = rows.shape
        return layers.Reshape((height, width * channels))(rows)

    def _shrink(self) -> int:
        """The largest power of two that leaves enough rows and columns."""
        return 2 ** max(0, int(math.log2(min(self.input_shape[:2]) / FEWEST_ROWS)))
