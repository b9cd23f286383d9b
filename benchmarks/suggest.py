"""How long strategies take to suggest configurations, and how good these are.

A synthetic space of 6 floats in [0, 1], 6 integers in 0...10 and 6 three-way choices, whose cost
is sum (f - 0.3)^2 + 0.1 sum |i - 4| + 0.2 (choices that are not 'b'); its minimum is 0.

    python benchmarks/suggest.py [--quick] [--peer]
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras_tuner
import numpy as np
import optuna

from kt_tuning.search.distributions import SearchSpace
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.samplers.base import from_unit

TRIALS = 100
BIG_STUDY = 2_000
QUICK_STUDY = 500
STRATEGIES = ("random", "qmc", "tpe", "gp", "genetic", "evolution")
OBJECTIVE = keras_tuner.Objective("cost", "min")


def space() -> keras_tuner.HyperParameters:
    hp = keras_tuner.HyperParameters()
    for index in range(6):
        hp.Float(f"f{index}", 0.0, 1.0)
        hp.Int(f"i{index}", 0, 10)
        hp.Choice(f"c{index}", ["a", "b", "c"])
    return hp


def cost(values: dict[str, Any]) -> float:
    return sum(
        (values[f"f{index}"] - 0.3) ** 2
        + 0.1 * abs(values[f"i{index}"] - 4)
        + 0.2 * (values[f"c{index}"] != "b")
        for index in range(6)
    )


def search(oracle: keras_tuner.Oracle, trials: int) -> dict[str, float]:
    """Run trials; seconds spent in `create_trial`, in the other calls, and the best cost."""
    suggesting, recording, best = 0.0, 0.0, float("inf")
    for _ in range(trials):
        began = time.perf_counter()
        trial = oracle.create_trial("tuner")
        suggested = time.perf_counter()
        value = cost(trial.hyperparameters.values)
        oracle.update_trial(trial.trial_id, {"cost": value})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        suggesting += suggested - began
        recording += time.perf_counter() - suggested
        best = min(best, value)
    return {"suggest_s": suggesting, "record_s": recording, "best": best}


def in_directory(oracle: keras_tuner.Oracle, directory: str, name: str) -> keras_tuner.Oracle:
    """As a tuner does it: KerasTuner's files for both, and the study in SQLite for ours."""
    oracle._set_project_dir(directory, name)
    return oracle


def ours(strategy: str, seed: int, directory: str) -> dict[str, float]:
    """The strategy by itself in memory, then on disk as in a search."""
    options: dict[str, Any] = {"objective": OBJECTIVE, "seed": seed, "defaults_first": False}
    memory = search(OptunaOracle(strategy, hyperparameters=space(), **options), TRIALS)
    if seed:
        return memory
    oracle = OptunaOracle(strategy, hyperparameters=space(), **options)
    disk = search(in_directory(oracle, directory, strategy), TRIALS)
    return {**memory, "disk_suggest_s": disk["suggest_s"], "disk_record_s": disk["record_s"]}


def fill(directory: str, count: int) -> Path:
    """A study on disk with finished trials, drawn at random."""
    oracle = OptunaOracle("random", objective=OBJECTIVE, hyperparameters=space(), seed=0)
    in_directory(oracle, directory, "filled")
    parameters = SearchSpace(space().space).parameters
    distributions = {p.name: p.distribution for p in parameters if p.distribution is not None}
    rng = np.random.default_rng(0)
    for _ in range(count):
        values = {name: from_unit(d, rng.random()) for name, d in distributions.items()}
        trial = optuna.create_trial(params=values, distributions=distributions, value=cost(values))
        oracle.study.add_trial(trial)
    return Path(directory) / "filled"


def big_study(strategy: str, filled: Path) -> float:
    """Milliseconds, median of 9, to suggest after all those trials, on disk."""
    name = f"{strategy}-big"
    shutil.copytree(filled, filled.parent / name)
    oracle = OptunaOracle(
        strategy, objective=OBJECTIVE, hyperparameters=space(), seed=0, defaults_first=False
    )
    in_directory(oracle, str(filled.parent), name).reload()
    return 1e3 * statistics.median(search(oracle, 1)["suggest_s"] for _ in range(9))


