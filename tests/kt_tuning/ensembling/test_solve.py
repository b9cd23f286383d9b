"""Finding a combination: what is promised of every solver, and the choice between them."""

import dataclasses
import functools

import numpy as np
import pytest
from member_cases import CLASSES, make_members, softmax
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from kt_tuning.core.errors import OptionError
from kt_tuning.data.stratified_split import stratified_folds
from kt_tuning.ensembling import SOLVERS, Combination, Member, selection, solve
from kt_tuning.ensembling.calibration import temper
from kt_tuning.ensembling.model_selection import CrossFit
from kt_tuning.ensembling.problem import Problem, ServingCosts
from kt_tuning.ensembling.solve import (
    CANDIDATES,
    CANDIDATES_FOR_OTHER_METRICS,
    SMALLEST_WEIGHT,
    drop_small,
    fit_all,
)
from kt_tuning.evaluation import METRICS, score

QUICK = ("single", "mean", "convex", "stack")


def loss(predictions, labels):
    return log_loss(labels, predictions, labels=range(CLASSES))


# Every solver


@pytest.mark.parametrize("name", ["auto", *QUICK, "greedy", "random", "nelder-mead"])
def test_the_solution_is_whole(name):
    predictions, labels = make_members([0.0, 1.0, 2.0], rows=120)
    found = solve(predictions, labels, solver=name)
    assert len(found.combination.weights) == 3
    assert sum(found.combination.weights) == pytest.approx(1, abs=1e-12)
    assert found.solver == name or name == "auto"
    assert found.fitted == pytest.approx(loss(found.combination.predict(predictions), labels))
    assert found.predictions.shape == (120, CLASSES)
    assert found.cross_fitted[name] == pytest.approx(loss(found.predictions, labels))
    assert found.errors.keys() == found.cross_fitted.keys()
    assert found.errors[name] == 0
    assert list(found.cross_fitted) == ([*CANDIDATES, "auto"] if name == "auto" else [name])


def test_same_seed_same_result():
    predictions, labels = make_members([1.0, 1.5, 2.0, 0.5], rows=90)
    first, again = (solve(predictions, labels, seed=3, folds=3) for _ in range(2))
    assert (first.combination, first.cross_fitted) == (again.combination, again.cross_fitted)


def test_input_is_left_alone():
    predictions, labels = make_members([1.0, 1.5], rows=60)
    before = predictions.copy()
    solve(predictions, labels)
    np.testing.assert_array_equal(predictions, before)


def test_float32_and_small_integers():
    predictions, labels = make_members([1.0, 1.5, 2.0])
    found = solve(predictions.astype(np.float32), labels.astype(np.uint8), solver="convex")
    expected = solve(predictions, labels, solver="convex")
    assert found.combination.weights == pytest.approx(expected.combination.weights, abs=1e-3)


@pytest.mark.parametrize("name", QUICK)
def test_cross_fitting_by_hand(name):
    predictions, labels = make_members([0.5, 1.0, 1.5], rows=90)
    fold = stratified_folds(labels, 3, np.random.default_rng(0))
    mixture = np.empty((90, CLASSES))
    for index in range(3):
        fitting = fold != index
        problem = Problem(predictions[:, fitting], labels[fitting])
        combination = drop_small(SOLVERS[name](problem, np.random.default_rng(0)))
        mixture[~fitting] = combination.predict(predictions[:, ~fitting])
    found = solve(predictions, labels, solver=name, folds=3, calibration="none")
    assert found.cross_fitted[name] == pytest.approx(loss(mixture, labels), abs=1e-9)
    np.testing.assert_allclose(found.predictions, mixture, atol=1e-12)


def test_rare_classes_and_fewer_rows_than_folds():
    predictions, _ = make_members([1.0, 1.0], rows=3)
    found = solve(predictions, [0, 1, 1])
    assert np.isfinite(list(found.cross_fitted.values())).all()


# Calibration


def test_members_get_their_temperatures():
    predictions, labels = make_members([1.0, 1.0], rows=200)
    predictions[1] = temper(predictions[0], 1 / 3)
    found = solve(predictions, labels, solver="mean").combination
    assert found.temperatures[1] / found.temperatures[0] == pytest.approx(3, rel=0.01)


def test_the_mean_of_calibrated_members_is_made_surer():
    predictions, labels = make_members([1.0] * 6, rows=2000)
    plain, tempered = (
        solve(predictions, labels, solver="mean", calibration=name) for name in ("none", "auto")
    )
    assert plain.combination.calibrations == ()
    assert plain.combination.temperatures == (1.0,) * 6
    assert tempered.combination.calibrations[0].scales[0] > 1.1
    assert tempered.cross_fitted["mean"] < plain.cross_fitted["mean"] - 0.02


