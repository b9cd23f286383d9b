"""Training speed in images per second: of Keras' own training step, and of a trial's.

Each family's default configuration, 32×32 images, batches of 64, in four ways: by Keras, and with
each batch normalisation computed in one pass, which changes results only by rounding; both in
float32 and in bfloat16, which trials use where the processor can multiply matrices in it (AMX, or
AVX-512's bfloat16). The four take turns, step by step, in another order each time; medians. The
first two ratios compare one pass with Keras, in float32 and in bfloat16; the last one compares one
pass in bfloat16 with Keras in float32.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --families convnet resnet --threads 1
    python benchmarks/training_step.py --quick

The last line is one JSON object.
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

from hypermodels import HYPERMODELS
from kt_tuning import devices
from kt_tuning.trials.building import new_model
from kt_tuning.trials.keras_fast import fuse_batch_normalization

SHAPE, CLASSES = (32, 32, 3), 10
BATCH_SIZE = 64
FAMILIES = [family for family in HYPERMODELS if family not in ("finetune", "linearprobe")]
WARM_UP = 5
FLOAT32, BFLOAT16 = "float32", "mixed_bfloat16"
WAYS = {
    "Keras float32": (FLOAT32, False),
    "Keras bfloat16": (BFLOAT16, False),
    "one pass float32": (FLOAT32, True),
    "one pass bfloat16": (BFLOAT16, True),
}
"""Name -> precision, and whether batch normalisation is computed in one pass."""
RATIOS = {
    "float32": ("one pass float32", "Keras float32"),
    "bfloat16": ("one pass bfloat16", "Keras bfloat16"),
    "both": ("one pass bfloat16", "Keras float32"),
}
"""Name -> the way, and the one that it is compared with."""


def model_of(family: str, way: str) -> keras.Model:
    """A family's default model, about to be trained in one of `WAYS`."""
    keras.utils.set_random_seed(0)
    hypermodel = HYPERMODELS[family](SHAPE, CLASSES)
    hp = keras_tuner.HyperParameters()
    precision, fused = WAYS[way]
    model = new_model(hypermodel, hp, precision)
    if fused:
        fuse_batch_normalization(model)
    return model


def measure(family: str, steps: int) -> dict[str, float]:
    """Images a second, by way."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (BATCH_SIZE, *SHAPE), np.uint8)
    y = rng.integers(0, CLASSES, BATCH_SIZE)
    models = {way: model_of(family, way) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    order = list(WAYS)
    for step in range(WARM_UP + steps):
        order = order[1:] + order[:1]
        for way in order:
            began = time.perf_counter()
            models[way].train_on_batch(x, y)
            if step >= WARM_UP:
                seconds[way].append(time.perf_counter() - began)
    return {way: round(BATCH_SIZE / statistics.median(found)) for way, found in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--threads", type=int, help="all processors if left out")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="one family, few steps")
    options = parser.parse_args()
    if options.quick:
        options.families, options.steps = FAMILIES[:1], 5
    if options.threads:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    chosen = devices.precision(devices.unasked_devices())
    print(f"{'images per second':16}" + "".join(f"{name:>19}" for name in (*WAYS, *RATIOS)))
    rows = {}
    for family in options.families:
        keras.backend.clear_session()
        speeds = measure(family, options.steps)
        ratios = {name: round(speeds[a] / speeds[b], 3) for name, (a, b) in RATIOS.items()}
        rows[family] = {"images_per_second": speeds, "ratios": ratios}
        print(
            f"{family:16}"
            + "".join(f"{speed:>19,.0f}" for speed in speeds.values())
            + "".join(f"{ratio:>18.2f}×" for ratio in ratios.values())
        )
    print(json.dumps({"auto_precision": chosen, "threads": options.threads, "families": rows}))


if __name__ == "__main__":
    main()
