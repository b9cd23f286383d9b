"""A whole run that is killed, and stopped by Ctrl-C, at random instants, and started again.

A separate process searches with workers, combines the trials, evaluates and exports. This script
sends SIGKILL to it or to one of its workers in turn, or SIGINT to it and its workers as a terminal
does, at an instant that is uniformly distributed over the length of a run, and starts it again,
until it ends. Then the next run begins, until the requested number of instants is reached. These
conditions are checked after each instant and at the end of each run:

* a result that has been written is never changed again, byte for byte;
* no trial has failed, and none is trained to its end twice (a callback notes every epoch);
* each run has all trials with their files, a sound `study.db`, scores, and one export.

Linux only. `--quick` takes 4 and 2 instants. The last line is one JSON object; the exit status is 1
if a check fails.

    python benchmarks/kill.py --kills 60 --interrupts 40
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

TRIALS = 4
EPOCHS = 3
PAUSE = 0.3
"""Seconds before each epoch: with less, most instants would be before or after the training."""
PATIENCE = 600
"""Seconds in which any single step ends."""
POLL = 0.05
WORKER = "kt_tuning.execution.worker"
FILES = ("result.json", "history.csv", "model.weights.h5", "val_predictions.npy")


def work(folder: Path, workers: int) -> None:
    """Do the job that is killed: search, combine, evaluate and export."""
    import keras
    import keras_tuner
    import numpy as np

    import kt_tuning as kt

    class Notes(keras.callbacks.Callback):
        """Writes a line per epoch, at its end."""

        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            time.sleep(PAUSE)

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
    images = rng.integers(0, 256, (200, 8, 8, 1), dtype=np.uint8)
    data = kt.ImageData.from_arrays(images, (images.mean((1, 2, 3)) > 127).astype(int))
    (folder / "ready").touch()
    tuner = kt.Tuner(
        build,
        strategy="random",
        max_trials=TRIALS,
        epochs=EPOCHS,
        recipe=kt.Recipe(augment="none"),
        directory=folder,
        project_name="run",
        seed=1,
    )
    tuner.search(data, workers=workers, callbacks=[Notes()], verbose=False)
    tuner.evaluate(tuner.ensemble(), bootstrap=10)
    tuner.export(format="keras")
    tuner.results().to_csv(folder / "results.csv")


class Victim:
    """The job in a process group of its own.

    Args:
        folder: Where it works.
        workers: Of the search.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self._ready = folder / "ready"
        self._ready.unlink(missing_ok=True)
        with open(folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--work", str(folder), "--workers", str(workers)],
                stderr=log,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait until its imports are over."""
        while self.alive and not self._ready.exists():
            time.sleep(0.01)

    def strike(self, kind: str, rng: random.Random) -> bool:
        """Send a signal; return whether there was something to send it to."""
        if kind == "worker":
            return self._kill_worker(rng)
        if not self.alive:
            return False
        if kind == "parent":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGINT)
        return self.wait() == -(signal.SIGKILL if kind == "parent" else signal.SIGINT)

    def _kill_worker(self, rng: random.Random) -> bool:
        """Kill a worker, as soon as there is one; return False if there will be none."""
        while self.alive:
            if workers := _workers(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    return True
            time.sleep(0.01)
        return False

    def wait(self) -> int:
        """Return its exit status, in the end."""
        # Polls and not the clock: the machine may be suspended.
        for _ in range(round(PATIENCE / POLL)):
            if not self.alive:
                return self._process.wait()
            time.sleep(POLL)
        raise TimeoutError(f"the job runs for more than {PATIENCE} seconds")


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


class Run:
    """One run, from its first start to its end.

    Args:
        folder: Its folder.
        workers: Of the search.

    Attributes:
        faults: What is wrong, by rule.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder, self._workers = folder, workers
        self._results: dict[str, bytes] = {}
        self.faults: collections.Counter[str] = collections.Counter()

    def torment(self, kinds: list[str], length: float, rng: random.Random) -> int:
        """Strike at random instants, one of each of `kinds`, until the run ends; return how often.

        Args:
            kinds: "parent", "worker" and "interrupt", in this order; one worker a start, as a
                trial whose process has died twice has failed.
            length: Seconds of a run.
            rng: Of the instants.
        """
        struck = 0
        while not (self._folder / "results.csv").exists():
            victim = Victim(self._folder, self._workers)
            victim.wait_until_ready()
            began = time.perf_counter()
            while struck < len(kinds) and victim.alive:
                kind = kinds[struck]
                time.sleep(max(0.0, began + rng.uniform(0, length) - time.perf_counter()))
                if not victim.strike(kind, rng):
                    break
                struck += 1
                self._compare()
                if kind == "worker" and struck < len(kinds) and kinds[struck] == "worker":
                    break
            if (status := victim.wait()) not in (0, -signal.SIGKILL, -signal.SIGINT):
                self.faults[f"exit status {status}"] += 1
                print((self._folder / "log").read_text()[-2000:], file=sys.stderr)
                break
        self._compare()
        self._check()
        return struck

    def _compare(self) -> None:
        """Compare the results with those before."""
        run = self._folder / "run"
        now = {path.parent.name: path.read_bytes() for path in run.glob("trial_*/result.json")}
        for name, content in self._results.items():
            self.faults["finished trial lost or changed"] += now.get(name) != content
        self._results = now
        failed = [name for name, text in now.items() if json.loads(text)["status"] != "COMPLETED"]
        failed += [str(path) for path in run.glob("trial_*/failed_*.json")]
        self.faults["trial failed"] += len(failed)

    def _check(self) -> None:
        """Check a run that has ended."""
        run = self._folder / "run"
        notes = self._folder / "epochs"
        notes.touch()
        lines = [line.split() for line in notes.read_text().splitlines()]
        ends = collections.Counter(name for name, epoch in lines if int(epoch) == EPOCHS - 1)
        self.faults["trial trained twice"] += sum(count - 1 for count in ends.values())
        statuses = []
        with contextlib.suppress(FileNotFoundError):
            text = (self._folder / "results.csv").read_text(encoding="utf-8")
            statuses = [row["status"] for row in csv.DictReader(text.splitlines())]
        whole = [all((trial / name).exists() for name in FILES) for trial in run.glob("trial_*")]
        with contextlib.closing(sqlite3.connect(run / "study.db")) as study:
            (integrity,) = study.execute("pragma integrity_check").fetchone()
            states = [state for (state,) in study.execute("select state from trials")]
        # A kill between making and locking a folder leaves an empty one, for a minute.
        exports = [path for path in (run / "export/keras").glob("*") if any(path.iterdir())]
        self.faults["table incomplete"] += statuses != ["COMPLETED"] * TRIALS
        self.faults["files incomplete"] += whole != [True] * TRIALS
        self.faults["study damaged"] += integrity != "ok"
        self.faults["study incomplete"] += states != ["COMPLETE"] * TRIALS
        self.faults["scores missing"] += not (run / "scores.json").exists()
        self.faults["not one export"] += [path.name for path in exports] != ["1"]


def torment(kinds: list[str], workers: int, rng: random.Random) -> dict[str, object]:
    """Strike as often as asked for in as many runs as that takes; return what was counted."""
    began = time.perf_counter()
    length, runs, done = 0.0, 0, 0
    faults: collections.Counter[str] = collections.Counter()
    while done < len(kinds) or not runs:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            if not length:
                victim = Victim(folder, workers)
                victim.wait_until_ready()
                ready = time.perf_counter()
                victim.wait()
                length = time.perf_counter() - ready
                continue
            run = Run(folder, workers)
            done += run.torment(kinds[done:], length, rng)
            runs += 1
            faults += run.faults
            print(
                f"{runs} runs, {done} of {len(kinds)} instants, faults: {dict(faults)}", flush=True
            )
    counts = collections.Counter(kinds[:done])
    return {
        **counts,
        "runs": runs,
        "faults": dict(faults),
        "length": length,
        "seconds": time.perf_counter() - began,
    }


def main() -> int:
    """Kill, check and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--kills", type=int, default=60, help="instants of SIGKILL")
    parser.add_argument("--interrupts", type=int, default=40, help="instants of SIGINT")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="be the one who is killed")
    arguments = parser.parse_args()
    # A shell's background jobs ignore Ctrl-C, and so would the processes that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if arguments.work:
        work(arguments.work, arguments.workers)
        return 0
    kills, interrupts = (4, 2) if arguments.quick else (arguments.kills, arguments.interrupts)
    victims = ["parent", "worker"] if arguments.workers > 1 else ["parent"]
    plans = {
        "SIGKILL": [victims[number % len(victims)] for number in range(kills)],
        "SIGINT": ["interrupt"] * interrupts,
    }
    figures = {}
    for name, kinds in plans.items():
        if kinds:
            counted = torment(kinds, arguments.workers, random.Random(arguments.seed))
            figures[name] = counted
            print(f"{name}: {counted}")
    print(json.dumps({"quick": arguments.quick, "seed": arguments.seed, **figures}))
    return int(any(counted["faults"] for counted in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
