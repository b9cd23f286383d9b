"""The choice of a solver by cross-fitting, on predictions made for it."""

import numpy as np
import pytest
from member_cases import make_members

from kt_tuning.data.stratified_split import stratified_folds
from kt_tuning.ensembling import Combination
from kt_tuning.ensembling.calibration import temper
from kt_tuning.ensembling.model_selection import (
    CrossFit,
    standard_errors,
    steadiest_within_one_error,
)
from kt_tuning.ensembling.problem import ServingCosts


def predictions_of(of_truth):
    """Two classes, the truth is 0."""
    return np.stack([of_truth, 1 - of_truth], axis=1)


def choose(of_truth, sizes, metric="log_loss", cost_penalty=0.0):
    predictions = {name: predictions_of(np.asarray(row)) for name, row in of_truth.items()}
    labels = np.zeros(len(next(iter(of_truth.values()))), dtype=int)
    serving, rng = ServingCosts(np.ones(1), cost_penalty), np.random.default_rng(0)
    return steadiest_within_one_error(metric, labels, predictions, sizes, sizes, serving, rng)


NOISE = np.random.default_rng(0).normal(size=400)


def logistic(margins):
    return 1 / (1 + np.exp(-margins))


def test_a_clear_gain_is_worth_its_members():
    # Better by 0.1 in every row's margin: the paired difference hardly varies.
    assert (
        choose({"few": logistic(NOISE), "many": logistic(NOISE + 0.1)}, {"few": 1, "many": 9})
        == "many"
    )


def test_a_gain_within_the_error_is_not():
    margins = NOISE + 0.5 * np.random.default_rng(1).normal(size=400)
    shift = margins.mean() - NOISE.mean() - 0.003
    found = choose(
        {"few": logistic(NOISE), "many": logistic(margins - shift)}, {"few": 1, "many": 9}
    )
    assert found == "few"


def test_of_several_members_that_tie_the_fewer_win():
    apart = 0.5 * np.random.default_rng(1).normal(size=400)
    rows = {"many": logistic(NOISE + apart - apart.mean() + 0.045), "few": logistic(NOISE)}
    assert np.log(rows["many"]).mean() > np.log(rows["few"]).mean()
    assert choose(rows, {"many": 9, "few": 2}) == "few"


@pytest.mark.parametrize(("cost_penalty", "winner"), [(0.01, "many"), (0.05, "few")])
def test_a_clear_gain_must_be_worth_its_cost(cost_penalty, winner):
    # 9 members are 3.2 doublings; the gain is a twelfth of the loss.
    rows = {"few": logistic(NOISE), "many": logistic(NOISE + 0.1)}
    assert choose(rows, {"few": 1, "many": 9}, cost_penalty=cost_penalty) == winner


def test_of_equal_sizes_the_better_wins():
    rows = {"worse": logistic(NOISE), "better": logistic(NOISE + 1e-4)}
    assert choose(rows, {"worse": 2.4, "better": 1.6}) == "better"


def test_of_equals_the_first_wins():
    assert choose({"a": logistic(NOISE), "b": logistic(NOISE)}, {"a": 2, "b": 2}) == "a"


@pytest.mark.parametrize(("lead", "winner"), [(0.001, "stack"), (0.1, "other")])
def test_of_equal_sizes_a_lead_within_the_error_does_not_count_against_stack(lead, winner):
    apart = 0.05 * np.random.default_rng(1).normal(size=400)
    margins = NOISE + apart - np.average(apart, weights=1 - logistic(NOISE)) + 2 * lead
    rows = {"other": logistic(margins), "stack": logistic(NOISE)}
    assert np.log(rows["other"]).mean() > np.log(rows["stack"]).mean()
    assert choose(rows, {"other": 2, "stack": 2}) == winner
    assert choose(rows, {"other": 1, "stack": 2}) == "other"
    assert choose(rows, {"other": 2, "stack": 9}) == winner
    assert choose(rows, {"other": 1, "stack": 1}) == "other"


def test_where_more_is_better():
    good = np.where(np.arange(400) < 300, 0.9, 0.1)
    bad = np.where(np.arange(400) < 200, 0.9, 0.1)
    assert choose({"bad": bad, "good": good}, {"bad": 1, "good": 2}, "accuracy") == "good"


def test_standard_error_is_that_of_the_paired_mean():
    first, second = logistic(NOISE), logistic(NOISE + np.random.default_rng(2).normal(size=400))
    predictions = {"first": predictions_of(first), "second": predictions_of(second)}
    labels = np.zeros(400, dtype=int)
    found = standard_errors("log_loss", labels, predictions, "first", np.random.default_rng(0))
    expected = np.log(first / second).std(ddof=1) / np.sqrt(400)
    assert found["first"] == 0
    # 200 resamples know a standard deviation to 5%.
    assert found["second"] == pytest.approx(expected, rel=0.2)


