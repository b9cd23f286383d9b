"""Stacking: a regularised multinomial logistic regression on what the members say.

The features are the members' log-probabilities, with one coefficient a member, which all classes
share, and an intercept a class. So it is what an ensemble can serve: a weighted geometric mean of
the members, a temperature and a shift for each class. A coefficient for each pair of a member's
class and a class, the usual stack, has K C^2 unknowns for as few rows.

Sources: Wolpert (1992), "Stacked generalization"; Ting and Witten (1999), "Issues in stacked
generalization", who find logarithms, a linear model and coefficients that are not negative to
work best.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.ensembling.calibration import Calibration, cross_entropy, logarithm
from kt_tuning.ensembling.combination import GEOMETRIC, Combination
from kt_tuning.ensembling.problem import Problem

Floats = NDArray[np.floating[Any]]

MAX_STEPS = 200


def stacked(problem: Problem, rng: np.random.Generator) -> Combination:
    """Fit the coefficients a >= 0 (K,) and the intercepts b (C,).

    Minimises mean log-loss of softmax(sum_k a_k log p_k + b) + (|a - 1/K|^2 + |b|^2) / (2 N): a
    ridge of the strength that scikit-learn's LogisticRegression has, towards the plain geometric
    mean. The loss is convex. It draws nothing.
    """
    # Deferred: SciPy takes longer to import than all else here.
    from scipy.optimize import minimize

    members, rows, classes = problem.predictions.shape
    logs = logarithm(problem.predictions).reshape(members, rows * classes)
    start = np.concatenate([np.full(members, 1.0 / members), np.zeros(classes)])

    def loss(unknowns: Floats) -> tuple[float, Floats]:
        coefficients, intercepts = unknowns[:members], unknowns[members:]
        away = unknowns - start
        logits = (coefficients @ logs).reshape(rows, classes) + intercepts
        value, residuals = cross_entropy(logits, problem.labels)
        slopes = np.concatenate([logs @ residuals.ravel(), residuals.sum(axis=0)])
        return value + away @ away / (2 * rows), (slopes + away) / rows

    bounds = [(0.0, None)] * members + [(None, None)] * classes
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": MAX_STEPS}
    )
    coefficients, intercepts = found.x[:members], found.x[members:]
    # If no member tells anything, all coefficients are 0 and the intercepts say how common the
    # classes are; weights have to be something.
    total = float(coefficients.sum())
    weights = coefficients / total if total > 0 else start[:members]
    return Combination(
        weights=tuple(weights.tolist()),
        pool=GEOMETRIC,
        calibrations=(Calibration(scales=(total,), shifts=tuple(intercepts.tolist())),),
    )
