"""Boosting: what members are trained on, how they vote, and when it ends."""

import math

import numpy as np
import pytest
from stripe_models import clueless, configured, knowing
from striped import striped_images

from kt_tuning.core.errors import SearchError
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Ensemble, boosting_round
from kt_tuning.finalize import boost
from kt_tuning.finalize.bag_boost_snapshots import draw_rows


def test_rows_are_drawn_by_weight():
    labels = np.repeat([0, 1], 500)
    weights = np.where(np.arange(1000) % 10 == 0, 5.0, 1.0)
    weights /= weights.sum()
    rows = draw_rows(weights, labels, np.random.default_rng(0))
    assert len(rows) == 1000
    heavy = np.mean(rows % 10 == 0)
    assert abs(heavy - 5 / 14) < 0.05


def test_no_class_is_left_out():
    labels = np.repeat([0, 1, 2], 4)
    weights = np.where(labels == 1, 0.25, 0.0)
    weights[10] = 1e-9
    rows = draw_rows(weights / weights.sum(), labels, np.random.default_rng(0))
    assert set(labels[rows]) == {0, 1, 2}
    assert 10 in rows, "the heaviest of its class"


@pytest.fixture
def mislabelled():
    """Stripes of which every sixth has the wrong label: 100 to train on."""
    images, labels = striped_images(140)
    labels = np.where(np.arange(140) % 6 == 0, 1 - labels, labels)
    split = slice(0, 100), slice(100, 120), slice(120, 140)
    train, validation, test = ((images[part], labels[part]) for part in split)
    return ImageData.from_arrays(*train, validation=validation, test=test)


def test_two_rounds(mislabelled, tmp_path):
    # A model that knows stripes gets the wrong labels wrong, and learns nothing from them.
    found = boost(configured(knowing), mislabelled, tmp_path, rounds=2, verbose=False)
    wrong = np.arange(100) % 6 == 0
    assert wrong.sum() == 17
    first = boosting_round(np.ones(100), wrong, 2)
    assert found.votes["boost/0000"] == pytest.approx(math.log(0.83 / 0.17))
    np.testing.assert_array_equal(np.load(tmp_path / "trial_0000" / "train_errors.npy"), wrong)
    # To the second member, the same model, half the weight is wrong: it has no vote.
    assert boosting_round(first.weights, wrong, 2).vote == pytest.approx(0, abs=1e-9)
    assert (tmp_path / "trial_0001" / "result.json").exists()
    assert [member.name for member in found.members] == ["boost/0000"]
    assert found.combination.weights == (1.0,)


def test_members_that_learn_are_weighted_by_their_votes(mislabelled, tmp_path):
    found = boost(configured(epochs=8), mislabelled, tmp_path, rounds=2, verbose=False)
    assert len(found.members) > 1
    assert all(vote > 0 for vote in found.votes.values())
    votes = np.array([found.votes[member.name] for member in found.members])
    np.testing.assert_allclose(found.combination.weights, votes / votes.sum())
    ensemble = Ensemble([member.load() for member in found.members], found.combination)
    predictions = np.stack([member.predictions for member in found.members])
    np.testing.assert_allclose(
        ensemble.predict(mislabelled.validation.images),
        np.tensordot(votes / votes.sum(), predictions, axes=1),
        atol=1e-5,
    )


def test_it_ends_when_nothing_is_wrong(stripes, tmp_path):
    found = boost(configured(knowing), stripes, tmp_path, rounds=3, verbose=False)
    assert found.votes == {"boost/0000": pytest.approx(math.log(71))}, "half of 36 images"
    assert not (tmp_path / "trial_0001").exists()


def test_the_first_member_has_to_know_something(stripes, tmp_path):
    with pytest.raises(SearchError, match="50% of them wrong"):
        boost(configured(clueless), stripes, tmp_path, rounds=2, verbose=False)