def stock(trials: int, directory: str) -> dict[str, float]:
    """KerasTuner's own Bayesian optimization."""
    oracle = keras_tuner.oracles.BayesianOptimizationOracle(
        objective=OBJECTIVE, max_trials=trials, hyperparameters=space(), seed=1
    )
    oracle.verbose = 0
    return search(in_directory(oracle, directory, "stock"), trials)


def bare_optuna(directory: str | None) -> dict[str, float]:
    """Optuna's TPE in a loop of one's own, in memory or with its storage for SQLite."""
    storage = None if directory is None else f"sqlite:///{directory}/bare.db"
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, group=True)
    study = optuna.create_study(storage=storage, sampler=sampler)
    suggesting, recording = 0.0, 0.0
    for _ in range(TRIALS):
        began = time.perf_counter()
        trial = study.ask()
        for index in range(6):
            trial.suggest_float(f"f{index}", 0.0, 1.0)
            trial.suggest_int(f"i{index}", 0, 10)
            trial.suggest_categorical(f"c{index}", ["a", "b", "c"])
        suggested = time.perf_counter()
        study.tell(trial, cost(trial.params))
        suggesting += suggested - began
        recording += time.perf_counter() - suggested
    return {"suggest_s": suggesting, "record_s": recording, "best": study.best_value}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything: two minutes")
    parser.add_argument("--peer", action="store_true", help="Optuna's and KerasTuner's, minutes")
    options = parser.parse_args()
    # As in a search: collections pass over what TensorFlow has loaded.
    gc.freeze()
    seeds = range(2 if options.quick else 10)
    big_count = QUICK_STUDY if options.quick else BIG_STUDY
    results: dict[str, Any] = {
        "trials": TRIALS,
        "seeds": len(seeds),
        "cores": os.cpu_count(),
        "big_trials": big_count,
    }
    print(f"{TRIALS} trials, medians over {len(seeds)} seeds; on disk: seed 0 with SQLite")
    heads = ("suggest s", "best cost", "on disk s", "record s", f"ms at {big_count:,}")
    print(f"{'strategy':<26}" + "".join(f"{head:>13}" for head in heads))
    with tempfile.TemporaryDirectory() as directory:
        with quiet():
            filled = fill(directory, big_count)
        for strategy in STRATEGIES:
            with quiet():
                runs = [ours(strategy, seed, directory) for seed in seeds]
                big = big_study(strategy, filled)
            row = {
                "suggest_s": statistics.median(run["suggest_s"] for run in runs),
                "best": statistics.median(run["best"] for run in runs),
                "disk_suggest_s": runs[0]["disk_suggest_s"],
                "disk_record_s": runs[0]["disk_record_s"],
                "big_ms": big,
            }
            results[strategy] = {name: round(value, 4) for name, value in row.items()}
            print(
                f"{strategy:<26}" + "".join(f"{value:>13.3f}" for value in row.values()), flush=True
            )
        if options.peer:
            with quiet():
                memory, disk = bare_optuna(None), bare_optuna(directory)
            results["optuna_tpe"] = {"memory": memory, "disk": disk}
            figures = (memory["suggest_s"], memory["best"], disk["suggest_s"], disk["record_s"])
            print(f"{'Optuna TPE, seed 0':<26}" + "".join(f"{each:>13.3f}" for each in figures))
            trials = 60 if options.quick else TRIALS
            with quiet():
                run = stock(trials, directory)
            results["keras_tuner_bayesian"] = {"trials": trials, **run}
            name = "KerasTuner Bayesian" + (f" ({trials})" if trials != TRIALS else "")
            figures = (f"{run['suggest_s']:>13.3f}", f"{run['best']:>13.3f}", " " * 13)
            print(f"{name:<26}" + "".join(figures) + f"{run['record_s']:>13.3f}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
