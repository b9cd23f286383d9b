"""How optimistic the best validation score of a search is, before and after the correction.

A pool of small convolutional networks of random configurations is trained once, on 2,000 images. A
random search is then a draw of some of the pool, chosen on 500 images that none was trained on; the
truth is the accuracy of the chosen network on 10,000 others. Both are drawn afresh, without
overlap, from the same 18,000 images: what differs between two fixed sets of images would otherwise
look like bias. 400 searches of each size; the error is the standard error of their mean. BBC-CV is
the correction with bootstraps of the rows, corrected ours with 80% of them.

    python benchmarks/winners_curse.py --folder cifar10/ --keep predictions.npz

`--folder` holds train/<class>/*.jpg and test/<class>/*.jpg, such as CIFAR-10. `--keep` names a file
that gets the predictions, and is read instead of training if it is there. `--seed` draws another
pool: the share of 80% was chosen on that of seed 0. `--quick` draws synthetic predictions instead.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.evaluation import METRICS, corrected_best
from kt_tuning.evaluation.winners_curse import LEFT_OUT

POOL = 60
TRAIN, HELD_OUT = 2000, 18000
VALIDATION, TRUTH = 500, 10000
SIZES = (5, 20, 50)
SEARCHES = 400
RESAMPLES = 300
EPOCHS = 4
CLASSES = 10

Floats = NDArray[np.floating]


@dataclasses.dataclass(frozen=True)
class Bias:
    """Means over searches of one size, and their standard errors; a score above the truth is +."""

    metric: str
    trials: int
    truth: float
    raw: float
    raw_error: float
    bootstrap: float
    bootstrap_error: float
    corrected: float
    corrected_error: float
    covered: float

    def row(self) -> str:
        return (
            f"{self.metric:<10}{self.trials:>7}{self.truth:>9.4f}"
            f"{self.raw:>+11.4f} ± {self.raw_error:.4f}"
            f"{self.bootstrap:>+11.4f} ± {self.bootstrap_error:.4f}"
            f"{self.corrected:>+11.4f} ± {self.corrected_error:.4f}{self.covered:>10.0%}"
        )


def read(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The first images of every class: `TRAIN` to train on, then `HELD_OUT`, shuffled apart."""
    names = sorted(path.name for path in (folder / "train").iterdir() if path.is_dir())
    files: list[tuple[Path, int]] = []
    for label, name in enumerate(names):
        from_train = (TRAIN + HELD_OUT - TRUTH) // len(names)
        train = sorted((folder / "train" / name).iterdir())[:from_train]
        files += [(path, label) for path in train]
        files += [(path, label) for path in sorted((folder / "test" / name).iterdir())]
    order = np.random.default_rng(0).permutation(len(files))
    images = np.stack([np.asarray(Image.open(files[place][0]).convert("RGB")) for place in order])
    return images, np.array([files[place][1] for place in order])


