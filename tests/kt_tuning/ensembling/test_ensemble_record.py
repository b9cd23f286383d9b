"""Diversity by hand, and the identity."""

import numpy as np
import pytest
from member_cases import make_members

from kt_tuning.core.errors import DataError
from kt_tuning.ensembling.record import Diversity, measure_diversity

LABELS = np.zeros(10, dtype=int)


def from_right(*patterns):
    """Members that are right where the pattern has a 1."""
    right = np.array([[int(digit) for digit in pattern] for pattern in patterns])
    of_truth = np.where(right, 0.9, 0.2)
    return np.stack([of_truth, 1 - of_truth], axis=2)


# Both right: 4, only the first: 3, only the second: 2, none: 1.
PAIR = from_right("1111111000", "1111000110")


def test_pair_by_hand():
    found = measure_diversity(PAIR, LABELS, [0.5, 0.5])
    assert found.disagreement[0][1] == pytest.approx(5 / 10)
    assert found.q_statistic[0][1] == pytest.approx((4 * 1 - 3 * 2) / (4 * 1 + 3 * 2))
    right = np.array([[1] * 7 + [0] * 3, [1] * 4 + [0] * 3 + [1] * 2 + [0]])
    assert found.error_correlation[0][1] == pytest.approx(np.corrcoef(right)[0, 1])


def test_matrices_are_symmetric_and_compare_a_member_with_itself():
    found = measure_diversity(PAIR, LABELS, [0.5, 0.5])
    for name, own in (("disagreement", 0), ("q_statistic", 1), ("error_correlation", 1)):
        matrix = np.array(getattr(found, name))
        np.testing.assert_allclose(matrix, matrix.T)
        np.testing.assert_allclose(np.diag(matrix), own)


def test_members_that_never_err_together():
    found = measure_diversity(from_right("1111100000", "0000011111"), LABELS, [0.5, 0.5])
    pair = (found.disagreement[0][1], found.q_statistic[0][1], found.error_correlation[0][1])
    assert pair == (1.0, -1.0, -1.0)


def test_independent_members():
    found = measure_diversity(*make_members([1.0, 1.0], rows=20_000), [0.5, 0.5])
    assert abs(found.q_statistic[0][1]) < 0.05
    assert abs(found.error_correlation[0][1]) < 0.03


def test_a_member_that_is_always_right_has_no_correlation():
    found = measure_diversity(from_right("1111111111", "1111000110"), LABELS, [0.5, 0.5])
    assert found.error_correlation[0][1] is None
    assert found.q_statistic[0][1] is None
    assert found.disagreement[0][1] == pytest.approx(0.4)


@pytest.mark.parametrize("seed", range(3))
def test_the_error_of_the_mean_is_that_of_the_members_less_their_ambiguity(seed):
    rng = np.random.default_rng(seed)
    predictions, labels = make_members([0.5, 1.0, 1.5, 0.0], rows=200, seed=seed)
    weights = rng.dirichlet(np.ones(4))
    found = measure_diversity(predictions, labels, weights)
    assert found.ensemble_error == pytest.approx(found.member_error - found.ambiguity, abs=1e-12)
    truth = np.eye(4)[labels]
    mean = np.tensordot(weights, predictions, axes=1)
    assert found.ensemble_error == pytest.approx(((mean - truth) ** 2).sum(axis=1).mean())
    assert found.member_error == pytest.approx(
        weights @ ((predictions - truth) ** 2).sum(axis=2).mean(axis=1)
    )
    assert found.ambiguity > 0


def test_copies_have_no_ambiguity():
    predictions, labels = make_members([1.0])
    found = measure_diversity(np.repeat(predictions, 3, axis=0), labels, [0.2, 0.3, 0.5])
    assert found.ambiguity == pytest.approx(0, abs=1e-12)


def test_means_over_pairs():
    # Pairs (0, 1), (0, 2), (1, 2); the last two have a member that is always right.
    found = measure_diversity(np.concatenate([PAIR, from_right("1" * 10)]), LABELS, [0.4, 0.3, 0.3])
    means = found.pair_means()
    assert means["disagreement"] == pytest.approx((0.5 + 0.3 + 0.4) / 3)
    assert means["q_statistic"] == pytest.approx(-0.2)


def test_one_member_has_no_pairs():
    found = measure_diversity(PAIR[:1], LABELS, [1.0])
    assert found.pair_means() == dict.fromkeys(("disagreement", "q_statistic", "error_correlation"))
    assert found.ambiguity == 0


def test_round_trip(tmp_path):
    found = measure_diversity(from_right("1111111111", "1111000110"), LABELS, [0.5, 0.5])
    found.save(tmp_path / "diversity.json")
    assert Diversity.load(tmp_path / "diversity.json") == found


def test_weights_that_do_not_fit():
    with pytest.raises(DataError, match=r"each of the 2 members. Received: .*\(3,\)"):
        measure_diversity(PAIR, LABELS, [0.3, 0.3, 0.4])
