"""Augmented images per second on one core: ours, PIL op by op, albumentations and Keras' layers.

The same operations, ranges and interpolation for all: a random crop of the image padded by an
eighth (32×32) or a fourteenth (224×224) of its side, a horizontal flip with probability 1/2, a
rotation by up to ±15°, and brightness, contrast and saturation of ±40%; bilinear interpolation,
black beyond the border. kt-tuning resamples small images by NumPy, several at once, and large ones
by PIL, by default with box interpolation, which is faster and has a row of its own. "PIL's
resampling alone" is one call per image and nothing else. Keras' layers work on batches in a
compiled function.

The second part starts from JPEG files of about 400×350 pixels and makes images of 224×224, in the
second epoch: kt-tuning reads its cache of decoded pixels; the others read decoded arrays in memory;
OpenCV's decoder with albumentations stands for programs that decode in each epoch.

    pip install albumentations==2.0.8 opencv-python-headless   # peers; missing ones are left out
    python benchmarks/augment.py [--quick]

All take turns in rounds, each round in another order. The fastest round counts, measured in CPU
time, which other load disturbs less than wall-clock time. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import numpy as np
from PIL import Image

from kt_tuning.augment import Policy, Step, augment
from kt_tuning.data import load_images

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from op_by_op import op_by_op

Batch = np.ndarray[Any, np.dtype[np.uint8]]
Augment = Callable[[Batch], Any]

BATCH_SIZE = 64
RANGE = 0.4
DEGREES = 15.0
SMALL, LARGE = 32, 224
PADDING = {SMALL: 4, LARGE: 16}
"""Side of an image in pixels -> pixels by which its crop is moved at most."""
DECODED = "decoded arrays, "
TARGETS = {
    "32×32": {"PIL, op by op": 2.5, "albumentations": 2.5, "Keras layers": 2.5},
    "224×224": {"PIL, op by op": 1.5, "Keras layers": 4.0},
    "JPEG → 224×224": {"OpenCV + albumentations": 2.0},
}


def pictures(count: int, height: int, width: int) -> Batch:
    """Soft shapes under a little noise: they compress like photographs."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    resized = [
        np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
        for image in coarse
    ]
    noise = rng.normal(0, 8, (height, width, 3))
    return np.clip(np.stack(resized) + noise, 0, 255).astype(np.uint8)


def policy(side: int, border: str = "constant", interpolation: str = "bilinear") -> Policy:
    """Return the operations for images of a side in pixels."""
    return Policy(
        (
            Step("crop", PADDING[side] / side),
            Step("flip", 1.0, 0.5),
            Step("rotate", DEGREES),
            Step("brightness", RANGE),
            Step("contrast", RANGE),
            Step("saturation", RANGE),
        ),
        border,
        interpolation,
    )


def ours(carry_out: Callable[..., Batch], chosen: Policy) -> Augment:
    rng = np.random.default_rng(0)
    return lambda images: carry_out(chosen, images, rng.random((len(images), chosen.draws)))


