"""How often 95% intervals contain the truth, and how much bias the corrections leave.

Everything is simulated, so that the truth is known:

* `share`: accuracy. Its coverage is a sum over all possible counts, without any simulation.
* `metric`: the other metrics, of classifiers of 2, 10 and 120 classes with accuracy p. The truth
  is the metric on all images of a large pool, of which n are drawn again and again.
* `chosen`: the best of K models by accuracy on n images, corrected by `corrected_best`. The models'
  true accuracies lie about as far apart as luck sets them on n images, or are all equal; "hard"
  says that the same images are hard for all, "own" that each errs by itself.
* `epochs`: the same of K trials whose best epoch of 12 was chosen on the same images: the part that
  is said and not corrected.
* `members`: the cross-fitted accuracy of an ensemble of 5 out of 20 models, chosen on all images,
  or for each fold on the others as `Tuner.ensemble` does it.

Biases are mean differences from the truth, in points; a score that is too good is +.

    python benchmarks/coverage.py --seed 100

Seeds below 100 were looked at while the methods were chosen. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from kt_tuning.ensembling import Member, selection, solve
from kt_tuning.evaluation import METRICS, bootstrap_intervals, corrected_best, metrics_for
from kt_tuning.evaluation.confidence import share_interval

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]

ROWS = (50, 100, 359, 2000)
ACCURACIES = (0.9, 0.95, 0.99, 0.997)
CLASSES = (2, 10, 120)
CANDIDATES = (1, 5, 20, 50)
POOL = 40_000
RESAMPLES = 200
EPOCHS = 12
# So much of what makes an image hard is common to all models, and to the epochs of one training.
COMMON = {"own": 0.0, "hard": 0.8}
IN_TRAINING = 0.7


def share_coverage(rows: int, accuracy: float) -> dict[str, float]:
    """Exact coverage, and mean width, of the interval of a share."""
    hits = np.arange(rows + 1)
    ends = np.array([share_interval(hit / rows, rows) for hit in hits])
    chance = stats.binom.pmf(hits, rows, accuracy)
    inside = (ends[:, 0] <= accuracy) & (accuracy <= ends[:, 1])
    return {"coverage": float(chance[inside].sum()), "width": float(chance @ np.diff(ends)[:, 0])}


@functools.cache
def classifier(classes: int, accuracy: float) -> tuple[Labels, Floats]:
    """Labels (POOL,) and probabilities (POOL, C) of a classifier with this accuracy."""
    rng = np.random.default_rng([classes, int(1000 * accuracy)])
    labels = rng.integers(classes, size=POOL)
    logits = rng.gumbel(size=(POOL, classes)).astype(np.float32)
    truth = np.arange(POOL), labels
    ease = 1.0 + 0.35 * rng.normal(size=POOL)
    others = logits.copy()
    others[truth] = -np.inf
    # An image is right if strength * ease exceeds what its logit lacks.
    lacking = (others.max(axis=1) - logits[truth]) / np.maximum(ease, 1e-3)
    logits[truth] += np.quantile(lacking, accuracy) * ease
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return labels, raised / raised.sum(axis=1, keepdims=True)


def metric_coverage(
    classes: int, accuracy: float, rows: int, repeats: int, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Coverage and mean width of each metric's interval, but for accuracy's."""
    labels, probabilities = classifier(classes, accuracy)
    names = tuple(name for name in metrics_for(classes) if name != "accuracy")
    truth = {name: METRICS[name].function(labels, probabilities) for name in names}
    found: dict[str, list[tuple[bool, float]]] = {name: [] for name in names}
    for _ in range(repeats):
        drawn = rng.choice(POOL, size=rows, replace=False)
        intervals = bootstrap_intervals(
            labels[drawn], probabilities[drawn], resamples=RESAMPLES, rng=rng, names=names
        )
        for name, one in intervals.items():
            if not one.low <= one.value <= one.high:
                raise AssertionError(f"{name}: {one} does not contain its value")
            found[name].append((one.low <= truth[name] <= one.high, one.high - one.low))
    return {
        name: {"coverage": float(mean[0]), "width": float(mean[1])}
        for name, mean in ((name, np.mean(pairs, axis=0)) for name, pairs in found.items())
    }


def abilities(accuracy: float, rows: int, count: int, spread: float, rng: np.random.Generator):
    """True accuracies (K,), their standard deviation `spread` times the standard error."""
    error = np.sqrt(accuracy * (1 - accuracy) / rows)
    drawn = accuracy + spread * error * rng.normal(size=count)
    return np.clip(drawn, 0.5, 1 - 0.05 * (1 - accuracy))


def right_or_wrong(
    true: Floats, rows: int, common: float, rng: np.random.Generator, epochs: int = 1
) -> NDArray[np.bool_]:
    """Which images each model has right, (K, epochs, rows), with accuracies `true` (K, epochs)."""
    shape = (len(true), epochs, rows)
    within = IN_TRAINING if epochs > 1 else 0.0
    noise = (
        np.sqrt(common) * rng.normal(size=(1, 1, rows))
        + np.sqrt((1 - common) * within) * rng.normal(size=(len(true), 1, rows))
        + np.sqrt((1 - common) * (1 - within)) * rng.normal(size=shape)
    )
    return stats.norm.ppf(true)[:, :, None] + noise > 0


