"""What searches find in equal time: stock KerasTuner against kt-tuning, on one space.

Each search has the same minutes on the same 4,000 training and 1,000 validation images, in a
process of its own; its clock starts when the tuner is made. A callback, the same for all, writes
down when each epoch ended and what it scored on the validation images. Then: how long each needs
for the best accuracy that the best stock strategy ends with. Medians over the seeds.

    python benchmarks/search_quality.py --folder cifar10/ --minutes 10 --out runs.jsonl
    python benchmarks/search_quality.py --folder cifar10/ --peers --minutes 3.3333 --out …
    python benchmarks/search_quality.py --summary runs.jsonl …

Ours may have less time than the stock ones, by a call of its own: shares are of the stock's time.

`--folder` holds train/<class>/*.jpg and test/<class>/*.jpg, such as CIFAR-10; without it, images
of stripes are made. `--quick` runs one stock strategy and one of ours for 25 seconds each.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np

import kt_tuning as ktt

TRAIN, VALIDATION = 4000, 1000
SHAPE, CLASSES = (32, 32, 3), 10
BATCH_SIZE = 64
EPOCHS = 12
PEERS = ("RandomSearch", "Hyperband", "BayesianOptimization")
STOCK = "keras_tuner."
ENDLESS = 10_000
"""Trials: time ends every search."""


@dataclasses.dataclass(frozen=True)
class Options:
    """One search: `searcher` is "keras_tuner." and a peer, or a strategy or strategy+pruner."""

    searcher: str
    seed: int
    minutes: float
    epochs: int
    workers: int
    folder: str | None


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """A plain CNN, the kind that one writes for KerasTuner, with the defaults of its tutorials."""
    layers = keras.layers
    activation = hp.Choice("activation", ["relu", "elu", "gelu"])
    convolutions = hp.Int("convolutions", 1, 2)
    normalised = hp.Boolean("batch_norm")
    pooling = hp.Choice("pooling", ["max", "average"])
    dropout = hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2)
    filters = [
        hp.Int(f"filters_{stage}", 16, 64, sampling="log", default=default)
        for stage, default in enumerate((32, 64, 64, 64))
    ]
    pool = layers.MaxPooling2D if pooling == "max" else layers.AveragePooling2D
    inputs = keras.Input(SHAPE, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    for stage in range(hp.Int("stages", 2, 4, default=3)):
        for _ in range(convolutions if stage else 1):
            x = layers.Conv2D(filters[stage], 3, padding="same")(x)
            if normalised:
                x = layers.BatchNormalization()(x)
            x = layers.Activation(activation)(x)
        x = layers.Dropout(dropout)(pool(2)(x))
    x = layers.Flatten()(x)
    units = hp.Int("dense_units", 32, 256, sampling="log", default=64)
    x = layers.Dense(units, activation=activation)(x)
    outputs = layers.Dense(CLASSES, activation="softmax")(layers.Dropout(dropout)(x))
    model = keras.Model(inputs, outputs)
    optimizer = hp.Choice("optimizer", ["adam", "sgd", "rmsprop"])
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    model.compile(
        keras.optimizers.get({"class_name": optimizer, "config": {"learning_rate": rate}}),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


class TimeIsUpError(keras_tuner.errors.FatalError):
    """Ends a search of KerasTuner's, which knows no time limit."""


class Clock(keras.callbacks.Callback):
    """Writes down when each epoch ended, and what it scored; it may run in any process."""

    def __init__(self, path: Path, deadline: float) -> None:
        super().__init__()
        self._path = path
        self._deadline = deadline

    def on_train_batch_end(self, batch, logs=None):
        if time.time() > self._deadline:
            raise TimeIsUpError

    def on_epoch_end(self, epoch, logs=None):
        with self._path.open("a") as file:
            file.write(f"{time.time()} {logs['val_accuracy']}\n")


def images(folder: str | None) -> tuple[np.ndarray, np.ndarray]:
    """As many as are needed, always the same ones, in random order."""
    rng = np.random.default_rng(0)
    count = TRAIN + VALIDATION
    if folder is None:
        return striped(count, rng)
    data = ktt.load_images(folder, image_size=SHAPE[:2], channels=SHAPE[2], progress=False)
    splits = (data.train, data.validation)
    labels = np.concatenate([split.labels for split in splits])
    chosen = rng.permutation(len(labels))[:count]
    return np.concatenate([split.images for split in splits])[chosen], labels[chosen]


