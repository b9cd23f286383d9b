"""How optimistic the best validation score of a search is, before and after the correction.

Small convolutional networks with random configurations are trained on 2,000 images, 60 per seed,
and their predictions after each epoch are kept. A simulated search has some of these networks and
proceeds like a search of kt-tuning: it measures each epoch on 500 images that no network was
trained on, continues the best third at each rung of successive halving (after a ninth and a third
of the epochs), keeps the best epoch of each network, including pruned ones, and chooses the best of
all. The truth is the accuracy of the chosen network, after its chosen epoch, on other images. Both
sets are drawn from the same 18,000 images; a difference between two fixed sets would otherwise look
like bias.

"own" searches share neither networks nor validation images with one another; there are as many as
the networks allow (17 seeds give 20 searches of 50). "drawn" ones, 400 of each size, draw both for
each search: they are not independent, but show smaller biases. The error is the standard error of
the mean. "corrected" is `corrected_best` with the scores of the other epochs. BBC-CV, which is
compared with it, chooses among all networks and epochs on each bootstrap of the rows, and scores
the choice on the rows left out: Tsamardinos, Greasidou and Borboudakis (2018), "Bootstrapping the
out-of-sample predictions for efficient and accurate cross-validation".

    python benchmarks/winners_curse.py --folder cifar10/ --seeds 17 --keep pools/

`coverage.py` measures the same where the truth is known exactly.

`--folder` holds train/<class>/*.jpg and test/<class>/*.jpg, such as CIFAR-10. `--keep` names a
folder that gets the predictions of each seed, 200 MB each, and where they are read from instead of
training if they are there. `--first` is the first seed: seeds 1 to 9 were looked at while the
correction was chosen. `--quick` draws synthetic predictions instead. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.evaluation import METRICS, corrected_best
from kt_tuning.evaluation.intervals import draw_counts
from kt_tuning.search.pruning import REDUCTION, make_rungs

POOL = 60
TRAIN, HELD_OUT = 2000, 18000
VALIDATION, TRUTH = 500, 10000
SIZES = (5, 20, 50)
SEARCHES = 400
RESAMPLES = 300
EPOCHS = 9
CLASSES = 10
QUICK_POOL = 40

Floats = NDArray[np.floating]
Places = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Bias:
    """Means over searches of one size, and their standard errors; a score above the truth is +."""

    metric: str
    kind: str
    trials: int
    searches: int
    truth: float
    raw: float
    raw_error: float
    bbc_cv: float
    bbc_cv_error: float
    corrected: float
    corrected_error: float
    covered: float

    def row(self) -> str:
        return (
            f"{self.metric:<10}{self.kind:<6}{self.searches:>5} of{self.trials:>3}"
            f"{self.truth:>9.4f}"
            f"{self.raw:>+11.4f} ± {self.raw_error:.4f}"
            f"{self.bbc_cv:>+11.4f} ± {self.bbc_cv_error:.4f}"
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
    """Train the pool.

    Returns:
        Predictions after each epoch, float16 (POOL, EPOCHS, HELD_OUT, CLASSES), and labels
        (HELD_OUT,).
    """
    import keras

    layers = keras.layers
    images, labels = read(folder)
    rng = np.random.default_rng(1 + seed)
    predictions = np.empty((POOL, EPOCHS, HELD_OUT, CLASSES), np.float16)
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
        for epoch in range(EPOCHS):
            model.fit(images[:TRAIN], labels[:TRAIN], batch_size=64, verbose=0)
            answers = model.predict(images[TRAIN:], batch_size=512, verbose=0)
            predictions[number, epoch] = answers
    print(f"seed {seed}: {POOL} networks in {time.monotonic() - start:.0f} s", flush=True)
    return predictions, labels[TRAIN:]


def synthesise() -> tuple[Floats, NDArray[np.int64]]:
    """Return predictions of models that differ a little, find the same images hard, and learn."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=HELD_OUT)
    difficulty = rng.normal(size=HELD_OUT)
    predictions = np.empty((QUICK_POOL, EPOCHS, HELD_OUT, CLASSES), np.float16)
    for number, ability in enumerate(rng.normal(1.4, 0.08, QUICK_POOL)):
        own = rng.normal(size=(HELD_OUT, CLASSES))
        for epoch in range(EPOCHS):
            logits = 0.8 * own + 0.6 * rng.normal(size=(HELD_OUT, CLASSES))
            learnt = ability - 0.5 * math.exp(-epoch / 2)
            logits[np.arange(HELD_OUT), labels] += learnt - difficulty
            raised = np.exp(logits)
            predictions[number, epoch] = raised / raised.sum(axis=1, keepdims=True)
    return predictions, labels


def trained_epochs(scores: Floats) -> NDArray[np.int64]:
    """Return how many epochs of each network successive halving trains.

    Args:
        scores: (K, EPOCHS) on the validation images, higher is better.

    Returns:
        (K,) 1 to EPOCHS.
    """
    rungs = [int(rung.epochs) for rung in make_rungs(EPOCHS)]
    going, epochs = np.arange(len(scores)), np.full(len(scores), rungs[0])
    for rung, following in zip(rungs, [*rungs[1:], EPOCHS], strict=True):
        order = np.argsort(-scores[going, :rung].max(axis=1), kind="stable")
        going = going[order[: math.ceil(len(going) / REDUCTION)]]
        epochs[going] = following
    return epochs


