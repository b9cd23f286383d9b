"""Images a second that a model trains with: as Keras does it, and as trials do.

Each family's default configuration, 32×32 images, batches of 64. "Keras" is the model as it is
built. "one pass" has its batch normalisations computed in one pass each, which changes no number
beyond rounding. "auto" is that in the precision which is the fastest for the device: bfloat16 on a
processor that multiplies matrices of it (AMX, or AVX-512's bfloat16), elsewhere float32. The three
take turns, step by step; medians.

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
WAYS = ("Keras", "one pass", "auto")


def model_of(family: str, way: str) -> keras.Model:
    """A family's default model, about to be trained in one of `WAYS`."""
    keras.utils.set_random_seed(0)
    hypermodel = HYPERMODELS[family](SHAPE, CLASSES)
    hp = keras_tuner.HyperParameters()
    model = new_model(hypermodel, hp, "auto" if way == "auto" else "float32")
    if way != "Keras":
        fuse_batch_normalization(model)
    return model


def measure(family: str, steps: int) -> dict[str, float]:
    """Images a second, by way."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (BATCH_SIZE, *SHAPE), np.uint8)
    y = rng.integers(0, CLASSES, BATCH_SIZE)
    models = {way: model_of(family, way) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for step in range(WARM_UP + steps):
        for way, model in models.items():
            began = time.perf_counter()
            model.train_on_batch(x, y)
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
    precision = devices.precision(devices.unasked_devices())
    print(f"{'images a second':16}" + "".join(f"{way:>10}" for way in WAYS) + "   auto / Keras")
    rows = {}
    for family in options.families:
        keras.backend.clear_session()
        rows[family] = found = measure(family, options.steps)
        ratio = found["auto"] / found["Keras"]
        print(f"{family:16}" + "".join(f"{found[w]:>10,.0f}" for w in WAYS) + f"{ratio:>14.2f}×")
    print(json.dumps({"precision": precision, "threads": options.threads, "families": rows}))


if __name__ == "__main__":
    main()
