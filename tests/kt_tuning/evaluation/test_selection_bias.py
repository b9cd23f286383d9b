"""The correction of the best of many scores."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.evaluation import METRICS, Interval, corrected_best
from kt_tuning.evaluation import intervals as intervals_module
from kt_tuning.evaluation.selection_bias import CorrectedBest, optimism_of_best


def guesses(candidates, rows, classes=2, seed=0):
    """Models that know nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=rows)
    return rng.dirichlet(np.ones(classes), size=(candidates, rows)), labels


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "f1", "roc_auc"])
@pytest.mark.parametrize("wrong", [0.0, 0.01, 0.2, 1.0])
def test_never_better_than_the_raw_score_nor_outside_its_interval(metric, wrong):
    rng = np.random.default_rng(int(100 * wrong))
    labels = rng.integers(2, size=60)
    mistaken = rng.random((8, 60)) < wrong
    predictions = 0.1 + 0.8 * np.eye(2)[np.where(mistaken, 1 - labels, labels)]
    found = corrected_best(predictions, labels, metric, resamples=50)
    interval, row = found.corrected, METRICS[metric]
    assert found.optimism >= 0
    assert 0 <= interval.low <= interval.value <= interval.high <= row.largest
    assert interval.low < interval.high


@pytest.mark.parametrize("accuracy", [0.9, 0.997])
def test_intervals_contain_the_truth_of_the_best_of_twenty(accuracy):
    # Percentiles of the winner's resamples did so in none of 40 searches at 0.997.
    rng = np.random.default_rng(3)
    labels, covered = np.ones(100, int), []
    for _ in range(40):
        right = rng.random((20, 100)) < accuracy
        predictions = np.stack([1.0 - right, right], axis=2)
        interval = corrected_best(predictions, labels, resamples=50).corrected
        covered.append(interval.low <= accuracy <= interval.high)
    assert np.mean(covered) >= 0.9


def test_the_best_of_many_guesses_is_worth_a_guess():
    # Means over 20 draws: the best of 50 coins on 200 rows shows 0.58, and is worth 0.5.
    found = [corrected_best(*guesses(50, 200, seed=seed), resamples=100) for seed in range(20)]
    raw, corrected = ([one.raw for one in found], [one.corrected.value for one in found])
    error = np.std(corrected, ddof=1) / math.sqrt(20)
    assert np.mean(raw) > 0.56
    # Where all are alike empirical Bayes leaves a fifth of the bias.
    left = 0.25 * (np.mean(raw) - 0.5)
    assert abs(np.mean(corrected) - 0.5) < left + 3 * error
    assert np.mean([one.optimism for one in found]) > 0.05


def test_models_that_failed_do_not_hide_how_close_the_best_are():
    alone, among_failures = [], []
    for seed in range(20):
        predictions, labels = guesses(40, 200, seed=seed)
        wrong = np.stack([np.eye(2)[1 - labels]] * 10)
        alone.append(corrected_best(predictions, labels, resamples=100).optimism)
        found = corrected_best([*predictions, *wrong], labels, resamples=100)
        among_failures.append(found.optimism)
    # The spread of all scores would take off a quarter less.
    assert np.mean(alone) > 0.05
    assert np.mean(among_failures) == pytest.approx(np.mean(alone), rel=0.1)


def test_one_candidate_was_not_chosen():
    predictions, labels = guesses(1, 50)
    found = corrected_best(predictions, labels)
    assert found.corrected.value == found.raw
    assert found.corrected.low < found.raw < found.corrected.high


def test_a_score_that_no_resample_defines_is_not_corrected():
    predictions, _ = guesses(2, 30)
    found = corrected_best(predictions, np.zeros(30, int), "roc_auc", resamples=20)
    assert math.isnan(found.corrected.value)


def test_a_clear_winner_needs_no_correction():
    _, labels = guesses(1, 400, classes=4)
    good = np.eye(4)[np.where(np.arange(400) < 320, labels, (labels + 1) % 4)]
    bad = np.full((400, 4), 0.25)
    found = corrected_best([bad, good, bad], labels, resamples=500)
    assert found.best == 1
    assert found.raw == 0.8
    assert found.corrected.value == pytest.approx(0.8, abs=0.005)
    # The binomial interval of 400 rows.
    half = 1.96 * math.sqrt(0.8 * 0.2 / 400)
    assert found.corrected.high - found.corrected.low == pytest.approx(2 * half, rel=0.2)