def as_predictions(right: NDArray[np.bool_]) -> Floats:
    """Probabilities (..., rows, 2) of labels that are all 1."""
    sure = np.where(right, 0.9, 0.1)
    return np.stack([1 - sure, sure], axis=-1)


def chosen_coverage(
    rows: int,
    accuracy: float,
    count: int,
    common: float,
    spread: float,
    repeats: int,
    rng: np.random.Generator,
    epochs: int = 1,
) -> dict[str, float]:
    """Coverage and bias of the corrected best of `count` models."""
    labels = np.ones(rows, dtype=np.int64)
    found = []
    for _ in range(repeats):
        true = abilities(accuracy, rows, count, spread, rng)[:, None] * np.ones(epochs)
        right = right_or_wrong(true, rows, common, rng, epochs)
        best = right.mean(axis=2).argmax(axis=1)
        kept = right[np.arange(count), best]
        one = corrected_best(
            as_predictions(kept), labels, resamples=RESAMPLES, seed=int(rng.integers(2**31))
        )
        truth = true[one.best, 0]
        interval = one.corrected
        if not 0 <= interval.low <= interval.value <= min(one.raw, interval.high) <= 1:
            raise AssertionError(str(one))
        found.append(
            (
                interval.low <= truth <= interval.high,
                100 * (one.raw - truth),
                100 * (interval.value - truth),
                interval.high - interval.low,
            )
        )
    names = ("coverage", "raw_bias", "corrected_bias", "width")
    return dict(zip(names, np.mean(found, axis=0).tolist(), strict=True))


def member_bias(rows: int, repeats: int, rng: np.random.Generator) -> dict[str, float]:
    """Bias of an ensemble's cross-fitted accuracy by when its members are chosen."""
    fresh = 10_000
    found = []
    for _ in range(repeats):
        true = abilities(0.85, rows, 20, 0.5, rng)[:, None]
        right = right_or_wrong(true, rows + fresh, 0.5, rng)[:, 0]
        predictions = as_predictions(right)
        labels = np.ones(rows, dtype=np.int64)
        fitted, held = predictions[:, :rows], predictions[:, rows:]
        members = [Member(str(place), one) for place, one in enumerate(fitted)]
        order = np.argsort(-right[:, :rows].mean(axis=1), kind="stable")[:5]
        options = {"solver": "mean", "metric": "accuracy", "calibration": "none"}
        before = solve(fitted[order], labels, **options)
        within = solve(
            fitted, labels, select=selection(members, "best", 5, metric="accuracy"), **options
        )
        ones = np.ones(fresh, dtype=np.int64)
        score = METRICS["accuracy"].function
        truths = (
            score(ones, before.combination.predict(held[order])),
            score(ones, within.combination.predict(held)),
        )
        found.append(
            [
                100 * (one.cross_fitted["mean"] - truth)
                for one, truth in zip((before, within), truths, strict=True)
            ]
        )
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(repeats)
    return {
        "chosen_before": float(mean[0]),
        "chosen_within": float(mean[1]),
        "error_before": float(error[0]),
        "error_within": float(error[1]),
    }


def rows_of(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Measure everything, a row at a time."""
    rng = np.random.default_rng(options.seed)
    quick = options.quick
    for rows in ROWS:
        for accuracy in ACCURACIES:
            yield {"kind": "share", "n": rows, "p": accuracy, **share_coverage(rows, accuracy)}
    repeats = 40 if quick else options.repeats
    for classes in (2, 10) if quick else CLASSES:
        for rows in ROWS[1:3] if quick else ROWS:
            for accuracy in ACCURACIES[1:3] if quick else ACCURACIES:
                measured = metric_coverage(classes, accuracy, rows, repeats, rng)
                for name, one in measured.items():
                    given = {"classes": classes, "n": rows, "p": accuracy, "metric": name}
                    yield {"kind": "metric", **given, **one}
    for images, common in COMMON.items():
        for spread in (0.0, 1.0):
            for count in CANDIDATES[2:3] if quick else CANDIDATES:
                for rows in ROWS[1:3] if quick else ROWS:
                    for accuracy in ACCURACIES:
                        given = {"images": images, "spread": spread, "K": count, "n": rows}
                        one = chosen_coverage(rows, accuracy, count, common, spread, repeats, rng)
                        yield {"kind": "chosen", **given, "p": accuracy, **one}
    for rows in ROWS[:3]:
        for accuracy in (0.8, *ACCURACIES[:2]):
            one = chosen_coverage(rows, accuracy, 20, 0.8, 1.0, repeats, rng, EPOCHS)
            yield {"kind": "epochs", "K": 20, "n": rows, "p": accuracy, **one}
    for rows in ROWS[:3]:
        yield {"kind": "members", "n": rows, **member_bias(rows, repeats, rng)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    found = []
    for row in rows_of(options):
        found.append(row)
        cells = (f"{name} {_cell(value)}" for name, value in row.items() if name != "kind")
        print(f"{row['kind']:<8}" + "  ".join(cells), flush=True)
    print(json.dumps({"quick": options.quick, "seed": options.seed, "rows": found}))


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
