"""SAMME, against the formulas by hand and scikit-learn's AdaBoost."""

import math

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import AdaBoostClassifier

from kt_tuning.finalize.repeated_training import boosting_round


def test_one_of_four_wrong():
    found = boosting_round(np.full(4, 0.25), np.array([True, False, False, False]), 2)
    assert found.error == 0.25
    assert found.vote == pytest.approx(math.log(3))
    np.testing.assert_allclose(found.weights, [1 / 2, 1 / 6, 1 / 6, 1 / 6])
    assert not found.last


def test_more_classes_make_a_vote_easier_to_get():
    wrong = np.array([True, True, True, False, False])
    assert boosting_round(np.ones(5), wrong, 2).vote < 0
    assert boosting_round(np.ones(5), wrong, 4).vote == pytest.approx(math.log(2 / 3 * 3))


def test_as_scikit_learn_boosts():
    images, labels = load_iris(return_X_y=True)
    theirs = AdaBoostClassifier(n_estimators=6, random_state=0)
    if theirs.get_params().get("algorithm") == "SAMME.R":  # before scikit-learn 1.6
        theirs.set_params(algorithm="SAMME")
    theirs.fit(images, labels)
    assert len(theirs.estimators_) == 6
    weights = np.full(len(labels), 1 / len(labels))
    for place, stump in enumerate(theirs.estimators_):
        found = boosting_round(weights, stump.predict(images) != labels, 3)
        assert found.error == pytest.approx(theirs.estimator_errors_[place])
        assert found.vote == pytest.approx(theirs.estimator_weights_[place])
        weights = found.weights


def test_it_ends_with_a_member_that_guesses():
    wrong = np.array([True, True, False])
    assert boosting_round(np.ones(3), wrong, 3).vote == pytest.approx(0, abs=1e-12)
    assert boosting_round(np.ones(3), np.ones(3, dtype=bool), 3).last


def test_a_perfect_member_votes_as_if_half_an_image_were_wrong():
    found = boosting_round(np.ones(4), np.zeros(4, dtype=bool), 2)
    assert found.error == 0
    assert found.vote == pytest.approx(math.log(7))
    assert found.last