def striped(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noisy stripes; the class is their direction."""
    labels = rng.integers(0, CLASSES, count)
    angle = (labels * np.pi / CLASSES)[:, None, None]
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    wave = np.sin(x * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, 6, (count, 1, 1)))
    noisy = 128 + 40 * wave[..., None] + rng.normal(0, 20, (count, *SHAPE))
    return noisy.clip(0, 255).astype(np.uint8), labels


def stock(options: Options, data: ktt.ImageData, directory: Path, log: Path, until: float) -> int:
    """A tuner of KerasTuner's; returns the number of trials."""
    arguments = {"objective": "val_accuracy", "seed": options.seed, "directory": directory}
    name = options.searcher.removeprefix(STOCK)
    if name == "Hyperband":
        arguments |= {"max_epochs": options.epochs, "hyperband_iterations": ENDLESS}
    else:
        arguments |= {"max_trials": ENDLESS}
    tuner = getattr(keras_tuner, name)(build, **arguments)
    with contextlib.suppress(TimeIsUpError):
        tuner.search(
            data.train.images,
            data.train.labels,
            validation_data=(data.validation.images, data.validation.labels),
            epochs=options.epochs,
            batch_size=BATCH_SIZE,
            callbacks=[Clock(log, until)],
            verbose=0,
        )
    return len(tuner.oracle.start_order)


def ours(options: Options, data: ktt.ImageData, directory: Path, log: Path, until: float) -> int:
    """A search of kt-tuning's; returns the number of trials."""
    strategy, _, pruner = options.searcher.partition("+")
    tuner = ktt.Tuner(
        build,
        strategy=strategy,
        pruner=pruner or None,
        max_trials=None,
        epochs=options.epochs,
        recipe=ktt.Recipe(batch_size=BATCH_SIZE, augment="none"),
        seed=options.seed,
        directory=directory,
    )
    tuner.search(
        data,
        time_limit=until - time.time(),
        workers=options.workers,
        verbose=False,
        callbacks=[Clock(log, math.inf)],
    )
    return len(tuner.results())


def measure(options: Options) -> dict[str, object]:
    """Run a search: when each better epoch ended, in seconds, and what it scored."""
    x, y = images(options.folder)
    validation = (x[TRAIN:], y[TRAIN:])
    data = ktt.ImageData.from_arrays(x[:TRAIN], y[:TRAIN], validation=validation, test=validation)
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "epochs.txt"
        log.touch()
        run = stock if options.searcher.startswith(STOCK) else ours
        began = time.time()
        until = began + 60 * options.minutes
        trials = run(options, data, Path(directory), log, until)
        epochs = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
    curve: list[tuple[float, float]] = []
    for ended, score in sorted(epochs):
        if ended <= until and (not curve or score > curve[-1][1]):
            curve.append((round(ended - began, 1), round(score, 4)))
    found = {"trials": trials, "epochs_trained": len(epochs), "curve": curve}
    return {**dataclasses.asdict(options), "cores": os.cpu_count(), **found}


def is_stock(run: dict) -> bool:
    """Whether a search was KerasTuner's."""
    return run["searcher"].startswith(STOCK)


def final(run: dict) -> float:
    """The best accuracy; 0 if no epoch ended in time."""
    return run["curve"][-1][1] if run["curve"] else 0.0


def seconds_to(run: dict, target: float) -> float:
    """When a search first had the target; infinity if it never had."""
    return next((at for at, score in run["curve"] if score >= target), math.inf)


def summarise(runs: Iterable[dict]) -> dict[str, object]:
    """Print the medians over seeds; of a search that was run twice the later one counts."""
    keys = ("searcher", "workers", "minutes", "seed")
    latest = {tuple(run[key] for key in keys): run for run in runs}
    groups: dict[str, list[dict]] = {}
    stock_minutes = {run["minutes"] for run in latest.values() if is_stock(run)}
    if len(stock_minutes) > 1:
        raise SystemExit("Stock searches of different length: summarise those of equal --minutes.")
    for run in latest.values():
        whose = f"kt_tuning {run['searcher']}, workers={run['workers']}, {run['minutes']:.3g} min"
        groups.setdefault(run["searcher"] if is_stock(run) else whose, []).append(run)
    finals = {name: statistics.median(map(final, group)) for name, group in groups.items()}
    target = max((finals[name] for name in groups if name.startswith(STOCK)), default=math.nan)
    print(f"{'':44}{'seeds':>6}{'trials':>8}{'best':>9}{'target':>10}{'of the time':>13}")
    rows = {}
    for name, group in sorted(groups.items(), key=lambda item: -finals[item[0]]):
        reached = statistics.median(seconds_to(run, target) for run in group)
        share = reached / (60 * next(iter(stock_minutes), group[0]["minutes"]))
        trials = statistics.median(run["trials"] for run in group)
        after = f"{reached:8.0f} s{share:12.0%}" if math.isfinite(reached) else f"{'never':>10}"
        print(f"{name:44}{len(group):6}{trials:8.0f}{finals[name]:9.1%}{after}")
        rows[name] = {
            "seeds": sorted(run["seed"] for run in group),
            "minutes": group[0]["minutes"],
            "trials": trials,
            "best": finals[name],
            "seconds_to_target": reached if math.isfinite(reached) else None,
        }
    return {"target": None if math.isnan(target) else target, "searches": rows}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", help="images, e.g. CIFAR-10")
    parser.add_argument("--strategies", nargs="*", default=["auto"], help="of ours")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of a full training")
    parser.add_argument("--workers", type=int, default=2, help="of ours")
    parser.add_argument("--out", type=Path, help="file that gets a line of JSON a search")
    parser.add_argument("--summary", type=Path, nargs="+", help="such files: run nothing")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--single", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = parse()
    if arguments.single:
        print(json.dumps(measure(Options(**json.loads(arguments.single)))))
        return
    if arguments.quick:
        arguments.peers, arguments.seeds = arguments.peers[:1], arguments.seeds[:1]
        arguments.minutes, arguments.epochs = 25 / 60, 3
    if arguments.summary:
        lines = [line for path in arguments.summary for line in path.read_text().splitlines()]
        print(json.dumps(summarise(map(json.loads, lines))))
        return
    runs = []
    searchers = [*(STOCK + peer for peer in arguments.peers), *arguments.strategies]
    for seed in arguments.seeds:
        for searcher in searchers:
            options = Options(
                searcher,
                seed,
                arguments.minutes,
                arguments.epochs,
                1 if searcher.startswith(STOCK) else arguments.workers,
                arguments.folder,
            )
            command = [sys.executable, __file__, "--single", json.dumps(vars(options))]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            line = done.stdout.splitlines()[-1]
            runs.append(json.loads(line))
            if arguments.out:
                with arguments.out.open("a") as file:
                    file.write(line + "\n")
            print(f"seed {seed}, {searcher}: {final(runs[-1]):.1%}", file=sys.stderr, flush=True)
    print(json.dumps(summarise(runs)))


if __name__ == "__main__":
    main()
