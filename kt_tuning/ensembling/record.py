"""The content of `ensemble.json`, and how differently the members of an ensemble err."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import DataError
from kt_tuning.core.json_record import Record
from kt_tuning.ensembling.calibration import Calibration, temper
from kt_tuning.ensembling.combination import ARITHMETIC, Combination, average_mirrored
from kt_tuning.ensembling.members import Member, costs_of
from kt_tuning.ensembling.problem import LOG_LOSS, Integers, check_predictions, cost
from kt_tuning.ensembling.solve import Solution
from kt_tuning.evaluation import METRICS, measure_reliability
from kt_tuning.evaluation.diagnostics import Reliability

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]
Matrix = tuple[tuple[float | None, ...], ...]


@dataclasses.dataclass(frozen=True)
class EnsembleRecord(Record):
    """The members, their combination, and measurements of the ensemble.

    Attributes:
        trial_ids: The members, K of them.
        weights: (K,) on the simplex: non-negative, summing to 1.
        solver: Name in `SOLVERS`, or "single" if no combination beat the best member.
        cross_fitted: `metric` by solver, each measured on validation rows that its weights were not
            fitted on; that the members' epochs were chosen on these rows is not corrected.
        member_scores: (K,) objective of each member.
        temperatures: (K,) by which each member's logits are divided before they are averaged.
        pool: "arithmetic" or "geometric"; see `Combination`.
        calibrations: Calibrations of the ensemble, one after the other.
        metric: A name in `METRICS`.
        errors: Standard error of each solver's difference from the solver asked for.
        diversity: That of the members, on the rows that the weights were fitted on.
        reliability: That of the ensemble, on rows that neither its weights nor its calibration were
            fitted on.
        costs: (K,) what serving each member costs, in parameters; empty if that is not known.
        single_cost: Serving cost of the best single candidate; None if it is not known.
        folds: Models of each member, each trained without one fold; what is known of the whole is
            then of one model per member, on the fold that it was not trained on.
        sharpening: With folds, see `sharpening_of`.
        model: Digest of the combined model, see `model_digest`; None in records of earlier
            versions.
        mirrored: (K,) whether each member's prediction is the mean over an image and its mirror
            image; empty if none is.
        refitted: Whether the members were trained again after all else was found, on training and
            validation images; what is known of the whole is of the models before.
    """

    way_on: ClassVar[str] = (
        "`kt-tuning finalize`, or in Python `tuner.ensemble()`, writes it again."
    )

    trial_ids: tuple[str, ...]
    weights: tuple[float, ...]
    solver: str
    cross_fitted: dict[str, float]
    member_scores: tuple[float, ...]
    temperatures: tuple[float, ...] = ()
    pool: str = ARITHMETIC
    calibrations: tuple[Calibration, ...] = ()
    metric: str = LOG_LOSS
    errors: dict[str, float] = dataclasses.field(default_factory=dict)
    diversity: Diversity | None = None
    reliability: Reliability | None = None
    costs: tuple[float, ...] = ()
    single_cost: float | None = None
    folds: int = 1
    sharpening: float = 1.0
    model: str | None = None
    mirrored: tuple[bool, ...] = ()
    refitted: bool = False

    def __post_init__(self) -> None:
        if not len(self.trial_ids) == len(self.weights) == len(self.member_scores):
            raise ValueError("it should hold one weight and one score per member")
        if self.mirrored and len(self.mirrored) != len(self.trial_ids):
            raise ValueError("it should say of each member whether it is mirrored")

    @property
    def relative_cost(self) -> float | None:
        """Serving cost of the ensemble, over that of the best single candidate."""
        return None if self.single_cost is None else sum(self.costs) / self.single_cost

    def served(self, members: Sequence[Sequence[keras.Model]]) -> Sequence[Sequence[keras.Model]]:
        """Return the models of the members as they are served: those that mirror, mirrored.

        Args:
            members: Of each of the K members its models, one per fold.
        """
        return [
            [average_mirrored(model) if self.mirrors(place) else model for model in models]
            for place, models in enumerate(members)
        ]

    def mirrors(self, place: int) -> bool:
        """Whether the member at a place predicts mirror images, too."""
        return bool(self.mirrored) and self.mirrored[place]

    @property
    def combination(self) -> Combination:
        """The combination of the members' predictions."""
        return Combination(self.weights, self.temperatures, self.pool, self.calibrations)