def test_resamples_on_which_a_metric_is_undefined_are_left_out():
    labels = np.array([0] * 9 + [1])
    rows = np.random.default_rng(0).random(10)
    predictions = {"a": predictions_of(rows), "b": predictions_of(rows[::-1].copy())}
    found = standard_errors("roc_auc", labels, predictions, "a", np.random.default_rng(0))
    assert 0 < found["b"] < np.inf


@pytest.fixture
def drawn():
    """Calibrated predictions (1, 900, 3), and labels drawn from them."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(900, 3))
    probabilities = temper(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), 1.0)
    labels = (probabilities.cumsum(axis=1) < rng.random((900, 1))).sum(axis=1)
    return probabilities, labels


def chooser(probabilities, labels, calibrations):
    fits = {"only": Combination((1.0,))}
    fold = np.arange(900) % 3
    return CrossFit(
        probabilities[None], labels, fold, lambda members, labels: fits, calibrations=calibrations
    )


def test_a_temperature_is_chosen_where_it_helps(drawn):
    probabilities, labels = drawn
    sure = temper(probabilities, 0.5)
    _, calibration = chooser(sure, labels, ("none", "temperature")).choose(["only"])
    assert calibration.scales[0] == pytest.approx(0.5, abs=0.05)


def test_no_temperature_is_chosen_where_it_only_fits_noise(drawn):
    probabilities, labels = drawn
    # One out of three folds is misjudged when it is predicted by the temperature of the others.
    sure = probabilities.copy()
    for fold, heat in enumerate((0.8, 1.0, 1.25)):
        rows = np.arange(900) % 3 == fold
        sure[rows] = temper(probabilities[rows], heat)
    _, calibration = chooser(sure, labels, ("none", "temperature")).choose(["only"])
    assert calibration.neutral


def test_each_fold_is_predicted_by_a_temperature_of_the_others(drawn):
    probabilities, labels = drawn
    found = chooser(temper(probabilities, 0.5), labels, ("temperature",))
    predicted = found.predict(["only"])
    for fold in range(3):
        rows = np.arange(900) % 3 == fold
        spoilt = labels.copy()
        spoilt[rows] = (labels[rows] + 1) % 3
        # What the labels of a fold are makes no difference to its predictions.
        again = chooser(temper(probabilities, 0.5), spoilt, ("temperature",)).predict(["only"])
        np.testing.assert_allclose(again[rows], predicted[rows], atol=1e-9)
        assert not np.allclose(again[~rows], predicted[~rows], atol=1e-3)


FOLD = np.array([0, 1, 2, 0, 1, 2, 3, 3])


@pytest.fixture
def seen():
    """Which labels each fit was given."""
    return []


@pytest.fixture
def crossing(seen):
    """Rows are told apart by their label; the weight tells which rows a fit has seen."""
    predictions, _ = make_members([1.0, 1.0], rows=8)

    def fit(members, labels):
        assert members.shape[:2] == (2, len(labels))
        seen.append(tuple(labels.tolist()))
        share = labels.sum() / 100
        return {"one": Combination((share, 1 - share)), "two": Combination((1.0, 0.0))}

    return CrossFit(predictions, np.arange(8), FOLD, fit)


def test_a_fold_is_predicted_without_it(crossing, seen):
    found = crossing.out_of_fold("one")
    assert (0, 2, 3, 5, 6, 7) in seen
    share = 23 / 100
    predictions, _ = make_members([1.0, 1.0], rows=8)
    expected = share * predictions[0, [1, 4]] + (1 - share) * predictions[1, [1, 4]]
    np.testing.assert_allclose(found[FOLD == 1], expected, atol=1e-12)


def test_the_choice_of_one_solver_predicts_as_its_fits_do(crossing):
    np.testing.assert_array_equal(crossing.predict(["one"]), crossing.out_of_fold("one"))


def test_with_a_fold_put_aside_no_fit_has_seen_it(crossing, seen):
    found = crossing.out_of_fold("one", without=1)
    assert len(found) == 6
    assert all({1, 4}.isdisjoint(rows) for rows in seen)
    assert sorted(map(len, seen)) == [4, 4, 4]


def test_a_fit_without_two_folds_serves_twice(crossing, seen):
    for fold in range(4):
        crossing.out_of_fold("one", without=fold)
        crossing.out_of_fold("two", without=fold)
    assert len(seen) == len(set(seen)) == 6
    for solver in ("one", "two"):
        crossing.out_of_fold(solver)
        crossing.out_of_fold(solver)
    assert len(seen) == len(set(seen)) == 10


def test_folds_are_stratified():
    labels = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [50, 30, 10]))
    fold = stratified_folds(labels, 5, np.random.default_rng(0))
    counts = [
        [int(((fold == index) & (labels == k)).sum()) for k in range(3)] for index in range(5)
    ]
    assert counts == [[10, 6, 2]] * 5


def test_folds_are_shuffled():
    labels = np.zeros(100, dtype=int)
    first, other = (stratified_folds(labels, 5, np.random.default_rng(s)) for s in (0, 1))
    assert first.tolist() != other.tolist()
    assert first.tolist() != sorted(first.tolist())
