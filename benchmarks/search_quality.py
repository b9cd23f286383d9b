"""What searches find in equal time: stock KerasTuner and kt-tuning, on the same search space.

Each search has the same minutes on the same 4,000 training and 1,000 validation images, in a
process of its own; its clock starts when the tuner is made. The same callback records for all when
each epoch ended and its score on the validation images. The results are the time that each search
needs to reach the final accuracy of the best stock strategy, and the accuracy on the test images of
the model that each search chooses by its validation score. The table has medians and ranges over
the seeds; the order is reversed from seed to seed.

    python benchmarks/search_quality.py --folder cifar10/ --minutes 10 --out runs.jsonl
    python benchmarks/search_quality.py --folder cifar10/ --peers --minutes 3.3333 --out …
    python benchmarks/search_quality.py --summary runs.jsonl …

Rows of kt-tuning: `auto` with its defaults and `--workers` workers; "defaults alone", only the
space's default configuration; and `auto` and `random` without what KerasTuner does not have, that
is, in one process, in float32 and without the defaults as first trial. For comparison: a beginner's
network alone, and a KerasTuner search of its own space around it, see `_beginner.py`.

kt-tuning can be given less time than the stock strategies, in a call of its own; shares of the time
are relative to the time of the stock strategies.

`--folder` contains train/<class>/*.jpg and test/<class>/*.jpg, such as CIFAR-10; without it, images
of stripes are made. `--quick` runs one stock strategy and one of kt-tuning for 25 seconds each.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
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
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import _beginner
import keras
import keras_tuner
import numpy as np

import kt_tuning as ktt
from kt_tuning.search import OptunaOracle

TRAIN, VALIDATION, TEST = 4000, 1000, 10_000
SHAPE, CLASSES = (32, 32, 3), 10
BATCH_SIZE = 64
EPOCHS = 12
PEERS = ("RandomSearch", "Hyperband", "BayesianOptimization")
STOCK = "keras_tuner."
DEFAULTS = "defaults alone"
HARNESS = ", one worker, float32, no defaults"
OURS = ("auto", DEFAULTS, f"auto{HARNESS}", f"random{HARNESS}")


@dataclasses.dataclass(frozen=True)
class Options:
    """One search.

    Attributes:
        searcher: "keras_tuner." and one of `PEERS`; one of `_beginner.NAMES`; `DEFAULTS`; or a
            strategy, or strategy+pruner, of ours, with `HARNESS` behind it or not.
        seed: Seed of the search.
        minutes: Its time.
        epochs: Of a full training.
        workers: Worker processes, of ours.
        folder: Of images, or None.
    """

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


class Clock(keras.callbacks.Callback):
    """Writes down when each epoch ended, and what it scored; it may run in any process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch, logs=None):
        with self._path.open("a") as file:
            file.write(f"{time.time()} {logs['val_accuracy']}\n")


def images(folder: str | None) -> ktt.ImageData:
    """Return as many images as are needed, always the same ones, in random order."""
    rng = np.random.default_rng(0)
    count = TRAIN + VALIDATION
    if folder is None:
        x, y = striped(count, rng)
        test = striped(VALIDATION, rng)
    else:
        data = ktt.load_images(folder, image_size=SHAPE[:2], channels=SHAPE[2], progress=False)
        splits = (data.train, data.validation)
        labels = np.concatenate([split.labels for split in splits])
        chosen = rng.permutation(len(labels))[:count]
        x = np.concatenate([split.images for split in splits])[chosen]
        y = labels[chosen]
        rows = np.arange(min(TEST, len(data.test)))
        test = data.test.take(rows), data.test.labels[rows]
    validation = (x[TRAIN:], y[TRAIN:])
    return ktt.ImageData.from_arrays(x[:TRAIN], y[:TRAIN], validation=validation, test=test)


