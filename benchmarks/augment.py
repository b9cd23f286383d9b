"""Augmented images a second on one core: ours, PIL op by op, albumentations and Keras' layers.

The same operations and ranges for all: a random crop (of 32×32 padded by 4, and 224×224 out of
256×256), a mirror image for every other one, a turn of ±15°, and brightness, contrast and
saturation of ±40%; bilinear, black beyond the border. Ours is as users get it: small images are
resampled by NumPy, several at once; large ones by PIL, with box instead of bilinear interpolation,
and once more always bilinear. "PIL's resampling alone" is one call an image and nothing else.
Keras' layers work on batches in a compiled function. Then the same for JPEG files of about 400×350,
to 224×224: ours in the second epoch, from the cache of decoded pixels, against OpenCV's decoder
with albumentations.

    pip install albumentations==2.0.8 opencv-python-headless   # peers; what is missing is left out
    python benchmarks/augment.py [--quick]

Everybody takes turns, round after round, and counts with the fastest round, by the processor's
time: other load disturbs it less than the clock's. The last line is one JSON object.
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
PADDING = 4
TARGETS = {
    "32×32": {"PIL, op by op": 2.5, "albumentations": 2.5, "Keras layers": 2.5},
    "256×256 → 224×224": {"PIL, op by op": 1.5, "Keras layers": 4.0},
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


def policy(side: int, size: int, border: str = "constant", interpolation: str = "auto") -> Policy:
    """The operations, for images of `side` that become `size`."""
    reach = PADDING if side == size else (side - size) // 2
    return Policy(
        (
            Step("crop", reach / side),
            Step("flip", 1.0, 0.5),
            Step("rotate", DEGREES),
            Step("brightness", RANGE),
            Step("contrast", RANGE),
            Step("saturation", RANGE),
        ),
        border,
        interpolation,
    )


def ours(carry_out: Callable[..., Batch], chosen: Policy, size: int) -> Augment:
    rng = np.random.default_rng(0)

    def run(images: Batch) -> Batch:
        return carry_out(chosen, images, rng.random((len(images), chosen.draws)), (size, size))

    return run


def resampling_alone(side: int, size: int) -> Augment:
    """What bilinear interpolation by PIL costs at least: one `Image.transform` and nothing else."""
    coefficients = (0.966, 0.259, (side - size) / 2, -0.259, 0.966, (side + size) / 4)
    images: dict[int, list[Image.Image]] = {}

    def run(batch: Batch) -> list[Image.Image]:
        key = id(batch)
        if key not in images:
            images[key] = [Image.fromarray(image) for image in batch]
        return [
            image.transform(
                (size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
            )
            for image in images[key]
        ]

    return run


def albumentations(side: int, size: int) -> Augment:
    transform = albumentations_pipeline(side, size)

    def run(images: Batch) -> Batch:
        return np.stack([transform(image=image)["image"] for image in images])

    return run


def albumentations_pipeline(side: int, size: int, first: tuple[Any, ...] = ()) -> Any:
    import albumentations as a
    import cv2

    cv2.setNumThreads(1)
    factor = (1 - RANGE, 1 + RANGE)
    return a.Compose(
        [
            *first,
            *([a.Pad(PADDING)] if side == size else []),
            a.RandomCrop(size, size),
            a.HorizontalFlip(p=0.5),
            a.Rotate((-DEGREES, DEGREES), border_mode=cv2.BORDER_CONSTANT, p=1),
            a.ColorJitter(factor, factor, factor, (0, 0), p=1),
        ]
    )


def keras_layers(side: int, size: int) -> Augment:
    import keras
    import tensorflow as tf

    layers = [
        *([keras.layers.ZeroPadding2D(PADDING)] if side == size else []),
        keras.layers.RandomCrop(size, size),
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomRotation(DEGREES / 360, fill_mode="constant"),
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
    """Images a second of processor time in the fastest of some rounds, taken in turn."""
    seconds = {name: float("inf") for name in contestants}
    for name in contestants:
        contestants[name](batches[0])
    order = list(contestants)
    for _ in range(rounds):
        # Nobody always comes after the one who leaves the caches empty.
        order = order[1:] + order[:1]
        for name in order:
            began = time.process_time()
            for batch in batches:
                contestants[name](batch)
            seconds[name] = min(seconds[name], time.process_time() - began)
    count = sum(len(batch) for batch in batches)
    return {name: count / spent for name, spent in seconds.items()}


def in_memory(side: int, size: int, batches: int, rounds: int) -> dict[str, float]:
    images = pictures(BATCH_SIZE * batches, side, side)
    contestants: dict[str, Augment] = {
        "ours": ours(augment, policy(side, size), size),
        "ours, mirrored border": ours(augment, policy(side, size, "mirror"), size),
        "PIL, op by op": ours(op_by_op, policy(side, size), size),
        "PIL's resampling alone": resampling_alone(side, size),
    }
    if side > size:
        always = policy(side, size, interpolation="bilinear")
        contestants["ours, always bilinear"] = ours(augment, always, size)
    if present("albumentations"):
        contestants["albumentations"] = albumentations(side, size)
    if present("tensorflow"):
        contestants["Keras layers"] = keras_layers(side, size)
    return measure(contestants, np.split(images, batches), rounds)


def from_files(folder: Path, count: int, rounds: int) -> dict[str, float]:
    """From JPEG files; ours from the cache that the first epoch has filled."""
    os.environ["KT_TUNING_CACHE"] = str(folder / "cache")
    files = []
    for number, image in enumerate(pictures(count, 350, 400)):
        files.append(folder / "images" / f"class_{number % 2}" / f"{number}.jpg")
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(files[-1], quality=90)
    load_images(folder / "images", image_size=256, progress=False)
    train = load_images(folder / "images", image_size=256, progress=False).train
    change = ours(augment, policy(256, 224), 224)
    bilinear = ours(augment, policy(256, 224, interpolation="bilinear"), 224)
    # As many images for both.
    files = files[: len(train)]
    batches = np.split(np.arange(len(train)), range(BATCH_SIZE, len(train), BATCH_SIZE))
    contestants: dict[str, Augment] = {
        "ours": lambda rows: change(train.take(rows)),
        "ours, always bilinear": lambda rows: bilinear(train.take(rows)),
    }
    if present("albumentations"):
        contestants["OpenCV + albumentations"] = decode_and_augment(files)
    return measure(contestants, batches, rounds)


def decode_and_augment(files: list[Path]) -> Augment:
    import albumentations as a
    import cv2

    transform = albumentations_pipeline(256, 224, first=(a.Resize(256, 256),))

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
    # Before anybody counts cores and starts threads.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rounds = 3 if quick else 15
    with tempfile.TemporaryDirectory() as scratch:
        results = {
            "32×32": in_memory(32, 32, 4 if quick else 16, rounds),
            "256×256 → 224×224": in_memory(256, 224, 1 if quick else 2, rounds),
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
