"""Training on one GPU with Keras on JAX: prepared, and not measured on a GPU yet.

Two measurements, at most eight minutes together:

- The default `ConvNet` with the default recipe for five minutes: images per second, the share of
  the time that training waits for data, the validation accuracy after 1, 2 and 5 minutes (of one
  training, whose schedule ends with the fifth), and the test accuracy at the end.
- The same training in 1, 2, 4 and 8 processes at once, which share the GPU: images per second of
  all together, measured after a time in which all should have been compiled.

    python benchmarks/gpu.py --data cifar10/                  # or an .npz file, see `load_images`
    KERAS_BACKEND=tensorflow python benchmarks/gpu.py --data cifar10/
    python benchmarks/gpu.py --quick                          # in small, on a processor

Hypermodels, images, augmentation and the loader are kt-tuning's and need no TensorFlow on JAX. The
training loop is Keras'; the faster one of kt-tuning works with TensorFlow only. Without `--data`,
images of stripes are made, and accuracies mean nothing. `--batch-size` changes the size of the
batches. Measurements for which the eight minutes are not enough are left out, with a message. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np

import kt_tuning as ktt
from hypermodels import ConvNet
from kt_tuning import devices
from kt_tuning.augment import augment, default_policy
from kt_tuning.data.batch_loader import DATA_WAIT, FollowEpochs, Loader
from kt_tuning.data.batches import Batches, Random
from kt_tuning.devices.devices import GPU

STARTED = time.monotonic()
LIMIT = 470.0
"""Seconds of the whole script."""
MINUTES = (1.0, 2.0, 5.0)
COUNTS = (1, 2, 4, 8)
STARTING, COUNTED = 24.0, 12.0
"""Seconds in which side-by-side processes start and compile, and in which they are counted."""
MEMORY = 0.9
"""Share of the GPU's memory for all processes."""
SHAPE, CLASSES = (32, 32, 3), 10
QUICK = {"stages": 2, "filters": 16, "convs": 1}
"""Settings of the network of `--quick`."""


class Progress(keras.callbacks.Callback):
    """Records epochs, counts images, and ends the training at a time.

    Args:
        until: Value of `time.monotonic()`.
        loader: Of the training images.

    Attributes:
        epochs: One row each: "ended" in seconds since the start, "seconds" of training alone,
            "accuracy" on the validation images, and "wait", None where it is unknown.
        batches: (N,) values of `time.monotonic()`, one per batch.
    """

    def __init__(self, until: float, loader: Loader) -> None:
        super().__init__()
        self._until, self._loader = until, loader
        self._began = self._epoch_began = 0.0
        self.epochs: list[dict[str, Any]] = []
        self.batches: list[float] = []

    def on_train_begin(self, logs=None):
        self._began = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(time.monotonic())
        if self.batches[-1] >= self._until:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(
            {
                "ended": time.monotonic() - self._began,
                "seconds": self.batches[-1] - self._epoch_began,
                "accuracy": logs.get("val_accuracy"),
                "wait": logs.get(DATA_WAIT),
            }
        )

    def after(self, seconds: float) -> float | None:
        """Return the accuracy after the last epoch that ended by then."""
        ended = [row["accuracy"] for row in self.epochs if row["ended"] <= seconds]
        return ended[-1] if ended else None


def images(path: Path | None, count: int) -> ktt.ImageData:
    """Return a folder or an .npz file of images, or `count` noisy stripes."""
    if path is not None:
        split = (0.85, 0.05, 0.1)
        return ktt.load_images(path, image_size=SHAPE[0], split=split, progress=False)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, count)
    angle = (labels * np.pi / CLASSES)[:, None, None]
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    wave = np.sin(x * np.cos(angle) + y * np.sin(angle))
    pixels = 128 + 40 * wave[..., None] + rng.normal(0, 20, (count, *SHAPE))
    return ktt.ImageData.from_arrays(pixels.clip(0, 255).astype(np.uint8), labels)


def train(
    data: ktt.ImageData,
    epochs: int,
    until: float,
    options: argparse.Namespace,
    *,
    validate: bool = True,
) -> tuple[keras.Model, Progress]:
    """Train the default `ConvNet` with the default recipe; a smaller one if it has to be quick."""
    fixed = QUICK if options.quick else {}
    hypermodel, hp = ConvNet(data.input_shape, data.classes, **fixed), keras_tuner.HyperParameters()
    model = hypermodel.build(hp)
    policy = ktt.Recipe(augment=default_policy(data.input_shape)).plan({}).policy
    change = Random(functools.partial(augment, policy), policy.draws)
    validation = data.validation.take(np.arange(len(data.validation))), data.validation.labels
    with Loader(Batches(data.train, options.batch_size, seed=0, augment=change)) as loader:
        progress = Progress(until, loader)
        hypermodel.fit(
            hp,
            model,
            loader,
            shuffle=False,
            epochs=epochs,
            validation_data=validation if validate else None,
            validation_batch_size=256,
            callbacks=[FollowEpochs(loader), progress],
            verbose=0,
        )
    return model, progress


