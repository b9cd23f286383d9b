"""A search on a Ray cluster: how long it takes, and whether nodes can be removed and added.

A cluster of one head, which runs no trials, and two nodes of one processor each, all on this
machine. 24 configurations of a small CNN, drawn at random from the same seed, without pruning; each
takes about five seconds, so that no worker waits long for the other at the end:

1. in this process, one after the other, with one thread: the reference results;
2. with two worker processes;
3. on the cluster's two nodes: the time from the start of the first trial to the end of the last
   one, relative to 2. In both, workers have imported TensorFlow before; in 2 there is no cluster
   yet;
4. again on the cluster; when a quarter of the trials have ended, a node is removed in the middle of
   an epoch, and another one is added.

The results of each are compared with those of 1. A callback records every epoch, which shows trials
that were lost or trained to their end twice. Needs the extra `ray`; Linux only. Takes less than
seven minutes on two free processors; `--quick` runs 8 short configurations. The last line is one
JSON object; the exit status is 1 if a check fails.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# As the workers have: with more, sums are added up in another order.
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import keras
import keras_tuner
import numpy as np
import pandas as pd
import ray
from ray.cluster_utils import Cluster

import kt_tuning as ktt

IMAGES, QUICK_IMAGES = 4000, 1000
SHAPE = (32, 32, 3)
FILTERS = 16
STORE = 200 * 2**20
"""Bytes of each node's object store: 200 MiB."""
LIMIT = 0.15
"""How much longer than with processes it may take."""
BEGIN, END = "begin", "end"
TOLERANCE = 1e-5
"""Of scores, relative."""


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """A small CNN whose name tells the trials apart."""
    rate = hp.Float("rate", 1e-4, 1e-2, sampling="log")
    model = keras.Sequential(
        [
            keras.Input(SHAPE, dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(FILTERS, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(2 * FILTERS, 3, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name=f"rate_{rate!r}".replace(".", "_").replace("-", "_"),
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


class Noting(keras.callbacks.Callback):
    """Writes a line at the beginning and at the end of every epoch.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._write(epoch, BEGIN)

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self._write(epoch, END)

    def _write(self, epoch: int, what: str) -> None:
        note = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "here"
        os.write(note, f"{self.model.name} {epoch} {what} {node}\n".encode())
        os.close(note)


class Search:
    """The same search again and again, each time elsewhere.

    Args:
        folder: Parent of the run directories.
        data: What to train on.
        trials: Configurations.
        epochs: Of each.
    """

    def __init__(self, folder: Path, data: ktt.ImageData, trials: int, epochs: int) -> None:
        self._folder = folder
        self._data = data
        self._trials = trials
        self._epochs = epochs

    def run(self, name: str, workers: Any) -> pd.DataFrame:
        """Its results."""
        tuner = ktt.Tuner(
            build,
            strategy="random",
            pruner="none",
            max_trials=self._trials,
            epochs=self._epochs,
            recipe=ktt.Recipe(batch_size=64, augment="none"),
            directory=self._folder,
            project_name=name,
            seed=1,
        )
        noting = Noting(self._folder / f"{name}.epochs")
        print(f"{name} …", file=sys.stderr, flush=True)
        tuner.search(self._data, workers=workers, callbacks=[noting], verbose=False)
        return tuner.results()

    def seconds(self, name: str) -> float:
        """From the beginning of the first trial to the end of the last one."""
        records = self._records(name)
        ends = [record["began"] + record["seconds"] for record in records]
        return float(max(ends) - min(record["began"] for record in records))

    def ended(self, name: str) -> int:
        """Trials that have ended."""
        return len(self._records(name))

    def epochs_begun(self, name: str, node: str | None = None) -> int:
        """Epochs that have begun, on a node or anywhere."""
        lines = [line for line in self._lines(name) if line[2] == BEGIN]
        return sum(node in (None, line[3]) for line in lines)

    def check(self, name: str, table: pd.DataFrame, expected: pd.DataFrame) -> dict[str, bool]:
        """The checks, by name, and whether each holds."""
        ends = collections.Counter(
            model
            for model, epoch, what, _ in self._lines(name)
            if int(epoch) == self._epochs - 1 and what == END
        )
        columns = [column for column in expected if column != "seconds"]
        try:
            pd.testing.assert_frame_equal(table[columns], expected[columns], rtol=TOLERANCE)
            same = True
        except AssertionError as error:
            print(error, file=sys.stderr)
            same = False
        return {
            "all trials completed": list(table["status"]) == ["COMPLETED"] * self._trials,
            "none finished twice": len(ends) == self._trials and set(ends.values()) == {1},
            "the serial table": same,
        }

    def _records(self, name: str) -> list[dict[str, Any]]:
        paths = (self._folder / name).glob("trial_*/result.json")
        return [json.loads(path.read_text()) for path in paths]

    def _lines(self, name: str) -> list[list[str]]:
        path = self._folder / f"{name}.epochs"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def started_cluster() -> Iterator[tuple[Cluster, list[Any]]]:
    """A head without processors, and two nodes with one each."""
    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster, [add_node(cluster) for _ in range(2)]
    finally:
        cluster.shutdown()


def add_node(cluster: Cluster) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=STORE)


def swap_nodes(search: Search, name: str, cluster: Cluster, node: Any, after: int) -> None:
    """Remove a node where an epoch has just begun, and add another one."""
    while search.ended(name) < after:
        time.sleep(0.02)
    begun = search.epochs_begun(name, node.node_id)
    while search.epochs_begun(name, node.node_id) == begun:
        time.sleep(0.005)
    cluster.remove_node(node, allow_graceful=False)
    add_node(cluster)


def make_data(count: int) -> ktt.ImageData:
    """Pixels that say little about their labels; a quarter more for validation."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, count + count // 4)
    noise = rng.integers(0, 128, (len(labels), *SHAPE))
    images = (noise + 12 * labels[:, None, None, None]).astype(np.uint8)
    train, rest = (images[:count], labels[:count]), (images[count:], labels[count:])
    return ktt.ImageData.from_arrays(*train, validation=rest, test=rest)


def main() -> int:
    """Measure, check and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    trials, epochs, images = (8, 2, QUICK_IMAGES) if quick else (24, 4, IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        search = Search(Path(folder), make_data(images), trials, epochs)
        expected = search.run("serial", 1)
        tables = {"processes": search.run("processes", 2)}
        with started_cluster() as (cluster, nodes):
            workers = ktt.Ray(cluster.address)
            tables["ray"] = search.run("ray", workers)
            # Nodes come from the main thread only.
            with ThreadPoolExecutor() as aside:
                swapped = aside.submit(search.run, "swap", workers)
                swap_nodes(search, "swap", cluster, nodes[0], trials // 4)
                tables["swap"] = swapped.result()
        checks = {name: search.check(name, table, expected) for name, table in tables.items()}
        seconds = {name: search.seconds(name) for name in ("serial", *tables)}
        begun = {name: search.epochs_begun(name) for name in ("serial", *tables)}
    overhead = seconds["ray"] / seconds["processes"] - 1
    checks["swap"]["a trial was interrupted"] = begun["swap"] > trials * epochs
    print(f"{trials} trials of {epochs} epochs")
    print(f"{'':12}{'seconds':>10}{'epochs':>10}")
    for name, spent in seconds.items():
        print(f"{name:12}{spent:10.1f}{begun[name]:10}")
    print(f"Ray over processes: {overhead:+.1%}")
    for name, rules in checks.items():
        for rule, holds in rules.items():
            print(f"  {name:12}{rule:28}{'yes' if holds else 'NO'}")
    figures = {"seconds": seconds, "epochs begun": begun, "overhead": overhead, "checks": checks}
    print(json.dumps({"quick": quick, "python": sys.version.split()[0], **figures}))
    failed = [rule for rules in checks.values() for rule, holds in rules.items() if not holds]
    return int(bool(failed) or (not quick and overhead > LIMIT))


if __name__ == "__main__":
    sys.exit(main())