def test_calibrated_in_steps_by_hand():
    predictions, labels = make_members([1.0, 1.4, 0.3], rows=150)
    found = solve(predictions, labels, solver="convex", calibration="temperature")
    members = [
        temper(*pair) for pair in zip(predictions, found.combination.temperatures, strict=True)
    ]
    mixture = np.tensordot(found.combination.weights, members, axes=1)
    calibration = found.combination.calibrations[0]
    logits = np.log(mixture) * calibration.scales + calibration.shifts
    np.testing.assert_allclose(found.combination.predict(predictions), softmax(logits), atol=1e-12)


# Honesty


@pytest.mark.parametrize("kinds", [("none",), ("none", "temperature")])
def test_the_labels_of_a_fold_make_no_difference_to_its_predictions(kinds):
    predictions, labels = make_members([0.3, 1.0, 1.2, 1.5], rows=120)
    fold = np.arange(120) % 4
    spoilt = np.where(fold == 2, (labels + 1) % CLASSES, labels)
    serving = ServingCosts(np.array([1.0, 2.0, 1.0, 4.0]))
    fit = functools.partial(
        fit_all, QUICK, metric="log_loss", tempered=True, serving=serving, seed=0
    )
    with threadpool_limits(1):
        predicted, again = (
            CrossFit(predictions, truth, fold, fit, calibrations=kinds, serving=serving).predict(
                QUICK
            )
            for truth in (labels, spoilt)
        )
    np.testing.assert_allclose(again[fold == 2], predicted[fold == 2], atol=1e-12)
    assert not np.allclose(again[fold != 2], predicted[fold != 2], atol=1e-3)


def test_cross_fitted_scores_of_noise_are_not_better_than_chance():
    # 30 members that guess, 60 rows: fitted on them weights look good.
    predictions, labels = make_members([0.0] * 30, rows=60, noise=2.0)
    found = solve(predictions, labels, solver="convex", calibration="none")
    assert found.fitted < np.log(CLASSES) < found.cross_fitted["convex"]


def test_cross_fitted_scores_are_what_fresh_rows_cost():
    predictions, labels = make_members([0.5, 1.0, 1.0, 1.5], rows=21_000)
    fresh = slice(1000, None)
    found = solve(predictions[:, :1000], labels[:1000])
    truth = loss(found.combination.predict(predictions[:, fresh]), labels[fresh])
    # The standard error on 1,000 rows is 0.02.
    assert found.cross_fitted["auto"] == pytest.approx(truth, abs=0.06)


# The choice


def test_auto_is_refitted_on_all_rows():
    predictions, labels = make_members([0.5, 1.0, 1.5, 2.0], rows=150)
    found = solve(predictions, labels, seed=5)
    alone = solve(predictions, labels, solver=found.solver, seed=5)
    assert found.combination == alone.combination
    assert found.cross_fitted[found.solver] == alone.cross_fitted[found.solver]


def test_auto_ties_with_the_best_or_beats_it():
    found = solve(*make_members([0.5, 1.0, 1.0, 1.5, 0.0], rows=300))
    for name, value in found.cross_fitted.items():
        assert found.cross_fitted["auto"] <= value + max(found.errors[name], 1e-9)


def test_auto_falls_back_to_the_best_single_member():
    # A good member, and confident noise that can only hurt.
    good, labels = make_members([3.0], rows=300)
    noise, _ = make_members([0.0] * 12, rows=300, seed=1, noise=6.0)
    found = solve(np.concatenate([noise, good]), labels)
    assert found.solver == "single"
    assert found.combination.weights == (*[0.0] * 12, 1.0)


def test_copies_are_left_to_a_single_member():
    predictions, labels = make_members([1.0])
    found = solve(np.repeat(predictions, 3, axis=0), labels)
    assert (found.solver, len(found.combination.kept())) == ("single", 1)


def test_one_member_is_single():
    found = solve(*make_members([1.0]))
    assert (found.solver, found.combination.weights) == ("single", (1.0,))


def test_auto_weights_members_of_different_skill_on_many_rows():
    found = solve(*make_members([0.0, 0.5, 2.0, 2.2], rows=1000))
    # Errors are independent and logarithms evidence: the geometric mean is the truth here.
    assert found.solver == "stack"
    others = [value for name, value in found.cross_fitted.items() if name not in ("stack", "auto")]
    assert found.cross_fitted["stack"] < min(others) - 0.01


def test_fewer_members_are_preferred():
    # Three good members and ten copies of one of them, each with a little noise of its own.
    base, labels = make_members([1.5] * 3, rows=200)
    noise = 0.05 * np.random.default_rng(2).normal(size=(10, 200, CLASSES))
    copies = softmax(np.log(base[:1]) + noise)
    found = solve(np.concatenate([base, copies]), labels)
    assert len(found.combination.kept()) < 8


def test_an_overfitted_member_does_not_win():
    # Weaker than the others, and sure of every error.
    predictions, labels = make_members([0.3, 1.5, 1.5], rows=2000)
    predictions[0] = softmax(np.log(predictions[0]) * 20)
    found = solve(predictions, labels)
    assert found.combination.weights[0] < 0.2
    assert found.fitted < loss(predictions.mean(axis=0), labels)


