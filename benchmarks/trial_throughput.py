"""The overhead of a search: the same trials under KerasTuner and under kt-tuning.

Two cases, with a small CNN on 2,048 images of 32×32×3 in float32: 24 configurations of 3 epochs
each, and 4 of 30 epochs each. The same oracle gives the same list of configurations to KerasTuner's
own `Tuner` and to kt-tuning's, in one process; then to kt-tuning with two workers. They take turns
`--rounds` times, in another order each time; medians and ranges. `--quick` runs 6 configurations
for 2 epochs once.

`--fsync N` measures the cost of results that survive a power loss: a search of kt-tuning N times
with fsync and N times without, in turn, and the seconds that are spent in fsync.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np

import kt_tuning as ktt

IMAGES = 2048
CASES = ((24, 3), (4, 30))
"""Configurations and epochs."""
QUICK = ((6, 2),)
SHAPE = (32, 32, 3)


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """A small CNN, the kind that searches are made of."""
    model = keras.Sequential([keras.Input(SHAPE, dtype="uint8"), keras.layers.Rescaling(1 / 255)])
    for stage in range(hp.Int("stages", 1, 3)):
        model.add(
            keras.layers.Conv2D(hp.Choice("filters", [8, 16, 32]) << stage, 3, padding="same")
        )
        model.add(keras.layers.Activation(hp.Choice("activation", ["relu", "tanh"])))
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Float("rate", 1e-4, 1e-2, sampling="log")
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


class Listed(keras_tuner.Oracle):
    """Hands out a given list of configurations."""

    def __init__(self, configurations: list[dict[str, object]]) -> None:
        super().__init__(objective="val_accuracy", max_trials=len(configurations))
        self._configurations = configurations

    def populate_space(self, trial_id: str) -> dict[str, object]:
        return {"status": "RUNNING", "values": dict(self._configurations[int(trial_id)])}


def draw(count: int) -> list[dict[str, object]]:
    """Random configurations, the same in every run."""
    rng = np.random.default_rng(0)
    return [
        {
            "stages": int(rng.integers(1, 4)),
            "filters": int(rng.choice([8, 16, 32])),
            "activation": str(rng.choice(["relu", "tanh"])),
            "rate": float(10 ** rng.uniform(-4, -2)),
        }
        for _ in range(count)
    ]


@contextlib.contextmanager
def timed_fsync(*, skipped: bool) -> Iterator[list[float]]:
    """Yield the seconds of each fsync of this process in the block; it may be left out."""
    real, spent = os.fsync, []

    def timed(descriptor: int) -> None:
        began = time.perf_counter()
        if not skipped:
            real(descriptor)
        spent.append(time.perf_counter() - began)

    os.fsync = timed
    try:
        yield spent
    finally:
        os.fsync = real


def measure_fsync(search: Callable[[Path], None], rounds: int) -> dict[str, float]:
    """Search in turn with and without fsync; return the medians of the seconds and the calls."""
    with_fsync, without, inside, calls = [], [], [], 0
    for number in range(2 * rounds):
        skipped = bool(number % 2)
        with tempfile.TemporaryDirectory() as folder, timed_fsync(skipped=skipped) as spent:
            began = time.perf_counter()
            search(Path(folder))
            (without if skipped else with_fsync).append(time.perf_counter() - began)
        if not skipped:
            inside.append(sum(spent))
            calls = len(spent)
    found = {
        "with fsync": statistics.median(with_fsync),
        "without": statistics.median(without),
        "inside fsync": statistics.median(inside),
    }
    found["share inside"] = found["inside fsync"] / found["with fsync"]
    found["ratio"] = found["with fsync"] / found["without"]
    return {**found, "calls": calls, "rounds": rounds}


def take_turns(searches: dict[str, Callable[[Path], None]], rounds: int) -> dict[str, list[float]]:
    """Run each search once a round; return the seconds that each took."""
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    order = list(searches)
    for _ in range(rounds):
        for name in order:
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                searches[name](Path(folder))
                seconds[name].append(time.perf_counter() - began)
        order = order[1:] + order[:1]
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fsync", type=int, metavar="N", help="measure the cost of fsync")
    options = parser.parse_args()
    rounds, cases = (1, QUICK) if options.quick else (options.rounds, CASES)

    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (IMAGES + IMAGES // 4, *SHAPE), dtype=np.uint8)
    labels = rng.integers(0, 10, len(images))
    train, validation = (images[:IMAGES], labels[:IMAGES]), (images[IMAGES:], labels[IMAGES:])
    data = ktt.ImageData.from_arrays(*train, validation=validation, test=validation)

    def stock(directory: Path, trials: int, epochs: int) -> None:
        tuner = keras_tuner.Tuner(Listed(draw(trials)), build, directory=directory)
        arguments = {"validation_data": validation, "epochs": epochs, "batch_size": 64}
        tuner.search(*train, **arguments, verbose=0)

    def ours(directory: Path, trials: int, epochs: int, workers: int) -> None:
        recipe = ktt.Recipe(batch_size=64, augment="none", precision="float32")
        tuner = ktt.Tuner(build, strategy=Listed(draw(trials)), recipe=recipe, directory=directory)
        tuner.search(data, epochs=epochs, workers=workers, verbose=False)
        assert len(tuner.results()) == trials

    # The first trial of a process pays for TensorFlow's own start, whichever tool it is of.
    build(keras_tuner.HyperParameters()).fit(*train, verbose=0)
    if options.fsync:
        trials, epochs = cases[0]
        found = measure_fsync(lambda directory: ours(directory, trials, epochs, 1), options.fsync)
        for name, number in found.items():
            print(f"{name:24}{number:10.4g}")
        print(json.dumps({"quick": options.quick, "fsync": found}))
        return
    results = []
    for trials, epochs in cases:
        case = {"trials": trials, "epochs": epochs}
        searches = {
            "keras_tuner": functools.partial(stock, **case),
            "kt_tuning, serial": functools.partial(ours, **case, workers=1),
            "kt_tuning, 2 workers": functools.partial(ours, **case, workers=2),
        }
        seconds = take_turns(searches, rounds)
        medians = {name: statistics.median(spent) for name, spent in seconds.items()}
        print(f"{trials} configurations × {epochs} epochs, {IMAGES} images")
        print(f"{'':24}{'seconds':>10}{'range':>18}{'ratio':>10}")
        for name, spent in seconds.items():
            span = f"{min(spent):.1f} to {max(spent):.1f}"
            ratio = medians["keras_tuner"] / medians[name]
            print(f"{name:24}{medians[name]:10.1f}{span:>18}{ratio:10.2f}")
        results.append({**case, "seconds": seconds})
    python = sys.version.split()[0]
    print(json.dumps({"quick": options.quick, "cases": results, "python": python}))


if __name__ == "__main__":
    main()
