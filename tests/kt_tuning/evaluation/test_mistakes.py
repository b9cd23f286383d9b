"""The worst mistakes."""

import numpy as np

from kt_tuning.evaluation.diagnostics import Mistake, worst_mistakes

LABELS = np.array([0, 1, 2, 0, 1])
PROBABILITIES = np.array(
    [
        [0.1, 0.6, 0.3],  # wrong, p of truth 0.1
        [0.2, 0.7, 0.1],  # right
        [0.5, 0.4, 0.1],  # wrong, as bad as the first, less confident
        [0.2, 0.1, 0.7],  # wrong, p of truth 0.2
        [0.0, 0.9, 0.1],  # right
    ]
)


def test_the_worst_first_and_only_mistakes():
    assert [mistake.index for mistake in worst_mistakes(LABELS, PROBABILITIES)] == [0, 2, 3]


def test_what_is_known_of_one():
    (worst,) = worst_mistakes(LABELS, PROBABILITIES, count=1)
    assert worst == Mistake(index=0, label=0, predicted=1, confidence=0.6, loss=-np.log(0.1))


def test_none():
    assert worst_mistakes(np.array([0, 1]), np.eye(2)) == ()