def striped(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy stripes; the class is their direction."""
    labels = rng.integers(0, CLASSES, count)
    angle = (labels * np.pi / CLASSES)[:, None, None]
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    wave = np.sin(x * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, 6, (count, 1, 1)))
    noisy = 128 + 40 * wave[..., None] + rng.normal(0, 20, (count, *SHAPE))
    return noisy.clip(0, 255).astype(np.uint8), labels


def stock(
    options: Options, arrays: _beginner.Arrays, directory: Path, log: Path, until: float
) -> _beginner.Found:
    """Search with a tuner of KerasTuner's."""
    return _beginner.search(
        options.searcher.removeprefix(STOCK),
        arrays,
        until,
        options.seed,
        directory,
        epochs=options.epochs,
        hypermodel=build,
        batch_size=BATCH_SIZE,
        patience=None,
        callbacks=[Clock(log)],
    )


def ours(
    options: Options, data: ktt.ImageData, directory: Path, log: Path, until: float
) -> _beginner.Found:
    """Search with kt-tuning."""
    alike = options.searcher.endswith(HARNESS)
    strategy, _, pruner = options.searcher.removesuffix(HARNESS).partition("+")
    chosen: Any = "auto" if strategy == DEFAULTS else strategy
    if alike:
        chosen = OptunaOracle(
            strategy,
            objective="val_accuracy",
            seed=options.seed,
            pruner=pruner or None,
            epochs=options.epochs,
            defaults_first=False,
        )
    tuner = ktt.Tuner(
        build,
        strategy=chosen,
        pruner=None if alike else pruner or None,
        max_trials=1 if strategy == DEFAULTS else None,
        epochs=options.epochs,
        recipe=ktt.Recipe(
            batch_size=BATCH_SIZE, augment="none", precision="float32" if alike else "auto"
        ),
        seed=options.seed,
        directory=directory,
    )
    tuner.search(
        data,
        time_limit=until - time.time(),
        workers=1 if alike else options.workers,
        verbose=False,
        callbacks=[Clock(log)],
    )
    results = tuner.results()
    return _beginner.Found(tuner.best_model(), float(results["val_accuracy"].max()), len(results))


def measure(options: Options) -> dict[str, object]:
    """Run a search: when each better epoch ended, in seconds, and what it scored."""
    data = images(options.folder)
    arrays = _beginner.Arrays.of(data)
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "epochs.txt"
        log.touch()
        began = time.time()
        until = began + 60 * options.minutes
        if is_stock(vars(options)):
            found = stock(options, arrays, Path(directory), log, until)
        elif options.searcher in _beginner.NAMES:
            found = _beginner.run(
                options.searcher, arrays, until, options.seed, Path(directory), [Clock(log)]
            )
        else:
            found = ours(options, data, Path(directory), log, until)
        epochs = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
        test = found.test(arrays)
    curve: list[tuple[float, float]] = []
    for ended, score in sorted(epochs):
        if ended <= until and (not curve or score > curve[-1][1]):
            curve.append((round(ended - began, 1), round(score, 4)))
    results = {"trials": found.trials, "epochs_trained": len(epochs), "curve": curve}
    results |= {"test": round(test, 4), "chosen_validation": round(found.validation, 4)}
    return {**dataclasses.asdict(options), "cores": os.cpu_count(), **results}


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
        groups.setdefault(title(run), []).append(run)
    finals = {name: statistics.median(map(final, group)) for name, group in groups.items()}
    target = max((finals[name] for name in groups if name.startswith(STOCK)), default=math.nan)
    columns = ("seeds", "trials", "best", "test", "range", "target", "of the time")
    print(f"{'':66}" + "".join(f"{name:>17}" for name in columns))
    rows = {}
    for name, group in sorted(groups.items(), key=lambda item: -finals[item[0]]):
        reached = statistics.median(seconds_to(run, target) for run in group)
        share = reached / (60 * next(iter(stock_minutes), group[0]["minutes"]))
        trials = statistics.median(run["trials"] for run in group)
        tests = [run["test"] for run in group]
        cells = [f"{len(group)}", f"{trials:.0f}", f"{finals[name]:.1%}"]
        cells += [f"{statistics.median(tests):.1%}", f"{min(tests):.1%} – {max(tests):.1%}"]
        cells += [f"{reached:.0f} s", f"{share:.0%}"] if math.isfinite(reached) else ["never"]
        print(f"{name:66}" + "".join(f"{cell:>17}" for cell in cells))
        rows[name] = {
            "seeds": sorted(run["seed"] for run in group),
            "minutes": group[0]["minutes"],
            "trials": trials,
            "best": finals[name],
            "test": statistics.median(tests),
            "tests": tests,
            "seconds_to_target": reached if math.isfinite(reached) else None,
        }
    return {"target": None if math.isnan(target) else target, "searches": rows}


def title(run: dict) -> str:
    """Return the name of a search in the table."""
    name = run["searcher"]
    if is_stock(run) or name in _beginner.NAMES:
        return name
    workers = "" if name.endswith(HARNESS) else f", workers={run['workers']}"
    return f"kt_tuning {name}{workers}, {run['minutes']:.3g} min"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", help="images, e.g. CIFAR-10")
    parser.add_argument("--strategies", nargs="*", default=list(OURS), help="of ours")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    _beginner.add_option(parser)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
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
        arguments.strategies = arguments.strategies[-1:]
        arguments.beginner = arguments.beginner[:1]
        arguments.minutes, arguments.epochs = 25 / 60, 3
    if arguments.summary:
        lines = [line for path in arguments.summary for line in path.read_text().splitlines()]
        print(json.dumps(summarise(map(json.loads, lines))))
        return
    runs = []
    searchers = [*(STOCK + peer for peer in arguments.peers), *arguments.beginner]
    searchers += arguments.strategies
    for number, seed in enumerate(arguments.seeds):
        for searcher in searchers[::-1] if number % 2 else searchers:
            options = Options(
                searcher,
                seed,
                arguments.minutes,
                arguments.epochs,
                arguments.workers if searcher in arguments.strategies else 1,
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
