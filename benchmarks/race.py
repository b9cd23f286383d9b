"""kt-tuning, KerasTuner, Optuna, AutoKeras and a beginner's network in the same time.

Each tool has the same seconds on the same cores for the same images, in a process of its own, one
after the other; the order is reversed from seed to seed. The clock starts with the process, so
imports count. Each tool chooses a model by the validation images with its own procedure; the
accuracies of these models on the test images are compared. Test images are used once for each tool
and seed.

- kt-tuning: `kt-tuning run` with its defaults. Evaluation, export and report are part of its time;
  the others are tested after their time. Two more rows leave out what the others do not have: no
  pre-trained network; and also only one worker and float32.
- KerasTuner: a search around the beginner's network by each of three strategies, with early
  stopping, and `get_best_models`, as its guides say. Hyperband also searches `FineTune` of
  `hypermodels`, with the same pre-trained network that kt-tuning has; with photos only.
- Optuna: the same space in a bare Keras loop, TPE with the Hyperband pruner, which Optuna's
  documentation recommends together; early stopping, and the weights of the best epoch.
- AutoKeras: `ImageClassifier` with its defaults, where it is installed. Version 3.0 builds no
  classifier with Keras 3.15, which refuses its numbers of units: `--autokeras PYTHON` names the
  interpreter of an environment with AutoKeras and an older Keras.
- The beginner's network alone (see `_beginner.py`), trained until the time is up; its best epoch.

    python benchmarks/race.py --cifar10 cifar10/ --photos flowers/ --seconds 180 --out race.jsonl
    python benchmarks/race.py --sets digits drawn --tools kt-tuning Optuna --seeds 0 1 2 --table
    python benchmarks/race.py --quick

Sets: `cifar10`, 4,000 training and 1,000 validation images of the folder; `digits`, scikit-learn's,
8×8; `drawn`, 60,000 distorted digits of 28×28 pixels, which resemble MNIST; `photos`, a folder.
With photos, kt-tuning gets the files and chooses a size; the others get decoded arrays of
`--photo-size` pixels, in the same split. A folder contains train/<class>/*.jpg and
test/<class>/*.jpg.

`--out` keeps each result in a file; results that it contains are not measured again. `--table`
prints the table in Markdown. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

SECONDS = 180.0
SEEDS = (0, 1, 2)
SETS = ("cifar10", "digits", "drawn", "photos")
CIFAR10_IMAGES = 5000
"""A fifth of them to validate on."""
LONGEST = 4.0
"""Of the time, after which a process that has not ended is stopped, plus a minute."""

NO_BACKBONE = (
    "import hypermodels.backbones as found; found.at_hand = dict; "
    "from kt_tuning.cli import main; main()"
)
"""The command line, as where no package with a pre-trained network is installed."""
COMMAND_LINES: dict[str, list[str]] = {
    "kt-tuning": ["-m", "kt_tuning.cli", "run"],
    "kt-tuning, no backbone": ["-c", NO_BACKBONE, "run"],
    "kt-tuning, no backbone, one worker, float32": [
        *("-c", NO_BACKBONE, "run", "--workers", "1", "--precision", "float32")
    ],
}
STRATEGIES = ("RandomSearch", "BayesianOptimization", "Hyperband")
KERAS_TUNER = tuple(f"KerasTuner, {strategy}" for strategy in STRATEGIES)
FINE_TUNE = "KerasTuner, Hyperband, backbone"
OPTUNA, AUTO_KERAS, BEGINNER = "Optuna", "AutoKeras", "beginner's network"
TOOLS = (*COMMAND_LINES, *KERAS_TUNER, FINE_TUNE, OPTUNA, AUTO_KERAS, BEGINNER)
QUICK_TOOLS = ("kt-tuning, no backbone", KERAS_TUNER[0], BEGINNER)


@dataclasses.dataclass(frozen=True)
class Task:
    """One tool on one set of images.

    Attributes:
        set_name: One of `SETS`.
        tool: One of `TOOLS`.
        seed: Of the split and of the tool.
        seconds: Time from the start of the process.
    """

    set_name: str
    tool: str
    seed: int
    seconds: float


def run_command_line(task: Task, source: Path, directory: Path) -> dict[str, Any]:
    """Run `kt-tuning`; return what it measured on the test images."""
    out = directory / "run"
    command = [sys.executable, *COMMAND_LINES[task.tool], str(source), "--out", str(out)]
    command += ["--time-limit", f"{task.seconds}s", "--seed", str(task.seed), "--quiet"]
    finish(command, task.seconds)
    scores = json.loads((out / "scores.json").read_text())
    trials = [json.loads(path.read_text()) for path in out.glob("trial_*/result.json")]
    scored = [trial["metrics"].get("val_accuracy") or 0.0 for trial in trials]
    return {
        "test": scores["metrics"]["accuracy"]["value"],
        "validation": max(scored, default=None),
        "trials": len(trials),
    }


def run_peer(task: Task, arrays: Path, directory: Path, python: str) -> dict[str, Any]:
    """Run another tool in a process of its own, by an interpreter; return its result."""
    asked = {"tool": task.tool, "seed": task.seed, "until": time.time() + task.seconds}
    asked |= {"arrays": str(arrays), "directory": str(directory)}
    output = finish([python, __file__, "--single", json.dumps(asked)], task.seconds)
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def finish(command: list[str], seconds: float) -> str:
    """Run a command to its end; return its output.

    Raises:
        RuntimeError: if it fails, or takes far too long.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LONGEST * seconds + 60, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"not finished after {error.timeout:.0f} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(lines[-1])
    return done.stdout


