import numpy as np
import pytest
from member_cases import make_members

from kt_tuning.data.stratified_split import stratified_folds
from kt_tuning.ensembling import Combination
from kt_tuning.ensembling.model_selection import CrossFit

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
        return {"one": Combination.average([share, 1 - share]), "two": Combination((1.0, 0.0))}

    return CrossFit(predictions, np.arange(8), FOLD, fit)


def test_a_fold_is_predicted_without_it(crossing, seen):
    found = crossing.predict("one", 1)
    assert seen == [(0, 2, 3, 5, 6, 7)]
    share = 23 / 100
    predictions, _ = make_members([1.0, 1.0], rows=8)
    expected = share * predictions[0, [1, 4]] + (1 - share) * predictions[1, [1, 4]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_out_of_fold_predictions_keep_the_order_of_rows(crossing):
    found = crossing.out_of_fold("one")
    for fold in range(4):
        np.testing.assert_array_equal(found[fold == FOLD], crossing.predict("one", fold))


def test_with_a_fold_put_aside_no_fit_has_seen_it(crossing, seen):
    found = crossing.out_of_fold("one", without=1)
    assert len(found) == crossing.rows(1).sum() == 6
    assert all({1, 4}.isdisjoint(rows) for rows in seen)
    assert sorted(map(len, seen)) == [4, 4, 4]


def test_a_fit_without_two_folds_serves_twice(crossing, seen):
    for fold in crossing.folds:
        crossing.out_of_fold("one", without=fold)
        crossing.out_of_fold("two", without=fold)
    assert len(seen) == len(set(seen)) == 6
    for solver in ("one", "two"):
        crossing.out_of_fold(solver)
        crossing.out_of_fold(solver)
    assert len(seen) == len(set(seen)) == 10


def test_means_are_those_of_the_fits(crossing):
    assert crossing.mean(lambda fit: fit.size, "one") == 2
    assert crossing.mean(lambda fit: fit.size, "two", without=0) == 1


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