def record_of(solution: Solution, members: Sequence[Member], labels: Integers) -> EnsembleRecord:
    """Return the record of a solution, with the members that have a weight.

    Args:
        solution: The result of `solve`.
        members: All K that it was found for. Where one has no score, its log-loss stands in.
        labels: (N,) of the rows that they predicted.
    """
    places = solution.combination.kept()
    kept = [members[index] for index in places]
    costs = costs_of(members)
    mirrored = tuple(member.mirrored for member in kept)
    combination = solution.combination
    weights = tuple(combination.weights[place] for place in places)
    temperatures = tuple(combination.temperatures[place] for place in places)
    tempered = [
        temper(member.predictions, temperature)
        for member, temperature in zip(kept, temperatures, strict=True)
    ]
    best = min(
        solution.selected,
        key=lambda place: cost(solution.metric, labels, members[place].predictions),
    )
    return EnsembleRecord(
        trial_ids=tuple(member.name for member in kept),
        weights=weights,
        solver=solution.solver,
        cross_fitted=solution.cross_fitted,
        member_scores=tuple(
            cost(LOG_LOSS, labels, member.predictions)
            if member.score is None
            else float(member.score)
            for member in kept
        ),
        temperatures=temperatures,
        pool=combination.pool,
        calibrations=combination.calibrations,
        metric=solution.metric,
        errors=solution.errors,
        diversity=measure_diversity(tempered, labels, weights),
        reliability=measure_reliability(labels, solution.predictions),
        costs=() if costs is None else tuple(costs[place] for place in places),
        single_cost=None if costs is None else costs[best],
        mirrored=mirrored if any(mirrored) else (),
    )


@dataclasses.dataclass(frozen=True)
class Diversity(Record):
    """Pairwise measures and the ambiguity decomposition.

    Matrices are (K, K) and symmetric; None stands where a measure is not defined, e.g. for a
    member that is always right.

    Attributes:
        disagreement: Share of rows on which one of two members is right and the other wrong.
        q_statistic: Yule's Q, -1 to 1: 0 for independent members, negative for members that err
            on different rows.
        error_correlation: Correlation of being right, -1 to 1.
        member_error: Weighted mean of the members' squared errors (Brier, 0 to 2).
        ambiguity: Weighted mean of the members' squared distances from their weighted mean.
        ensemble_error: Squared error of that mean: exactly `member_error` - `ambiguity`.
    """

    disagreement: Matrix
    q_statistic: Matrix
    error_correlation: Matrix
    member_error: float
    ambiguity: float
    ensemble_error: float

    def pair_means(self) -> dict[str, float | None]:
        """Return the mean of each measure over the pairs where it is defined; None without one."""
        means: dict[str, float | None] = {}
        for name in ("disagreement", "q_statistic", "error_correlation"):
            rows = enumerate(getattr(self, name))
            pairs = [cell for place, row in rows for cell in row[:place] if cell is not None]
            means[name] = float(np.mean(pairs)) if pairs else None
        return means


def measure_diversity(predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike) -> Diversity:
    """Measure how differently members err.

    Args:
        predictions: (K, N, C) probabilities.
        labels: (N,) integers in 0..C-1.
        weights: (K,) on the simplex; only the decomposition depends on them.

    Raises:
        DataError: if the shapes do not match or the predictions are not probabilities.

    Sources: Kuncheva and Whitaker (2003), "Measures of diversity in classifier ensembles", section
    2.1; Krogh and Vedelsby (1995), "Neural network ensembles, cross validation, and active
    learning".
    """
    members, truth = check_predictions(predictions, labels)
    shares = np.asarray(weights, dtype=np.float64)
    if shares.shape != (len(members),):
        raise DataError(
            f"Expected one weight for each of the {len(members)} members. "
            f"Received: weights of shape {shares.shape}."
        )
    right = (members.argmax(axis=2) == truth).astype(np.float64)
    wrong = 1.0 - right
    both, neither, one = right @ right.T, wrong @ wrong.T, right @ wrong.T
    other = one.T
    marginal = right.sum(axis=1) * wrong.sum(axis=1)
    odds = both * neither - one * other
    squared_error = METRICS["brier"].function
    mean = np.tensordot(shares, members.astype(np.float64), axes=1)
    return Diversity(
        disagreement=_matrix(one + other, np.full_like(one, len(truth))),
        q_statistic=_matrix(odds, both * neither + one * other),
        error_correlation=_matrix(odds, np.sqrt(np.outer(marginal, marginal))),
        member_error=float(shares @ [squared_error(truth, member) for member in members]),
        ambiguity=float(shares @ [((one - mean) ** 2).sum(axis=1).mean() for one in members]),
        ensemble_error=squared_error(truth, mean),
    )


def _matrix(numerator: Floats, denominator: Floats) -> Matrix:
    return tuple(
        tuple(float(a / b) if b > 0 else None for a, b in zip(*rows, strict=True))
        for rows in zip(numerator, denominator, strict=True)
    )