def single(asked: dict[str, Any]) -> dict[str, Any]:
    """Search in this process until the time is up, and test the model."""
    import _beginner
    import _peers

    with np.load(asked["arrays"]) as file:
        parts = ((file[f"x_{name}"], file[f"y_{name}"]) for name in ("train", "val", "test"))
        arrays = _beginner.Arrays(*parts)
    tool, until, seed = asked["tool"], asked["until"], asked["seed"]
    directory = Path(asked["directory"])
    if tool == BEGINNER:
        found = _beginner.train(arrays, until, seed, directory)
    elif tool == FINE_TUNE:
        from hypermodels import FineTune

        hypermodel = FineTune(arrays.shape, arrays.classes)
        found = _beginner.search("Hyperband", arrays, until, seed, directory, hypermodel=hypermodel)
    elif tool == OPTUNA:
        found = _peers.search_optuna(arrays, until, seed, directory)
    elif tool == AUTO_KERAS:
        found = _peers.search_auto_keras(arrays, until, seed, directory)
    else:
        strategy = tool.removeprefix("KerasTuner, ")
        found = _beginner.search(strategy, arrays, until, seed, directory)
    return {
        "test": found.test(arrays),
        "validation": float(found.validation),
        "trials": found.trials,
    }


def loaders(options: argparse.Namespace) -> dict[str, Callable[[int], Any]]:
    """Return, for each set that can be had, a function of the seed that loads its images."""
    import _image_sets

    found: dict[str, Callable[[int], Any]] = {
        "digits": lambda seed: _image_sets.digits(seed),
        "drawn": lambda seed: _image_sets.drawn_digits(seed=seed),
    }
    if options.cifar10:
        found["cifar10"] = _image_sets.folder(options.cifar10, limit=CIFAR10_IMAGES, size=32)
    if options.photos:
        found["photos"] = _image_sets.folder(options.photos, size=options.photo_size)
    return {name: found[name] for name in SETS if name in found and name in options.sets}


def order(set_name: str, tools: tuple[str, ...], seed: int) -> list[str]:
    """Return the tools of a set in their order, which is reversed from seed to seed."""
    fitting = [tool for tool in tools if set_name == "photos" or tool != FINE_TUNE]
    return fitting[::-1] if seed % 2 else fitting


def measure(task: Task, options: argparse.Namespace, arrays: Path) -> dict[str, Any]:
    """Run one tool; a tool that fails has a message and no accuracy."""
    began = time.time()
    with tempfile.TemporaryDirectory() as directory:
        try:
            if task.tool in COMMAND_LINES:
                source = options.photos if task.set_name == "photos" else arrays
                found = run_command_line(task, source, Path(directory))
            else:
                python = options.autokeras if task.tool == AUTO_KERAS else sys.executable
                found = run_peer(task, arrays, Path(directory), python)
        except RuntimeError as error:
            found = {"test": None, "message": str(error)}
    wall = round(time.time() - began, 1)
    return {**dataclasses.asdict(task), **found, "wall": wall, "cores": os.cpu_count()}