def test_optimism_of_a_loss_is_positive():
    predictions, labels = guesses(30, 60)
    found = corrected_best(predictions, labels, "log_loss", resamples=100)
    assert found.raw < found.corrected.value
    assert found.optimism == pytest.approx(found.corrected.value - found.raw)


def test_candidates_without_predictions_or_with_broken_ones():
    predictions, labels = guesses(3, 50)
    broken = predictions[0].copy()
    broken[7, 0] = np.nan
    found = corrected_best([None, broken, *predictions], labels, resamples=50)
    plain = corrected_best(predictions, labels, resamples=50)
    assert found.best == plain.best + 2
    assert found.candidates == 3
    assert found.corrected == plain.corrected


def test_of_equals_the_first_is_best():
    predictions, labels = guesses(1, 30)
    assert corrected_best([*predictions, *predictions], labels, resamples=5).best == 0


def test_predictions_are_taken_one_by_one():
    predictions, labels = guesses(3, 30)
    lazily = corrected_best((one for one in predictions), labels, resamples=20)
    assert lazily == corrected_best(predictions, labels, resamples=20)


def test_same_seed_same_result():
    predictions, labels = guesses(5, 40)
    first, again, other = (
        corrected_best(predictions, labels, "f1", resamples=30, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
def test_the_size_of_a_block_does_not_matter(metric, monkeypatch):
    predictions, labels = guesses(4, 50)
    expected = corrected_best(predictions, labels, metric, resamples=23)
    monkeypatch.setattr(intervals_module, "_BLOCK_CELLS", 250)
    found = corrected_best(predictions, labels, metric, resamples=23)
    assert found.corrected.value == pytest.approx(expected.corrected.value, abs=1e-12)


def test_round_trip(tmp_path):
    found = CorrectedBest("f1", 0.9, Interval(0.8, 0.7, 0.85), best=3, candidates=20, rows=500)
    found.save(tmp_path / "corrected.json")
    assert CorrectedBest.load(tmp_path / "corrected.json") == found
    assert str(found) == (
        "f1 0.9000, the best of 20 candidates on 500 images; 0.8000 after correction for this "
        "selection (95% interval 0.7000 to 0.8500)"
    )


def best_of_epochs(seed, *, trials=20, epochs=12, rows=359, accuracy=0.9):
    """Trainings that are all alike: whether each row is right in the best epoch; all accuracies."""
    rng = np.random.default_rng(seed)
    threshold = NormalDist().inv_cdf(accuracy)
    # Rows are hard for all trainings; an epoch shares more with its own training's others.
    noise = (
        math.sqrt(0.5) * rng.normal(size=(1, 1, rows))
        + math.sqrt(0.3) * rng.normal(size=(trials, 1, rows))
        + math.sqrt(0.2) * rng.normal(size=(trials, epochs, rows))
    )
    right = noise < threshold
    accuracies = right.mean(axis=2)
    best = accuracies.argmax(axis=1)
    others = accuracies[np.arange(epochs) != best[:, None]]
    return np.eye(2)[right[np.arange(trials), best].astype(int)], others


def test_the_choice_of_the_epoch_is_corrected_with_the_scores_of_the_others():
    labels, left, without, covered = np.ones(359, int), [], [], []
    for seed in range(30):
        predictions, others = best_of_epochs(seed)
        found = corrected_best(predictions, labels, other_epochs=others)
        without.append(corrected_best(predictions, labels).corrected.value - 0.9)
        left.append(found.corrected.value - 0.9)
        covered.append(found.corrected.low <= 0.9 <= found.corrected.high)
    assert (found.candidates, found.epochs) == (20, 240)
    # The raw scores are 3.5 points too good.
    assert np.mean(without) > 0.015
    assert abs(np.mean(left)) < 0.5 * np.mean(without)
    assert np.mean(covered) >= 0.9


def test_epochs_of_a_single_training_are_not_corrected():
    predictions, _ = guesses(1, 50)
    found = corrected_best(predictions, *guesses(1, 50)[1:], other_epochs=[0.4, 0.5])
    assert found.epochs == 0
    assert found.corrected.value == found.raw


def test_epochs_that_diverged_decide_nothing():
    predictions, labels = guesses(5, 50)
    found = corrected_best(predictions, labels, other_epochs=[0.5, math.nan])
    plain = corrected_best(predictions, labels, other_epochs=[0.5])
    assert found.corrected == plain.corrected


def test_epochs_are_told():
    found = CorrectedBest("f1", 0.9, Interval(0.8, 0.7, 0.85), 3, 20, rows=500, epochs=240)
    assert "the best of 20 candidates with 240 epochs on 500 images" in str(found)


def test_macro_averages_of_labels_that_lack_a_class_are_corrected_without_an_interval():
    predictions, _ = guesses(4, 50, classes=3)
    found = corrected_best(predictions, np.arange(50) % 2, "f1", resamples=20)
    assert found.corrected.value <= found.raw
    assert "95% interval n/a (a class has no images)" in str(found)


def test_a_choice_of_epochs_is_said_in_the_same_sentence():
    found = CorrectedBest(
        "accuracy", 0.9, Interval(0.8, 0.7, 0.85), best=3, candidates=20, rows=500, best_epochs=True
    )
    assert str(found).endswith(
        "0.8500); each best epoch was chosen on the same images, which is not corrected and "
        "typically adds 1.4 to 2.4 points of accuracy"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"metric": "acuracy"}, OptionError, "'acuracy'"),
        ({"resamples": 0}, OptionError, "Received: 0"),
        ({"predictions": [[[0.5, 0.5]]], "labels": [1]}, DataError, "Expected 2 rows or more"),
        ({"predictions": []}, DataError, "finite predictions. Received: none"),
        ({"predictions": [None]}, DataError, "finite predictions. Received: none"),
        ({"predictions": [[[0.5, 0.5]]]}, DataError, r"labels \(2,\), probabilities \(1, 2\)"),
    ],
)
def test_refused(arguments, error, message):
    predictions = [[[0.5, 0.5], [0.1, 0.9]]]
    with pytest.raises(error, match=message):
        corrected_best(**{"predictions": predictions, "labels": [0, 1], **arguments})


