"""Twelve scripts under KerasTuner, and with the import changed to kt_tuning.

The scripts are those of `tests/kt_tuning/tuners/test_scripts.py`, on a larger table and for more
epochs. Each is run with KerasTuner, with kt_tuning, and with kt_tuning and `workers=2`; the seconds
are those of `tuner.search` alone. Scripts that override `run_trial`, or train on a
`tf.data.Dataset`, cannot use workers. `--quick` takes a small table.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# First the packages: in `tests` there are folders of their names.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "tests"))
sys.path.append(str(Path(__file__).parents[1] / "tests/kt_tuning/tuners"))

import keras_tuner
import small_tables
import test_scripts as scripts

import kt_tuning

IN_PROCESS = (scripts.black_box, scripts.scikit_learn, scripts.endless_validation)
"""Scripts that run in one process."""


def enlarge_tables(rows: int) -> None:
    """Have the scripts train on `rows` rows and validate on half as many."""

    def table(count: int = rows, seed: int = 0) -> Any:
        return small_tables.small_table(max(count, rows), seed)

    scripts.TRAIN, scripts.VALIDATION = table(), small_tables.small_table(rows // 2, seed=1)
    scripts.small_table = table


@contextlib.contextmanager
def timed_search(owner: Any, epochs: int, **options: Any) -> Iterator[list[float]]:
    """Time the method `search` of a class, with `epochs` times the epochs and further options."""
    spent: list[float] = []
    search: Callable[..., None] = owner.search

    @functools.wraps(search)
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        if "epochs" in kwargs:
            kwargs["epochs"] *= epochs
        began = time.perf_counter()
        search(self, *args, **kwargs, **options)
        spent.append(time.perf_counter() - began)

    owner.search = call
    try:
        yield spent
    finally:
        owner.search = search


def measure(script: Callable[..., Any], epochs: int) -> list[float | None]:
    """Return the seconds of the searches of a script: KerasTuner, kt_tuning, two workers."""
    runs: list[tuple[Any, Any, dict[str, Any]]] = [
        (keras_tuner, keras_tuner.engine.base_tuner.BaseTuner, {}),
        (kt_tuning, kt_tuning.Tuner, {}),
        (kt_tuning, kt_tuning.Tuner, {"workers": 2}),
    ]
    found: list[float | None] = []
    for package, owner, options in runs:
        if options and script in IN_PROCESS:
            found.append(None)
            continue
        with (
            tempfile.TemporaryDirectory() as folder,
            timed_search(owner, epochs, **options) as spent,
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            script(package, Path(folder))
        found.append(sum(spent))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    enlarge_tables(1000 if quick else 30_000)
    # The first training in a process includes the start of TensorFlow.
    small_tables.dense(keras_tuner.HyperParameters()).fit(*small_tables.TRAIN, verbose=0)
    seconds = {}
    print(f"{'':24}{'keras_tuner':>12}{'kt_tuning':>12}{'2 workers':>12}")
    for script in scripts.SCRIPTS:
        found = measure(script, epochs=1 if quick else 4)
        seconds[script.__name__] = found
        shown = ["-" if value is None else f"{value:.1f}" for value in found]
        print(f"{script.__name__:24}{shown[0]:>12}{shown[1]:>12}{shown[2]:>12}", flush=True)
    several = [found for found in seconds.values() if found[2] is not None]
    sums = [sum(filter(None, column)) for column in zip(*several, strict=True)]
    print(f"{'sum of those with all':24}{sums[0]:12.1f}{sums[1]:12.1f}{sums[2]:12.1f}")
    print(json.dumps({"quick": quick, "seconds": seconds}))


if __name__ == "__main__":
    main()
