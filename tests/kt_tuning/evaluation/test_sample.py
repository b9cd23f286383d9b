"""How many images a costly measurement looks at, and which."""

import numpy as np
import pytest

from kt_tuning.evaluation.sample import affordable, stratified_sample


@pytest.mark.parametrize(
    ("available", "each", "seconds", "expected"),
    [
        (400, 0.1, 60, 400),  # 40 s for all
        (400, 0.2, 60, 200),  # 300 fit
        (400, 0.4, 60, 100),  # 150 fit
        (10_000, 0.1, 60, 500),  # 600 fit
        (400, 100.0, 60, 50),  # none fits
        (30, 100.0, 60, 30),
        (55, 1.0, 52, 50),
    ],
)
def test_affordable_images(available, each, seconds, expected):
    assert affordable(available, each, seconds) == expected


def test_a_sample_has_each_class_by_its_share():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    chosen = stratified_sample(labels, 20, seed=1)
    assert np.bincount(labels[chosen]).tolist() == [12, 6, 2]
    assert len(set(chosen.tolist())) == 20
    assert (np.diff(chosen) > 0).all()


def test_a_sample_depends_on_the_seed_alone():
    labels = np.repeat([0, 1], 50)
    first, again, other = (stratified_sample(labels, 10, seed=seed).tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_sample_of_more_images_than_there_are_is_all():
    assert stratified_sample([1, 0, 1], 5, seed=0).tolist() == [0, 1, 2]