def measured(true, event, rng):
    """Errors that are Poisson counts of events, and the luck of bootstraps of them."""
    counts = rng.poisson(true / event)
    luck = rng.poisson(np.repeat(counts[:, None], 200, axis=1)) - counts[:, None]
    return event * counts, event * luck


def test_a_gamma_distribution_has_the_textbook_answer():
    # Of a Poisson count k with a Gamma(a, scale) mean the posterior mean is
    # (k + a) / (1 + 1 / scale).
    rng = np.random.default_rng(0)
    shape, scale, event = 4.0, 5.0, 0.01
    errors, luck = measured(event * rng.gamma(shape, scale, size=2000), event, rng)
    count = errors.min() / event
    expected = event * ((count + shape) / (1 + 1 / scale) - count)
    assert optimism_of_best(errors, luck) == pytest.approx(expected, rel=0.3)


def test_the_best_of_equals_is_worth_little_more_than_their_mean():
    rng = np.random.default_rng(1)
    found, whole = [], []
    for _ in range(20):
        errors, luck = measured(np.full(50, 0.1), 0.001, rng)
        found.append(optimism_of_best(errors, luck))
        whole.append(0.1 - errors.min())
    assert 0.7 * np.mean(whole) < np.mean(found) < 1.05 * np.mean(whole)


def test_candidates_that_failed_change_nothing():
    rng = np.random.default_rng(2)
    errors, luck = measured(np.full(30, 0.1), 0.001, rng)
    failed, theirs = measured(np.full(20, 0.8), 0.001, rng)
    among = optimism_of_best(np.append(errors, failed), np.concatenate([luck, theirs]))
    assert among == pytest.approx(optimism_of_best(errors, luck), rel=0.15)


def test_a_clear_winner_was_not_lucky():
    rng = np.random.default_rng(3)
    errors, luck = measured(np.array([0.1, 0.3, 0.32, 0.31]), 0.0001, rng)
    assert optimism_of_best(errors, luck) < 0.001


@pytest.mark.parametrize(
    ("errors", "spread"),
    [([0.2], 0.01), ([0.2, 0.2, 0.2], 0.01), ([0.1, 0.2], 0.0), ([0.0] * 3, 0.0)],
)
def test_nothing_to_correct(errors, spread):
    luck = spread * np.random.default_rng(0).normal(size=(len(errors), 50))
    assert optimism_of_best(np.array(errors), luck) == pytest.approx(0.0, abs=1e-15)


def test_resamples_on_which_a_score_is_undefined_are_left_out():
    rng = np.random.default_rng(4)
    errors, luck = measured(np.full(10, 0.1), 0.001, rng)
    broken = np.column_stack([luck, np.full(10, np.nan)])
    assert optimism_of_best(errors, broken) == optimism_of_best(errors, luck)
