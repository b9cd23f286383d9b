"""What `kill -9` costs: a search of 12 trials, killed at 20 random instants and restarted.

A process of its own searches, in itself (`serial`) or with two workers; this script kills it, or
one of its workers, at random instants, and starts it again whenever it is gone. Serial searches
lose 20 parents, parallel ones 10 parents and 10 workers in turn. Then the search runs to its end,
and is checked:

* a result that was written once is there for good, byte for byte;
* no trial is trained to its end twice (a callback notes every epoch in a file);
* the table has 12 completed rows, and every trial its files;
* `study.db` is sound, with 12 finished trials.

Linux only. `--quick` kills 4 times. The last line is one JSON object; the exit status is 1 if a
check fails.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import csv
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

TRIALS = 12
EPOCHS = 10
LONGEST = 14.0
"""Seconds, at most, from one kill to the next: longer than workers take to start."""
PAUSE = 1.5
"""Seconds before each epoch, so that there is something left to kill to the last."""
PATIENCE = 600
"""Seconds in which any single step ends."""
WORKER = "kt_tuning.execution.worker"


def search(folder: Path, workers: int, pause: float) -> None:
    """What is killed: a search, with `pause` seconds before each epoch."""
    import keras
    import keras_tuner
    import numpy as np

    import kt_tuning as ktt

    class Noting(keras.callbacks.Callback):
        """Writes a line an epoch, at its end."""

        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            time.sleep(pause)

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            note = os.open(folder / "epochs", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(note, f"{self.model.name} {epoch}\n".encode())
            os.close(note)

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        units, rate = hp.Int("units", 2, 64), hp.Float("rate", 1e-3, 1e-1, sampling="log")
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1), dtype="uint8"),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Flatten(),
                keras.layers.Dense(units, activation="relu"),
                keras.layers.Dense(2, activation="softmax"),
            ],
            # Tells the trials apart.
            name=f"units_{units}_rate_{rate!r}".replace(".", "_").replace("-", "_"),
        )
        loss = "sparse_categorical_crossentropy"
        model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
        return model

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (600, 8, 8, 1), dtype=np.uint8)
    data = ktt.ImageData.from_arrays(images, (images.mean((1, 2, 3)) > 127).astype(int))
    (folder / "awake").touch()
    tuner = ktt.Tuner(
        build,
        strategy="random",
        max_trials=TRIALS,
        epochs=EPOCHS,
        recipe=ktt.Recipe(augment="none"),
        directory=folder,
        project_name="run",
        seed=1,
    )
    tuner.search(data, workers=workers, callbacks=[Noting()], verbose=False)
    tuner.results().to_csv(folder / "results.csv")


class Victim:
    """A search in a process of its own that can be killed.

    Args:
        folder: Where it works.
        workers: Of the search.
        pause: Seconds before each epoch.
    """

    def __init__(self, folder: Path, workers: int, pause: float) -> None:
        self._awake = folder / "awake"
        self._awake.unlink(missing_ok=True)
        with open(folder / "log", "ab") as log:
            command = [sys.executable, __file__, "--search", str(folder)]
            self._process = subprocess.Popen(
                [*command, "--workers", str(workers), "--pause", str(pause)], stderr=log
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def wait_until_awake(self) -> None:
        """Wait until its imports are over."""
        while self.alive and not self._awake.exists():
            time.sleep(0.01)

    def kill(self) -> bool:
        """Kill it; whether there was something to kill."""
        self._process.kill()
        return self._process.wait(PATIENCE) == -signal.SIGKILL

    def kill_worker(self, rng: random.Random) -> bool:
        """Kill one of its workers, as soon as there are any; False if there will be none."""
        while self.alive:
            if workers := _workers(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    return True
            time.sleep(0.01)
        return False

    def wait(self) -> int:
        """Its exit status, in the end."""
        return self._process.wait(PATIENCE)


def _workers(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # "pid (name) state parent …", where the name may hold spaces.
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) != parent:
                continue
            if WORKER in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return sorted(found)


def results(folder: Path) -> dict[str, bytes]:
    """What finished trials have written, by folder."""
    return {path.parent.name: path.read_bytes() for path in folder.glob("run/trial_*/result.json")}


def torment(folder: Path, workers: int, kills: int, rng: random.Random) -> dict[str, int]:
    """Kill and restart a search; how many of each were killed and how many results changed."""
    counts = {"parents": 0, "workers": 0, "changed": 0}
    kept: dict[str, bytes] = {}
    victim = None
    while counts["parents"] + counts["workers"] < kills:
        if victim is None or not victim.alive:
            victim = Victim(folder, workers, PAUSE)
            victim.wait_until_awake()
        time.sleep(rng.uniform(0, LONGEST))
        # In turn, so that no parent sees two workers killed: a trial has one retry.
        kind = "workers" if workers > 1 and counts["workers"] < counts["parents"] else "parents"
        hit = victim.kill() if kind == "parents" else victim.kill_worker(rng)
        if not hit:
            # It has ended, or failed, before its time: the checks will tell.
            break
        counts[kind] += 1
        now = results(folder)
        counts["changed"] += sum(now.get(name) != content for name, content in kept.items())
        kept = now
    if victim is not None and victim.alive:
        victim.kill()
    if Victim(folder, workers, pause=0.0).wait() != 0:
        print((folder / "log").read_text()[-2000:], file=sys.stderr)
    now = results(folder)
    counts["changed"] += sum(now.get(name) != content for name, content in kept.items())
    return counts


def check(folder: Path, kills: int, counts: dict[str, int]) -> dict[str, bool]:
    """The checks, by name, and whether each holds."""
    run = folder / "run"
    lines = [line.split() for line in (folder / "epochs").read_text().splitlines()]
    ends = collections.Counter(name for name, epoch in lines if int(epoch) == EPOCHS - 1)
    rows = []
    if (folder / "results.csv").exists():
        with open(folder / "results.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    statuses = [row["status"] for row in rows]
    files = ("result.json", "history.csv", "model.weights.h5", "val_predictions.npy")
    whole = [all((trial / name).exists() for name in files) for trial in run.glob("trial_*")]
    with contextlib.closing(sqlite3.connect(run / "study.db")) as study:
        (integrity,) = study.execute("pragma integrity_check").fetchone()
        states = [state for (state,) in study.execute("select state from trials")]
    return {
        "killed as often as meant": counts["parents"] + counts["workers"] == kills,
        "results kept": counts["changed"] == 0,
        "no trial trained twice": len(ends) == TRIALS and set(ends.values()) == {1},
        "table complete": statuses == ["COMPLETED"] * TRIALS,
        "files complete": whole == [True] * TRIALS,
        "study sound": integrity == "ok",
        "study complete": states == ["COMPLETE"] * TRIALS,
    }


def main() -> int:
    """Kill, check and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("--search", type=Path, metavar="FOLDER", help="be the one who is killed")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.0)
    arguments = parser.parse_args()
    if arguments.search:
        search(arguments.search, arguments.workers, arguments.pause)
        return 0
    kills = 4 if arguments.quick else 20
    figures = {}
    for name, workers in (("serial", 1), ("2 workers", 2)):
        rng = random.Random(arguments.seed)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            counts = torment(folder, workers, kills, rng)
            checks = check(folder, kills, counts)
            epochs = len((folder / "epochs").read_text().splitlines())
        spent = time.perf_counter() - began
        figures[name] = {**counts, **checks, "epochs": epochs, "seconds": spent}
        print(
            f"{name}: {counts['parents']} parents and {counts['workers']} workers killed, "
            f"{epochs} epochs trained of {TRIALS * EPOCHS}, {spent:.0f} s"
        )
        for rule, holds in checks.items():
            print(f"  {rule:28}{'yes' if holds else 'NO'}")
    print(json.dumps({"quick": arguments.quick, "seed": arguments.seed, **figures}))
    return int(not all(value is not False for run in figures.values() for value in run.values()))


if __name__ == "__main__":
    sys.exit(main())