def own_searches(networks: int, rows: int, trials: int) -> Iterator[tuple[Places, Places, Places]]:
    """Networks, validation images and others of searches that share neither of the first two."""
    rng = np.random.default_rng(trials)
    pools, images = rng.permutation(networks), rng.permutation(rows)
    for search in range(min(networks // trials, rows // VALIDATION)):
        own = slice(search * VALIDATION, (search + 1) * VALIDATION)
        pool = pools[search * trials : (search + 1) * trials]
        yield pool, images[own], np.delete(images, own)


def drawn_searches(
    networks: int, rows: int, trials: int
) -> Iterator[tuple[Places, Places, Places]]:
    """The same of searches that draw both afresh."""
    rng = np.random.default_rng(trials)
    for _ in range(SEARCHES):
        pool = rng.choice(networks, size=trials, replace=False)
        images = rng.choice(rows, size=VALIDATION + TRUTH, replace=False)
        yield pool, images[:VALIDATION], images[VALIDATION:]


KINDS = {"own": own_searches, "drawn": drawn_searches}


def measure(
    networks: list[Floats], labels: NDArray[np.int64], metric: str, kind: str, trials: int
) -> Bias:
    """Repeat a search of so many trials.

    Args:
        networks: Predictions of each after each epoch, (EPOCHS, HELD_OUT, CLASSES).
        labels: (HELD_OUT,)
        metric: Name in `METRICS`.
        kind: Key of `KINDS`.
        trials: Networks of a search.
    """
    score = METRICS[metric].function
    sign = 1.0 if METRICS[metric].direction == "max" else -1.0
    truths, raw, covered = [], [], []
    corrected: list[float] = []
    bbc: list[float] = []
    searches = KINDS[kind](len(networks), len(labels), trials)
    for number, (pool, validation, others) in enumerate(searches):
        curves = np.stack([networks[network][:, validation] for network in pool])
        curves, known = curves.astype(np.float32), labels[validation]
        scores = sign * np.array([[score(known, one) for one in curve] for curve in curves])
        trained = np.arange(EPOCHS) < trained_epochs(scores)[:, None]
        best = np.where(trained, scores, -np.inf).argmax(axis=1)
        others_of_each = trained & (np.arange(EPOCHS) != best[:, None])
        ours = corrected_best(
            curves[np.arange(trials), best],
            known,
            metric,
            other_epochs=sign * scores[others_of_each],
            resamples=RESAMPLES,
            seed=number,
        )
        chosen = networks[pool[ours.best]][best[ours.best], others].astype(np.float32)
        truth = score(labels[others], chosen)
        truths.append(truth)
        raw.append(sign * (ours.raw - truth))
        bbc.append(sign * (bbc_cv(curves[trained], known, metric, seed=number) - truth))
        corrected.append(sign * (ours.corrected.value - truth))
        covered.append(ours.corrected.low <= truth <= ours.corrected.high)
    return Bias(
        metric,
        kind,
        trials,
        len(truths),
        float(np.mean(truths)),
        *_mean_and_error(raw),
        *_mean_and_error(bbc),
        *_mean_and_error(corrected),
        float(np.mean(covered)),
    )


def bbc_cv(predictions: Floats, labels: NDArray[np.int64], metric: str, *, seed: int) -> float:
    """Return the mean score of what is best on each resample, on the rows that are not in it."""
    row = METRICS[metric]
    sign = 1.0 if row.direction == "max" else -1.0
    found = []
    for counts in draw_counts(len(labels), RESAMPLES, np.random.default_rng(seed)):
        inside, outside = (
            np.stack([row.counted(labels, one, weights) for one in predictions])
            for weights in (counts, (counts == 0).astype(np.float64))
        )
        chosen = (sign * inside).argmax(axis=0)
        found.append(outside[chosen, np.arange(len(chosen))])
    return float(np.nanmean(np.concatenate(found)))


def _mean_and_error(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def pool(options: argparse.Namespace) -> tuple[list[Floats], NDArray[np.int64]]:
    """Train the networks of every seed, or read what they predicted; one array a network."""
    if options.quick:
        predictions, labels = synthesise()
        return list(predictions), labels
    found: list[Floats] = []
    for seed in range(options.first, options.first + options.seeds):
        kept = options.keep and options.keep / f"epochs{seed}.npy"
        if kept and kept.exists():
            labels = np.load(options.keep / "labels.npy")
            found += list(np.load(kept, mmap_mode="r"))
            continue
        predictions, labels = train(options.folder, seed)
        found += list(predictions)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(options.keep / "labels.npy", labels)
            np.save(kept, predictions)
    return found, labels


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--first", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if not options.quick and options.folder is None and options.keep is None:
        parser.error("give --folder with CIFAR-10, or --quick")
    networks, labels = pool(options)
    accuracies = [METRICS["accuracy"].function(labels, one[-1]) for one in networks]
    print(
        f"{len(networks)} networks, accuracy {min(accuracies):.3f} to {max(accuracies):.3f}; "
        f"searches choose on {VALIDATION} images"
    )
    columns = "".join(f"{name + ' − truth':>20}" for name in ("raw", "BBC-CV", "corrected"))
    print(f"{'metric':<10}{'searches':<14}{'truth':>9}{columns}   covered")
    found = []
    for metric in ("accuracy", "log_loss"):
        for kind in KINDS:
            for trials in SIZES[1:2] if options.quick else SIZES:
                found.append(measure(networks, labels, metric, kind, trials))
                print(found[-1].row(), flush=True)
    print(json.dumps({"quick": options.quick, "biases": [dataclasses.asdict(b) for b in found]}))


if __name__ == "__main__":
    main()
