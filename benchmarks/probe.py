"""Is the linear probe's solver fast, and its penalty as good as the best of scikit-learn's grid?

First the choice of a penalty, cross-validated on five folds of 1,400 rows of 1,280 features in five
classes, like those of photos: seconds, and configurations per second, against scikit-learn's
`LogisticRegression` with 12 values of C on the same folds.

Then ten data sets, seven synthetic ones and scikit-learn's digits, wine and breast cancer: the
penalty chosen on a few rows, and the log-loss on new ones, against scikit-learn's best C of 12 by
cross-validation on the same folds. `--folder` adds images: EfficientNet-Lite0's features.

It fails if the log-loss is more than 1% and a thousandth of a nat above scikit-learn's. `--quick`
has 300 rows of 200 features in the first part. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from hypermodels.logistic_regression import (
    FOLDS,
    LogisticPath,
    choose_penalty,
    folds,
    log_losses,
    standardize,
)

GRID = np.logspace(-5, 3, 12)
SECONDS = 10
SHARE, NATS = 0.01, 0.001
"""By how much a log-loss may be above scikit-learn's."""

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Rows = tuple[Floats, Labels, int]
"""Features, labels, and how many rows are for training; the others are fresh."""


def clusters(
    rows: int,
    width: int,
    classes: int,
    *,
    shares: tuple[float, ...] | None = None,
    distance: float = 1.0,
    noise: float = 0.0,
    rank: int | None = None,
    seed: int = 0,
) -> Rows:
    """Normal clusters; with `rank`, all features are combinations of so few; plus 2,000 fresh."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, rows + 2000, p=shares)
    # Each class is there in each fold.
    labels[: 6 * classes] = np.repeat(np.arange(classes), 6)
    inner = width if rank is None else rank
    centres = distance * rng.normal(size=(classes, inner)) / np.sqrt(inner / 10)
    features = centres[labels] + rng.normal(size=(len(labels), inner)) * np.linspace(0.3, 2, inner)
    if rank is not None:
        features = features @ rng.normal(size=(rank, width))
    wrong = rng.random(len(labels)) < noise
    labels[wrong] = rng.choice(classes, wrong.sum())
    return features, labels, rows


def real(loaded: Any, rows: int) -> Rows:
    """A data set of scikit-learn's, shuffled."""
    order = np.random.default_rng(0).permutation(len(loaded.target))
    return loaded.data[order].astype(float), loaded.target[order], rows


SETS: dict[str, Callable[[], Rows]] = {
    "few rows": lambda: clusters(60, 300, 3),
    "many classes": lambda: clusters(1000, 64, 40),
    "imbalanced": lambda: clusters(600, 50, 3, shares=(0.95, 0.04, 0.01), distance=0.5),
    "separable": lambda: clusters(300, 20, 3, distance=6.0),
    "noisy labels": lambda: clusters(500, 100, 4, distance=2.0, noise=0.3),
    "collinear": lambda: clusters(400, 200, 3, rank=15),
    "useless": lambda: clusters(200, 100, 2, distance=0.0),
    "digits": lambda: real(load_digits(), 500),
    "wine": lambda: real(load_wine(), 60),
    "breast cancer": lambda: real(load_breast_cancer(), 150),
}


def photos(folder: Path) -> Rows:
    """EfficientNet-Lite0's features of the training and test images of a folder."""
    import keras_tuner

    import kt_tuning as ktt
    from hypermodels import LinearProbe
    from kt_tuning.features import FeatureCache

    data = ktt.load_images(folder, progress=False)
    probe = LinearProbe(data.input_shape, data.classes, backbone="EfficientNetLite0")
    frozen = probe.build(keras_tuner.HyperParameters()).frozen
    cache = FeatureCache(data.content, len(data.labels))
    features = [cache.of(split, frozen) for split in (data.train, data.test)]
    labels = np.concatenate([data.train.labels, data.test.labels])
    return np.concatenate(features).astype(float), labels, len(data.train)


def ours(rows: Rows) -> tuple[float, float, float]:
    """Log-loss on fresh rows, the penalty, and seconds."""
    features, labels, count = rows
    classes = int(labels.max()) + 1
    began = time.perf_counter()
    values, means, deviations = standardize(features[:count])
    choice = choose_penalty(values, labels[:count], classes)
    kernel, bias = LogisticPath(values, labels[:count], classes).fit(choice.penalty)
    seconds = time.perf_counter() - began
    fresh = (features[count:] - means) / deviations
    return float(log_losses(fresh @ kernel + bias, labels[count:]).mean()), choice.penalty, seconds


def grid(rows: Rows) -> tuple[float, float, float]:
    """Log-loss of scikit-learn's best on fresh rows, its C, and seconds."""
    features, labels, count = rows
    began = time.perf_counter()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        {"logisticregression__C": GRID},
        scoring="neg_log_loss",
        cv=list(folds(labels[:count], 0)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(features[:count], labels[:count])
    seconds = time.perf_counter() - began
    expected = search.predict_proba(features[count:])
    loss = log_loss(labels[count:], expected, labels=search.classes_)
    return float(loss), float(search.best_params_["logisticregression__C"]), seconds


def speed(rows: int, width: int) -> dict[str, float]:
    """Seconds for the choice of a penalty, and those of scikit-learn's grid."""
    features, labels, _ = clusters(rows, width, 5, distance=2.0)
    features, labels = features[:rows], labels[:rows]
    values, _, _ = standardize(features)
    began = time.perf_counter()
    choice = choose_penalty(values, labels, 5)
    seconds = time.perf_counter() - began
    _, _, peer = grid(
        (np.concatenate([features, features[:50]]), np.append(labels, labels[:50]), rows)
    )
    return {
        "seconds": seconds,
        "a_second": FOLDS * len(choice.penalties) / seconds,
        "scikit_learn_seconds": peer,
        "scikit_learn_a_second": FOLDS * len(GRID) / peer,
    }


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="photos, for features of EfficientNet-Lite0")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with threadpool_limits(1, user_api="blas"):
        shape = (300, 200) if options.quick else (1400, 1280)
        timed = speed(*shape)
        print(
            f"The penalty by {FOLDS} folds, {shape[0]:,} rows of {shape[1]:,} features: "
            f"{timed['seconds']:.1f} s, {timed['a_second']:.0f} a second. scikit-learn, "
            f"{len(GRID)} x "
            f"{FOLDS}: {timed['scikit_learn_seconds']:.1f} s, "
            f"{timed['scikit_learn_a_second']:.1f} a second."
        )
        sets = dict(SETS)
        if options.folder is not None:
            sets["photos"] = lambda: photos(options.folder)
        print(f"\n{'log-loss on fresh rows':<24}{'ours':>9}{'grid':>9}{'s':>7}{'grid s':>8}")
        results = {}
        for name, make in sets.items():
            rows = make()
            (loss, penalty, seconds), (known, c, peer) = ours(rows), grid(rows)
            worse = loss > known * (1 + SHARE) + NATS
            print(
                f"{name:<24}{loss:>9.4f}{known:>9.4f}{seconds:>7.2f}{peer:>8.2f}"
                f"{'  worse' if worse else ''}"
            )
            results[name] = {"ours": loss, "penalty": penalty, "grid": known, "C": c}
            results[name] |= {"seconds": seconds, "grid_seconds": peer, "worse": worse}
    slow = not options.quick and timed["seconds"] > SECONDS
    figures = {"quick": options.quick, "speed": timed, "sets": results}
    print(json.dumps(figures | {"python": sys.version.split()[0]}))
    if slow or any(result["worse"] for result in results.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