def test_near_duplicates_together_count_as_one():
    base, labels = make_members([1.5, 1.5], rows=3000)
    twins = softmax(np.log(base[:1]) + 1e-3 * np.random.default_rng(2).normal(size=(5, 3000, 4)))
    found = solve(np.concatenate([twins, base[1:]]), labels, solver="convex")
    alone = solve(base, labels, solver="convex")
    assert found.combination.weights[-1] == pytest.approx(alone.combination.weights[1], abs=0.02)


@pytest.mark.parametrize("metric", ["accuracy", "brier"])
def test_another_metric_is_what_auto_judges_by(metric):
    predictions, labels = make_members([0.0, 1.2], rows=45)
    found = solve(predictions, labels, metric=metric)
    assert list(found.cross_fitted) == [*CANDIDATES_FOR_OTHER_METRICS, "auto"]
    measured = METRICS[metric].function(labels, found.predictions)
    assert found.cross_fitted["auto"] == pytest.approx(measured)
    assert found.metric == metric


# Small weights


def test_small_weights_are_dropped_and_the_rest_rescaled():
    found = drop_small(Combination((0.0009, 0.0010, 0.9981)))
    assert found.weights == pytest.approx((0.0, 0.0010 / 0.9991, 0.9981 / 0.9991), abs=1e-15)


def test_a_mean_of_thousands_keeps_everyone():
    found = drop_small(Combination((1 / 1500,) * 1500))
    assert found.weights == pytest.approx((1 / 1500,) * 1500, rel=1e-12)


def test_dropping_leaves_the_coefficients_of_a_geometric_mean():
    predictions, labels = make_members([1.0, 1.2, 0.0], rows=500)
    stacked = SOLVERS["stack"](Problem(predictions, labels), np.random.default_rng(0))
    weights = np.array(stacked.weights) * (1 - 5e-4)
    weights[2] += 1 - weights.sum()
    full = dataclasses.replace(stacked, weights=(*(weights[:2] / weights[:2].sum() * 0.9995), 5e-4))
    dropped = drop_small(full)
    before = np.array(full.weights) * full.calibrations[0].scales
    after = np.array(dropped.weights) * dropped.calibrations[0].scales
    np.testing.assert_allclose(after[:2], before[:2], rtol=1e-12)
    assert (dropped.weights[2], SMALLEST_WEIGHT) == (0, 1e-3)


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"solver": "mena"},
            r"Unknown solver 'mena'. Did you mean 'mean'\?",
        ),
        ({"metric": "f2"}, r"Unknown metric 'f2'. Known: accuracy"),
        ({"calibration": "platt"}, r"'platt'. Known: auto, none, temperature"),
        ({"folds": 2}, "3 or more.*Received: 2"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(OptionError, match=message):
        solve(*make_members([1.0]), **options)


def test_the_score_is_the_metric_of_evaluate():
    predictions, labels = make_members([1.0, 1.5], rows=60)
    found = solve(predictions, labels, solver="mean")
    assert found.fitted == score(labels, found.combination.predict(predictions))["log_loss"]


# Members that are selected


def test_members_are_selected_on_the_rows_that_weights_are_fitted_on():
    predictions, labels = make_members([1.0, 2.0, 1.5, 0.5], rows=90)
    seen = []

    def select(rows, truth):
        seen.append(len(truth))
        assert rows.shape == (4, len(truth), CLASSES)
        return [1, 2]

    found = solve(predictions, labels, solver="mean", select=select, folds=3)
    alone = solve(predictions[1:3], labels, solver="mean", folds=3)
    # Each fold apart, two folds apart, and all rows.
    assert {60, 90} <= set(seen)
    assert found.selected == (1, 2)
    assert found.combination.weights == (0.0, *alone.combination.weights, 0.0)
    assert found.combination.temperatures == (1.0, *alone.combination.temperatures, 1.0)
    assert found.cross_fitted == pytest.approx(alone.cross_fitted)


def test_members_that_were_only_lucky_do_not_look_good():
    # Each answers at random: 0.5 is what they are worth, the best of 40 on 60 rows shows 0.65.
    before, within = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        labels = rng.integers(2, size=60)
        predictions = rng.dirichlet([1.0, 1.0], size=(40, 60))
        members = [Member(str(place), one) for place, one in enumerate(predictions)]
        select = selection(members, "best", 3, metric="accuracy")
        options = {"solver": "mean", "metric": "accuracy", "calibration": "none"}
        chosen = predictions[select(predictions, labels)]
        before.append(solve(chosen, labels, **options).cross_fitted["mean"])
        within.append(solve(predictions, labels, select=select, **options).cross_fitted["mean"])
    assert np.mean(before) > 0.62
    assert np.mean(within) == pytest.approx(0.5, abs=0.06)