def resampling_alone(side: int) -> Augment:
    """Return the least cost of bilinear interpolation by PIL: one call per image, nothing else."""
    coefficients = (0.966, 0.259, -0.1 * side, -0.259, 0.966, 0.15 * side)
    images: dict[int, list[Image.Image]] = {}

    def run(batch: Batch) -> list[Image.Image]:
        key = id(batch)
        if key not in images:
            images[key] = [Image.fromarray(image) for image in batch]
        return [
            image.transform(
                (side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
            )
            for image in images[key]
        ]

    return run


def albumentations(side: int) -> Augment:
    transform = albumentations_pipeline(side)

    def run(images: Batch) -> Batch:
        return np.stack([transform(image=image)["image"] for image in images])

    return run


def albumentations_pipeline(side: int, first: tuple[Any, ...] = ()) -> Any:
    import albumentations as a
    import cv2

    cv2.setNumThreads(1)
    factor = (1 - RANGE, 1 + RANGE)
    return a.Compose(
        [
            *first,
            a.Pad(PADDING[side]),
            a.RandomCrop(side, side),
            a.HorizontalFlip(p=0.5),
            a.Rotate(
                (-DEGREES, DEGREES),
                interpolation=cv2.INTER_LINEAR,
                border_mode=cv2.BORDER_CONSTANT,
                p=1,
            ),
            a.ColorJitter(factor, factor, factor, (0, 0), p=1),
        ]
    )


def keras_layers(side: int) -> Augment:
    import keras
    import tensorflow as tf

    layers = [
        keras.layers.ZeroPadding2D(PADDING[side]),
        keras.layers.RandomCrop(side, side),
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomRotation(DEGREES / 360, fill_mode="constant", interpolation="bilinear"),
        keras.layers.RandomBrightness(RANGE),
        keras.layers.RandomContrast(RANGE),
        # f makes the factor f / (1 - f): 0.6 to 1.4.
        keras.layers.RandomSaturation(((1 - RANGE) / (2 - RANGE), (1 + RANGE) / (2 + RANGE))),
    ]

    @tf.function
    def run(images: Any) -> Any:
        images = tf.cast(images, tf.float32)
        for layer in layers:
            images = layer(images, training=True)
        return images

    return lambda images: run(tf.constant(images)).numpy()


def measure(contestants: dict[str, Augment], batches: list[Any], rounds: int) -> dict[str, float]:
    """Images per second of processor time in the fastest of some rounds, taken in turn."""
    seconds = {name: float("inf") for name in contestants}
    for name in contestants:
        contestants[name](batches[0])
    order = list(contestants)
    for _ in range(rounds):
        # The one before leaves the processor's caches full of other data.
        order = order[1:] + order[:1]
        for name in order:
            began = time.process_time()
            for batch in batches:
                contestants[name](batch)
            seconds[name] = min(seconds[name], time.process_time() - began)
    count = sum(len(batch) for batch in batches)
    return {name: count / spent for name, spent in seconds.items()}


def in_memory(side: int, batches: int, rounds: int) -> dict[str, float]:
    images = pictures(BATCH_SIZE * batches, side, side)
    contestants: dict[str, Augment] = {
        "ours": ours(augment, policy(side)),
        "ours, mirrored border": ours(augment, policy(side, "mirror")),
        "PIL, op by op": ours(op_by_op, policy(side)),
        "PIL's resampling alone": resampling_alone(side),
    }
    if side == LARGE:
        default = policy(side, interpolation="auto")
        contestants["ours, default interpolation"] = ours(augment, default)
    if present("albumentations"):
        contestants["albumentations"] = albumentations(side)
    if present("tensorflow"):
        contestants["Keras layers"] = keras_layers(side)
    return measure(contestants, np.split(images, batches), rounds)


def from_files(folder: Path, count: int, rounds: int) -> dict[str, float]:
    """Augment images of JPEG files; ours from the cache that the first epoch has filled."""
    os.environ["KT_TUNING_CACHE"] = str(folder / "cache")
    files = []
    for number, image in enumerate(pictures(count, 350, 400)):
        files.append(folder / "images" / f"class_{number % 2}" / f"{number}.jpg")
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(files[-1], quality=90)
    load_images(folder / "images", image_size=LARGE, progress=False)
    train = load_images(folder / "images", image_size=LARGE, progress=False).train
    # As many images for all.
    files = files[: len(train)]
    decoded = train.take(np.arange(len(train)))
    batches = np.split(np.arange(len(train)), range(BATCH_SIZE, len(train), BATCH_SIZE))

    def from_cache(change: Augment) -> Augment:
        return lambda rows: change(train.take(rows))

    def from_memory(change: Augment) -> Augment:
        return lambda rows: change(decoded[rows])

    contestants: dict[str, Augment] = {
        "ours": from_cache(ours(augment, policy(LARGE))),
        "ours, default interpolation": from_cache(
            ours(augment, policy(LARGE, interpolation="auto"))
        ),
    }
    if present("albumentations"):
        contestants[DECODED + "albumentations"] = from_memory(albumentations(LARGE))
        contestants["OpenCV + albumentations"] = decode_and_augment(files)
    if present("tensorflow"):
        contestants[DECODED + "Keras layers"] = from_memory(keras_layers(LARGE))
    return measure(contestants, batches, rounds)


def decode_and_augment(files: list[Path]) -> Augment:
    import albumentations as a
    import cv2

    transform = albumentations_pipeline(LARGE, first=(a.Resize(LARGE, LARGE),))

    def run(rows: Batch) -> Batch:
        images = (cv2.cvtColor(cv2.imread(str(files[row])), cv2.COLOR_BGR2RGB) for row in rows)
        return np.stack([transform(image=image)["image"] for image in images])

    return run


def present(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: half a minute")
    quick = parser.parse_args().quick
    # Before libraries count cores and start threads.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rounds = 3 if quick else 15
    with tempfile.TemporaryDirectory() as scratch:
        results = {
            "32×32": in_memory(SMALL, 4 if quick else 16, rounds),
            "224×224": in_memory(LARGE, 1 if quick else 2, rounds),
            "JPEG → 224×224": from_files(Path(scratch), 60 if quick else 240, rounds),
        }
    for title, rates in results.items():
        print(f"\n{title:30}{'images/s':>10}{'ours is':>10}{'target':>10}")
        for name, rate in rates.items():
            target = TARGETS[title].get(name)
            print(
                f"{name:30}{rate:10,.0f}{rates['ours'] / rate:9.2f}×"
                + (f"{target:9.1f}×" if target else "")
            )
    for module in ("albumentations", "tensorflow"):
        if not present(module):
            print(f"\n{module} is not installed and was left out.")
    rounded = {
        title: {name: round(rate, 1) for name, rate in rates.items()}
        for title, rates in results.items()
    }
    print(json.dumps({"images_per_second": rounded}))


if __name__ == "__main__":
    main()