def race(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run every tool on every set with every seed; results in `--out` are taken from there."""
    import _image_sets

    known: list[dict[str, Any]] = []
    if options.out and options.out.exists():
        known = [json.loads(line) for line in options.out.read_text().splitlines()]
    fields = [field.name for field in dataclasses.fields(Task)]
    done = {tuple(row[name] for name in fields): row for row in known}
    rows = []
    for set_name, load in loaders(options).items():
        for seed in options.seeds:
            tasks = [
                Task(set_name, tool, seed, options.seconds)
                for tool in order(set_name, options.tools, seed)
            ]
            with tempfile.TemporaryDirectory() as directory:
                arrays = Path(directory) / "images.npz"
                for task in tasks:
                    key = dataclasses.astuple(task)
                    if key not in done:
                        if not arrays.exists():
                            _image_sets.save_arrays(load(seed), arrays)
                        done[key] = measure(task, options, arrays)
                        note(done[key], options.out)
                    rows.append(done[key])
    return rows


def note(row: dict[str, Any], out: Path | None) -> None:
    """Say a result, and keep it."""
    result = row.get("message") or f"{row['test']:.2%}"
    print(f"{row['set_name']}, seed {row['seed']}, {row['tool']}: {result}", file=sys.stderr)
    if out:
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")


def summarise(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return set -> tool -> median and range of the test accuracy over seeds, best tool first."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for set_name, tool in dict.fromkeys((row["set_name"], row["tool"]) for row in rows):
        own = [row for row in rows if (row["set_name"], row["tool"]) == (set_name, tool)]
        tested = [row["test"] for row in own if row["test"] is not None]
        table.setdefault(set_name, {})[tool] = {
            "median": statistics.median(tested) if tested else None,
            "least": min(tested, default=None),
            "most": max(tested, default=None),
            "seeds": len(tested),
            "failed": len(own) - len(tested),
            "messages": sorted({row["message"] for row in own if "message" in row}),
            "trials": statistics.median(row.get("trials", 0) for row in own),
            "wall": statistics.median(row["wall"] for row in own),
        }
    return {
        set_name: dict(sorted(tools.items(), key=lambda item: -(item[1]["median"] or 0.0)))
        for set_name, tools in table.items()
    }


def show(table: dict[str, dict[str, dict[str, Any]]], *, markdown: bool) -> None:
    """Print a table of each set."""
    header = ("tool", "test accuracy", "range", "seeds", "trials", "wall-clock")
    for set_name, tools in table.items():
        rows = []
        for tool, found in tools.items():
            accuracy, span = "failed", ""
            if found["median"] is not None:
                accuracy = f"{found['median']:.2%}"
                span = f"{found['least']:.2%} to {found['most']:.2%}"
            cells = [tool, accuracy, span, str(found["seeds"]), f"{found['trials']:.0f}"]
            rows.append([*cells, f"{found['wall']:.0f} s"])
        if markdown:
            print(f"\n**{set_name}**\n")
            for cells in (header, ["---"] * len(header), *rows):
                print(f"| {' | '.join(cells)} |")
        else:
            print(f"\n{set_name}")
            for cells in (header, *rows):
                print(f"{cells[0]:46}" + "".join(f"{cell:>19}" for cell in cells[1:3]), end="")
                print("".join(f"{cell:>12}" for cell in cells[3:]))


def parse() -> argparse.Namespace:
    """Return the options, completed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cifar10", type=Path, help="folder of CIFAR-10; without it, left out")
    parser.add_argument("--photos", type=Path, help="folder of photos; without it, left out")
    parser.add_argument("--photo-size", type=int, default=128, help="pixels, for the peers")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--autokeras", default=sys.executable, help="interpreter with AutoKeras")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each tool")
    parser.add_argument("--out", type=Path, help="file that gets a line of JSON a result")
    parser.add_argument("--table", action="store_true", help="print Markdown")
    parser.add_argument("--quick", action="store_true", help="digits, three tools, 40 s each")
    parser.add_argument("--single", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.sets, options.tools, options.seeds = ("digits",), QUICK_TOOLS, (0,)
        options.seconds = 40.0
    return options


def has_auto_keras(python: str) -> bool:
    """Return whether an interpreter has AutoKeras."""
    code = "import importlib.util; raise SystemExit(importlib.util.find_spec('autokeras') is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def main() -> None:
    """Measure and print."""
    options = parse()
    if options.single:
        print(json.dumps(single(json.loads(options.single))))
        return
    if AUTO_KERAS in options.tools and not has_auto_keras(options.autokeras):
        print("AutoKeras is not installed and is left out.", file=sys.stderr)
        options.tools = tuple(tool for tool in options.tools if tool != AUTO_KERAS)
    table = summarise(race(options))
    show(table, markdown=options.table)
    machine = {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "date": time.strftime("%F"),
    }
    print(json.dumps({"seconds": options.seconds, "machine": machine, "sets": table}))


if __name__ == "__main__":
    main()
