"""Whether the memory of a search grows: resident memory after 60 trials, relative to 10 trials.

60 trials of a small CNN, each with another configuration, on 512 images of 32×32×3: kt-tuning in
one process, kt-tuning with two workers, and `keras_tuner.RandomSearch`, each in a fresh process.
Linux only: the figures are VmRSS of /proc. The ratio should be at most 1.1 for kt-tuning. `--quick`
compares 12 trials with 4.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RUNS = ("kt_tuning, serial", "kt_tuning, 2 workers", "keras_tuner")
TARGET = 1.1
MEBIBYTE = 2**10  # /proc counts in KiB


def resident() -> dict[str, float]:
    """MiB of this process, and of each process that it has started."""
    found = {}
    children = []
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = path.read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = dict(line.split(":", 1) for line in lines)
        # What has just ended has no memory left.
        if "VmRSS" not in fields:
            continue
        size = int(fields["VmRSS"].split()[0]) / MEBIBYTE
        if int(fields["Pid"]) == os.getpid():
            found["parent"] = size
        elif int(fields["PPid"]) == os.getpid():
            children.append((int(fields["Pid"]), size))
    for number, (_, size) in enumerate(sorted(children)):
        found[f"worker {number}"] = size
    return found


def measure(run: str, trials: tuple[int, int]) -> list[dict[str, float]]:
    """Search in this process; `resident()` after each number of trials."""
    import keras
    import keras_tuner
    import numpy as np

    import kt_tuning as ktt

    measured = []

    class Measuring(keras_tuner.Tuner):
        """Looks at the memory between trials."""

        ended = 0

        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            self.ended += 1
            if self.ended in trials:
                measured.append(resident())

    class Ours(Measuring, ktt.Tuner):
        pass

    class Stock(Measuring, keras_tuner.RandomSearch):
        pass

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        model = keras.Sequential(
            [keras.Input((32, 32, 3), dtype="uint8"), keras.layers.Rescaling(1 / 255)]
        )
        for stage in range(hp.Int("stages", 1, 3)):
            filters = hp.Int("filters", 8, 32, step=4) << stage
            model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
            model.add(keras.layers.MaxPooling2D())
        model.add(keras.layers.GlobalAveragePooling2D())
        model.add(keras.layers.Dense(10, activation="softmax"))
        rate = hp.Float("rate", 1e-4, 1e-2, sampling="log")
        loss = "sparse_categorical_crossentropy"
        model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
        return model

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (640, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, len(images))
    train, validation = (images[:512], labels[:512]), (images[512:], labels[512:])
    with tempfile.TemporaryDirectory() as folder:
        if run == "keras_tuner":
            tuner = Stock(
                build, objective="val_accuracy", max_trials=trials[1], seed=0, directory=folder
            )
            tuner.search(*train, validation_data=validation, epochs=1, batch_size=64, verbose=0)
        else:
            data = ktt.ImageData.from_arrays(*train, validation=validation, test=validation)
            recipe = ktt.Recipe(batch_size=64, augment="none")
            ours = Ours(
                build, strategy="random", max_trials=trials[1], recipe=recipe, directory=folder
            )
            workers = 2 if "workers" in run else 1
            ours.search(data, epochs=1, workers=workers, verbose=False)
    return measured


def main() -> int:
    """Measure and print; the exit status says whether the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--run", choices=RUNS, help="measure this one, in this process")
    arguments = parser.parse_args()
    trials = (4, 12) if arguments.quick else (10, 60)
    if arguments.run:
        print(json.dumps(measure(arguments.run, trials)))
        return 0
    rows = []
    print(f"MiB resident{'':24}{f'trial {trials[0]}':>10}{f'trial {trials[1]}':>10}{'ratio':>8}")
    for run in RUNS:
        command = [sys.executable, __file__, *sys.argv[1:], "--run", run]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        early, late = json.loads(done.stdout.splitlines()[-1])
        for process in early:
            ratio = late[process] / early[process]
            rows.append({"run": run, "process": process, "ratio": ratio})
            rows[-1] |= {"early": early[process], "late": late[process]}
            label = f"{run}, {process}" if process != "parent" else run
            print(f"{label:36}{early[process]:10.0f}{late[process]:10.0f}{ratio:8.2f}")
    worst = max(row["ratio"] for row in rows if row["run"] != "keras_tuner")
    print(f"{'ours at worst':56}{worst:8.2f}  (claim: {TARGET} at most)")
    figures = {"quick": arguments.quick, "trials": trials, "worst": worst, "target": TARGET}
    print(json.dumps({**figures, "rows": rows, "python": sys.version.split()[0]}))
    return int(worst > TARGET)


if __name__ == "__main__":
    sys.exit(main())
