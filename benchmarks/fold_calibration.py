"""How well the mean over the folds' models is calibrated, with several ways to calibrate it.

Three small networks of scikit-learn are trained on k folds, on handwritten digits as they are, on
digits of which a fifth have random labels, and on overlapping Gaussian clusters; `solve` combines
them by their out-of-fold predictions. Printed is the expected calibration error (and the log-loss)
on rows that no network has seen:

- recorded: of the combination, cross-fitted on out-of-fold predictions, as `ensemble.json` has it;
- after: the networks' means over the folds, then the combination with its temperatures;
- each: the combination of each fold, then the mean of the logits over the folds;
- served: the same, with the effect of averaging on the confidence compensated, as `Ensemble` does.

    python benchmarks/fold_calibration.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import warnings

import numpy as np
from sklearn.datasets import load_digits, make_classification
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier

from kt_tuning.ensembling import solve
from kt_tuning.ensembling.combination import mean_over_folds, sharpening_of
from kt_tuning.evaluation import measure_reliability, score

NETWORKS = (
    {"hidden_layer_sizes": (64,), "alpha": 1e-5, "max_iter": 150},
    {"hidden_layer_sizes": (128,), "alpha": 1e-2, "max_iter": 60},
    {"hidden_layer_sizes": (32, 32), "alpha": 1e-4, "max_iter": 100},
)
WAYS = ("recorded", "after", "each", "served")


def make_data(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, D) and labels (N,)."""
    if name == "clusters":
        return make_classification(
            3000, 30, n_informative=12, n_classes=6, flip_y=0.05, random_state=seed
        )
    digits = load_digits()
    rows, labels = digits.data / 16, digits.target.copy()
    if name == "noisy digits":
        rng = np.random.default_rng(seed)
        flipped = rng.random(len(labels)) < 0.2
        labels[flipped] = rng.integers(0, 10, flipped.sum())
    return rows, labels


def measure(name: str, folds: int, seed: int) -> dict[str, tuple[float, float]]:
    """Expected calibration error and log-loss of each way."""
    rows, labels = make_data(name, seed)
    rows, fresh, labels, truth = train_test_split(
        rows, labels, test_size=0.4, random_state=seed, stratify=labels
    )
    classes = int(labels.max()) + 1
    out_of_fold = np.zeros((len(NETWORKS), len(labels), classes))
    said = np.zeros((len(NETWORKS), folds, len(truth), classes))
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, labels)
    for fold, (train, left_out) in enumerate(splits):
        for place, options in enumerate(NETWORKS):
            network = MLPClassifier(**options, random_state=10 * seed + fold)
            network.fit(rows[train], labels[train])
            out_of_fold[place, left_out] = network.predict_proba(rows[left_out])
            said[place, fold] = network.predict_proba(fresh)
    found = solve(out_of_fold, labels)
    each = [found.combination.predict(said[:, fold]) for fold in range(folds)]
    sharpening = sharpening_of(found.combination, out_of_fold, labels, folds)
    predictions = {
        "recorded": (labels, found.predictions),
        "after": (truth, found.combination.predict(said.mean(axis=1))),
        "each": (truth, mean_over_folds(folds, 1.0).predict(each)),
        "served": (truth, mean_over_folds(folds, sharpening).predict(each)),
    }
    return {
        way: (measure_reliability(*both).expected_error, score(*both, ["log_loss"])["log_loss"])
        for way, both in predictions.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    seeds = range(1 if quick else 6)
    figures = {}
    print(f"{'data':<14}{'folds':>6}" + "".join(f"{way:>18}" for way in WAYS))
    for name in ("digits", "noisy digits", "clusters"):
        for folds in (3,) if quick else (3, 5):
            measured = [measure(name, folds, seed) for seed in seeds]
            means = {way: np.mean([one[way] for one in measured], axis=0) for way in WAYS}
            cells = "".join(f"{error:>10.3f} ({loss:.3f})" for error, loss in means.values())
            print(f"{name:<14}{folds:>6}{cells}", flush=True)
            figures[f"{name}, {folds} folds"] = {
                way: round(float(error), 4) for way, (error, _) in means.items()
            }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