def measure_recipe(data: ktt.ImageData, options: argparse.Namespace) -> dict[str, Any]:
    """Train for the last of `--minutes`; return accuracies, speed and waiting time."""
    minutes = options.minutes
    _, pilot = train(data, 3, time.monotonic() + 30, options)
    epoch = min(later["ended"] - row["ended"] for row, later in _pairs(pilot.epochs))
    epochs = max(1, int(60 * minutes[-1] / epoch))
    model, progress = train(data, epochs, time.monotonic() + 60 * minutes[-1], options)
    test = data.test.take(np.arange(len(data.test)))
    answers = model.predict(test, batch_size=256, verbose=0).argmax(axis=1)
    # The first epoch compiles.
    whole = progress.epochs[1:-1] or progress.epochs
    speed = len(data.train) / float(np.median([row["seconds"] for row in whole]))
    waits = [row["wait"] for row in whole if row["wait"] is not None]
    return {
        "epochs": len(progress.epochs),
        "planned": epochs,
        "images_per_second": round(speed),
        "validation_after_minutes": {f"{one:g}": progress.after(60 * one) for one in minutes},
        "validation_at_the_end": progress.epochs[-1]["accuracy"],
        "test_at_the_end": round(float(np.mean(answers == data.test.labels)), 4),
        "waiting": round(float(np.mean(waits)), 4) if waits else None,
    }


def _pairs(epochs: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return neighbouring epochs; one epoch that took all the time is its own neighbour."""
    return list(itertools.pairwise(epochs)) or [({"ended": 0.0}, epochs[0])]


def measure_side_by_side(count: int, options: argparse.Namespace, npz: Path) -> dict[str, Any]:
    """Train in `count` processes at once; return the images per second of each and of all."""
    start = time.monotonic() + options.starting
    asked = {"npz": str(npz), "start": start, "end": start + options.counted}
    environment = {**os.environ, "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{MEMORY / count:.3f}"}
    command = [sys.executable, __file__, "--child", json.dumps(asked)]
    command += ["--batch-size", str(options.batch_size), *(["--quick"] if options.quick else [])]
    command += ["--precision", keras.config.dtype_policy().name]
    children = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    found = []
    for child in children:
        output, _ = child.communicate()
        if child.returncode == 0:
            found.append(json.loads(output.splitlines()[-1]))
    return {
        "processes": count,
        "failed": count - len(found),
        "late": sum(row["late"] for row in found),
        "images_per_second": round(sum(row["rate"] for row in found)),
    }


def run_child(asked: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Train until a time; return images per second since the start, and whether it came late."""
    with np.load(asked["npz"]) as arrays:
        x, y = arrays["x"], arrays["y"]
    data = ktt.ImageData.from_arrays(x, y)
    _, progress = train(data, 10_000, asked["end"], options, validate=False)
    times = np.array(progress.batches)
    counted = times[(times >= asked["start"]) & (times <= asked["end"])]
    return {
        "late": bool(times[0] > asked["start"]),
        "rate": len(counted) * options.batch_size / (asked["end"] - asked["start"]),
    }


def device() -> str:
    """Return the name of the device that Keras computes on."""
    if keras.backend.backend() == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    return ", ".join(keras.distribution.list_devices())


def parse() -> argparse.Namespace:
    """Return the options, completed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder or .npz file of images of 32×32")
    parser.add_argument("--minutes", nargs="+", type=float, default=MINUTES)
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    parser.add_argument("--batch-size", type=int, default=ktt.Recipe().batch_size)
    parser.add_argument("--precision", help="by default the fastest of the device")
    parser.add_argument("--quick", action="store_true", help="stripes, a few seconds each")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.images, options.starting, options.counted = 20_000, STARTING, COUNTED
    if options.quick:
        options.data, options.images, options.counts = None, 2000, (1, 2)
        options.minutes, options.counted = (0.2, 0.4), 6.0
    options.minutes = sorted(options.minutes)
    return options


def main() -> None:
    """Measure and print."""
    options = parse()
    found = devices.unasked_devices()
    keras.config.set_dtype_policy(options.precision or devices.precision(found))
    if options.child:
        print(json.dumps(run_child(json.loads(options.child), options)))
        return
    on_gpu = found.kind == GPU
    if not on_gpu:
        print("Keras found no GPU: these figures are of a processor.", file=sys.stderr)
    data = images(options.data, options.images)
    recipe = measure_recipe(data, options)
    for name, value in recipe.items():
        print(f"{name:28}{value}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        npz = Path(folder) / "images.npz"
        np.savez(npz, x=data.train.take(np.arange(len(data.train))), y=data.train.labels)
        for count in options.counts:
            needed = options.starting + options.counted + 10.0
            if time.monotonic() - STARTED + needed > LIMIT:
                print(f"{count} at once: left out, as there is no time left")
                continue
            rows.append(measure_side_by_side(count, options, npz))
            row = rows[-1]
            print(
                f"{count} at once{row['images_per_second']:>12,} images/s, "
                f"{row['late']} late, {row['failed']} failed"
            )
    machine = {"backend": keras.backend.backend(), "device": device(), "gpu": on_gpu}
    machine |= {"precision": keras.config.dtype_policy().name, "quick": options.quick}
    print(json.dumps({**machine, "recipe": recipe, "side_by_side": rows}))


if __name__ == "__main__":
    main()