def train(folder: Path, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Train the pool: predictions (POOL, HELD_OUT, CLASSES) and labels (HELD_OUT,)."""
    import keras

    layers = keras.layers
    images, labels = read(folder)
    rng = np.random.default_rng(1 + seed)
    predictions = []
    start = time.monotonic()
    for number in range(POOL):
        keras.backend.clear_session()
        keras.utils.set_random_seed(POOL * seed + number)
        filters, kernel = int(rng.choice([8, 16, 24])), int(rng.choice([3, 5]))
        activation = str(rng.choice(["relu", "elu", "tanh"]))
        pixels = keras.Input(images.shape[1:], dtype="uint8")
        x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
        for stage in range(int(rng.integers(1, 4))):
            x = layers.Conv2D(
                filters * 2**stage, kernel, strides=2, padding="same", activation=activation
            )(x)
        x = layers.Flatten()(x) if rng.random() < 0.5 else layers.GlobalAveragePooling2D()(x)
        x = layers.Dropout(float(rng.uniform(0, 0.5)))(x)
        model = keras.Model(pixels, layers.Dense(CLASSES, activation="softmax")(x))
        rate = 10 ** rng.uniform(-3.5, -1.8)
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        model.fit(images[:TRAIN], labels[:TRAIN], batch_size=64, epochs=EPOCHS, verbose=0)
        predictions.append(model.predict(images[TRAIN:], batch_size=512, verbose=0))
    print(f"{POOL} networks in {time.monotonic() - start:.0f} s")
    return np.stack(predictions), labels[TRAIN:]


def synthesise() -> tuple[Floats, NDArray[np.int64]]:
    """Predictions of models that differ a little, and find the same images hard."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=HELD_OUT)
    difficulty = rng.normal(size=HELD_OUT)
    predictions = np.empty((POOL, HELD_OUT, CLASSES), np.float32)
    for number, ability in enumerate(rng.normal(1.4, 0.08, POOL)):
        logits = rng.normal(size=(HELD_OUT, CLASSES))
        logits[np.arange(HELD_OUT), labels] += ability - difficulty
        raised = np.exp(logits)
        predictions[number] = raised / raised.sum(axis=1, keepdims=True)
    return predictions, labels


def measure(predictions: Floats, labels: NDArray[np.int64], metric: str, trials: int) -> Bias:
    """Repeat a search of so many trials."""
    rng = np.random.default_rng(trials)
    score = METRICS[metric].function
    sign = 1.0 if METRICS[metric].direction == "max" else -1.0
    truths, raw, bootstrap, corrected, covered = [], [], [], [], []
    for search in range(SEARCHES):
        pool = rng.choice(len(predictions), size=trials, replace=False)
        rows = rng.choice(len(labels), size=VALIDATION + TRUTH, replace=False)
        validation, rest = rows[:VALIDATION], rows[VALIDATION:]
        candidates, known = predictions[pool][:, validation], labels[validation]
        found, plain = (
            corrected_best(
                candidates, known, metric, left_out=left_out, resamples=RESAMPLES, seed=search
            )
            for left_out in (LEFT_OUT, None)
        )
        truth = score(labels[rest], predictions[pool[found.best]][rest])
        truths.append(truth)
        raw.append(sign * (found.raw - truth))
        bootstrap.append(sign * (plain.corrected.value - truth))
        corrected.append(sign * (found.corrected.value - truth))
        covered.append(found.corrected.low <= truth <= found.corrected.high)
    return Bias(
        metric,
        trials,
        float(np.mean(truths)),
        *_mean_and_error(raw),
        *_mean_and_error(bootstrap),
        *_mean_and_error(corrected),
        float(np.mean(covered)),
    )


def _mean_and_error(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if (
        not options.quick
        and options.folder is None
        and not (options.keep and options.keep.exists())
    ):
        parser.error("give --folder with CIFAR-10, or --quick")
    if options.quick:
        predictions, labels = synthesise()
    elif options.keep and options.keep.exists():
        with np.load(options.keep) as arrays:
            predictions, labels = arrays["predictions"], arrays["labels"]
    else:
        predictions, labels = train(options.folder, options.seed)
        if options.keep:
            np.savez(options.keep, predictions=predictions, labels=labels)
    accuracies = [METRICS["accuracy"].function(labels, one) for one in predictions]
    print(
        f"pool: {len(predictions)} networks, accuracy {min(accuracies):.3f} to "
        f"{max(accuracies):.3f}; {SEARCHES} searches of each size on {VALIDATION} images"
    )
    columns = "".join(f"{name + ' − truth':>20}" for name in ("raw", "BBC-CV", "corrected"))
    print(f"{'metric':<10}{'trials':>7}{'truth':>9}{columns}   covered")
    found = []
    for metric in ("accuracy", "log_loss"):
        for trials in SIZES[1:2] if options.quick else SIZES:
            found.append(measure(predictions, labels, metric, trials))
            print(found[-1].row())
    print(json.dumps({"quick": options.quick, "biases": [dataclasses.asdict(b) for b in found]}))


if __name__ == "__main__":
    main()
