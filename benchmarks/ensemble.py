"""How fast and how good the weights of an ensemble are.

Speed: 50 members x 10,000 rows x 10 classes, in processor time of one thread; `convex` against
SciPy's SLSQP, with exact gradients on each member's probability of the true class, and as it is
usually written, on all predictions and without gradients. The gap is an upper bound of the
difference to the lowest possible log-loss.

Choice: cross-fitted log-loss of `auto`, which chooses a solver for each fold without using that
fold, compared with each solver. The members are simulated, with near-duplicates, useless and
overfitted ones; with --run they are those of a finished search. A solver ties with `auto` if the
difference is within one standard error. The last column is the log-loss on 20,000 new rows.

    python benchmarks/ensemble.py [--quick] [--run DIRECTORY ...]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
from threadpoolctl import threadpool_limits

from kt_tuning.ensembling import SOLVERS, join_candidates, read_candidates, solve
from kt_tuning.ensembling.calibration import CALIBRATIONS, softmax
from kt_tuning.ensembling.problem import Problem
from kt_tuning.ensembling.solve import CANDIDATES
from kt_tuning.ensembling.solvers import convex_weights, greedy_weights
from kt_tuning.evaluation import score

CLASSES = 10
SPEED = (50, 10_000)
QUICK_SPEED = (50, 2_000)
ROWS, QUICK_ROWS = 2_000, 500
FRESH = 20_000


def make_members(kinds: dict[str, int], rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (K, rows, 10) and labels; errors are shared in part, as those of networks are.

    Kinds: "good" members of varied skill; "copy" of the first good one, but for a little noise;
    "useless" ones that guess, and are sure; "overfitted" ones that are good, and sure of all.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=rows)
    truth = np.eye(CLASSES)[labels]
    hard = rng.normal(size=(rows, CLASSES))
    first = 2.0 * truth + hard + rng.normal(size=(rows, CLASSES))
    logits = []
    for kind, count in kinds.items():
        for index in range(count):
            own = rng.normal(size=(rows, CLASSES))
            skill, heat = rng.uniform(1.0, 2.2), rng.uniform(0.7, 1.4)
            logits.append(
                {
                    "good": heat * (first if index == 0 else skill * truth + hard + own),
                    "copy": first + 0.1 * own,
                    "useless": 2.0 * own,
                    "specialist": 2.5 * truth * (rng.random(CLASSES) < 0.5) + hard + own,
                    "overfitted": 4.0 * (skill * truth + hard + 1.5 * own),
                }[kind]
            )
    return np.stack([softmax(member) for member in logits]), labels


SETS = {
    "good only": {"good": 10},
    "near-duplicates": {"good": 6, "copy": 24},
    "useless": {"good": 6, "useless": 24},
    "overfitted": {"good": 6, "overfitted": 12},
    "specialists": {"good": 2, "specialist": 10},
    "all kinds": {"good": 6, "copy": 10, "useless": 10, "overfitted": 10},
}


# Speed


def slsqp_exact(of_truth: np.ndarray) -> np.ndarray:
    members, rows = of_truth.shape

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixture = weights @ of_truth
        return -np.log(mixture).mean(), -(of_truth @ (1 / mixture)) / rows

    return scipy.optimize.minimize(
        loss,
        np.full(members, 1 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * members,
        constraints={
            "type": "eq",
            "fun": lambda weights: weights.sum() - 1,
            "jac": lambda weights: np.ones(members),
        },
        options={"ftol": 1e-12, "maxiter": 1000},
    ).x


def slsqp_as_written(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    members, rows, _ = predictions.shape

    def loss(weights: np.ndarray) -> float:
        mixture = np.tensordot(weights, predictions, axes=1)
        return -np.log(np.clip(mixture[np.arange(rows), labels], 1e-7, 1)).mean()

    return scipy.optimize.minimize(
        loss,
        np.full(members, 1 / members),
        method="SLSQP",
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    ).x


def gap(weights: np.ndarray, of_truth: np.ndarray) -> float:
    """An upper bound of what the log-loss is above its minimum, in nats (duality)."""
    shares = np.maximum(weights, 0) / np.maximum(weights, 0).sum()
    return float((of_truth @ (1 / (shares @ of_truth))).max() / of_truth.shape[1] - 1)


def speed(shape: tuple[int, int], repeats: int) -> dict[str, Any]:
    members, rows = shape
    kinds = {"good": members - 30, "copy": 10, "useless": 10, "overfitted": 10}
    predictions, labels = make_members(kinds, rows, seed=0)
    problem = Problem(predictions, labels)
    of_truth = problem.of_truth
    rng = np.random.default_rng(0)
    contestants: dict[str, Callable[[], np.ndarray]] = {
        "convex": lambda: convex_weights(of_truth)[0],
        "SLSQP, exact gradients": lambda: slsqp_exact(of_truth),
        "SLSQP, as users write it": lambda: slsqp_as_written(predictions, labels),
        "greedy, 50 rounds, 20 bags": lambda: greedy_weights(problem, rng, rounds=50, bags=20),
        "greedy, 50 rounds": lambda: greedy_weights(problem, rng, rounds=50, bags=1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    elapsed: dict[str, list[float]] = {name: [] for name in contestants}
    found = {}
    # In turns, so that what else the machine does falls on all of them; and with one thread, as
    # those of OpenBLAS wait for each other, which on a busy machine makes SLSQP 20 times slower.
    with threadpool_limits(1):
        for _ in range(repeats):
            for name, run in contestants.items():
                began, used = time.perf_counter(), time.process_time()
                found[name] = run()
                seconds[name].append(time.process_time() - used)
                elapsed[name].append(time.perf_counter() - began)
    print(f"{members} members x {rows:,} rows x {CLASSES} classes, medians of {repeats}")
    print(f"{'':<28}{'CPU s':>9}{'wall s':>9}{'log-loss':>11}{'gap, nats':>12}")
    results: dict[str, Any] = {"members": members, "rows": rows}
    for name, weights in found.items():
        row = {
            "seconds": statistics.median(seconds[name]),
            "wall_seconds": statistics.median(elapsed[name]),
            "log_loss": problem.cost(weights / weights.sum()),
            "gap": gap(weights, of_truth),
        }
        results[name] = row
        print(
            f"{name:<28}{row['seconds']:>9.4f}{row['wall_seconds']:>9.4f}{row['log_loss']:>11.6f}"
            f"{row['gap']:>12.1e}"
        )
    for name in ("SLSQP, exact gradients", "SLSQP, as users write it"):
        ratio = results[name]["seconds"] / results["convex"]["seconds"]
        results[f"convex faster than {name}"] = round(ratio, 1)
        print(f"convex is {ratio:.1f} times as fast as {name}")
    return results


# Choice


def choice(
    predictions: np.ndarray,
    labels: np.ndarray,
    fresh: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Measure `auto` and every solver; see the module."""
    began = time.perf_counter()
    found = solve(predictions, labels)
    seconds = time.perf_counter() - began
    others = [
        name
        for name in SOLVERS
        if name not in CANDIDATES and (name != "cmaes" or importlib.util.find_spec("cmaes"))
    ]
    solutions = {name: solve(predictions, labels, solver=name) for name in [*CANDIDATES, *others]}
    solutions["auto"] = found
    print(
        f"{'':<14}{'members':>8}{'cross-fitted':>14}{'over auto':>11}{'error':>9}{'fresh rows':>12}"
    )
    rows: dict[str, Any] = {}
    for name, solution in solutions.items():
        losses = log_losses(solution.predictions, labels)
        away = losses - log_losses(found.predictions, labels)
        row = {
            "members": len(solution.combination.kept()),
            "cross_fitted": float(losses.mean()),
            "over_auto": float(away.mean()),
            "error": float(away.std() / np.sqrt(len(away))),
        }
        if fresh is not None:
            predicted = solution.combination.predict(fresh[0])
            row["fresh"] = score(fresh[1], predicted, ["log_loss"])["log_loss"]
        rows[name] = row
        print(
            f"{name:<14}{row['members']:>8}{row['cross_fitted']:>14.4f}{row['over_auto']:>11.4f}"
            f"{row['error']:>9.4f}" + (f"{row['fresh']:>12.4f}" if fresh else "")
        )
    alone = {name: row for name, row in rows.items() if name != "auto"}
    best = min(alone, key=lambda name: alone[name]["cross_fitted"])
    summary = {
        "chosen": found.solver,
        "seconds": seconds,
        "best_alone": best,
        "cost_of_choosing": rows["auto"]["cross_fitted"] - alone[best]["cross_fitted"],
        "no_solver_below_auto": min(row["over_auto"] for row in alone.values()) >= -1e-9,
        "no_solver_below_auto_by_an_error": all(
            row["over_auto"] >= -row["error"] - 1e-9 for row in alone.values()
        ),
    }
    within = "within an error" if summary["no_solver_below_auto_by_an_error"] else "YES"
    below = "none" if summary["no_solver_below_auto"] else within
    print(
        f"auto took {found.solver} in {seconds:.1f} s; best alone: {best}; choosing costs "
        f"{summary['cost_of_choosing']:+.4f} nats; below auto: {below}\n",
        flush=True,
    )
    return {"solvers": rows, **summary}


def log_losses(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return -np.log(np.clip(predictions[np.arange(len(labels)), labels], 1e-7, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows: half a minute")
    parser.add_argument("--run", type=Path, nargs="+", help="run directories of one data set")
    options = parser.parse_args()
    results: dict[str, Any] = {"cores": os.cpu_count(), "calibrations": list(CALIBRATIONS)}
    results["speed"] = speed(QUICK_SPEED if options.quick else SPEED, 3 if options.quick else 7)
    rows = QUICK_ROWS if options.quick else ROWS
    print()
    for name, kinds in SETS.items():
        predictions, labels = make_members(kinds, rows + FRESH, seed=1)
        print(f"{name}: {kinds}, {rows:,} rows")
        results[name] = choice(
            predictions[:, :rows], labels[:rows], (predictions[:, rows:], labels[rows:])
        )
    if options.run:
        runs = [read_candidates(path, prefix=f"{path.name}/") for path in options.run]
        joined = join_candidates(runs)
        predictions = np.stack([member.predictions for member in joined.members])
        print(f"{', '.join(map(str, options.run))}: {len(predictions)} trials")
        results["run"] = choice(predictions, joined.labels)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
