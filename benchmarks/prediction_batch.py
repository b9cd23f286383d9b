"""How many images are predicted fastest at a time?

Images per second of the default `ConvNet` at 32 pixels, and of the features of EfficientNet-Lite0
at 96, 160 and 224 pixels, in batches of 8 to 256. The batch sizes take turns; medians of
`--repeats` turns. The column "chosen" is what `prediction_batch_size` returns for such a model.

`--quick` has 64 images, one turn and random weights. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np

from hypermodels import ConvNet, LinearProbe
from hypermodels.named_backbone import IMAGENET, RANDOM
from hypermodels.prediction_batches import prediction_batch_size

SIZES = (8, 16, 32, 64, 256)


def models(weights: str) -> dict[str, keras.Model]:
    """Name -> model of uint8 images."""
    hp = keras_tuner.HyperParameters
    found = {"ConvNet, 32": ConvNet((32, 32, 3), 10).build(hp())}
    for side in (96, 160, 224):
        shape = (side, side, 3)
        probe = LinearProbe(shape, 10, size=side, weights=weights, backbone="EfficientNetLite0")
        found[f"EfficientNetLite0, {side}"] = probe.build(hp()).frozen.model
    return found


def speed(model: keras.Model, images: np.ndarray, size: int) -> float:
    """Images per second in batches of a size."""
    began = time.perf_counter()
    for start in range(0, len(images), size):
        model.predict_on_batch(images[start : start + size])
    return len(images) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    count, repeats = (64, 1) if options.quick else (options.images, options.repeats)
    results = []
    print(f"{'images/s in batches of':<24}" + "".join(f"{size:>8}" for size in SIZES) + "  chosen")
    for name, model in models(RANDOM if options.quick else IMAGENET).items():
        shape = model.input_shape[1:]
        images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
        for size in SIZES:  # traced and warm
            model.predict_on_batch(images[:size])
        turns = [{size: speed(model, images, size) for size in SIZES} for _ in range(repeats)]
        found = {size: statistics.median(turn[size] for turn in turns) for size in SIZES}
        chosen = prediction_batch_size(model, shape)
        print(f"{name:<24}" + "".join(f"{found[size]:>8.0f}" for size in SIZES) + f"{chosen:>8}")
        results.append({"model": name, "chosen": chosen, "images_per_second": found})
    print(json.dumps({"quick": options.quick, "results": results}))


if __name__ == "__main__":
    main()
