"""Test-time augmentation, against the loop that it stands for."""

import numpy as np
import pytest

from kt_tuning.augment import Policy, Step, augment
from kt_tuning.core.errors import OptionError
from kt_tuning.ensembling import AugmentedPredictor, candidates_of
from kt_tuning.evaluation import evaluate

POLICY = Policy((Step("flip", 1.0, 0.5), Step("rotate", 20.0), Step("brightness", 0.4)))


def left_brightness(images):
    """Probabilities from the brightness of the left half."""
    share = images[:, :, : images.shape[2] // 2].mean(axis=(1, 2, 3)) / 255
    return np.stack([share, 1 - share], axis=1)


def test_the_mean_of_the_image_and_its_versions(stripes):
    images = stripes.validation.images
    predictor = AugmentedPredictor(left_brightness, POLICY, draws=5, seed=3)
    expected = []
    for image in images:
        answers = [left_brightness(image[None])[0]]
        for uniforms in predictor.uniforms:
            answers.append(left_brightness(augment(POLICY, image[None], uniforms[None]))[0])
        expected.append(np.mean(answers, axis=0))
    assert len(answers) == 6
    found = predictor.predict(images)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32


def test_an_image_is_predicted_alike_in_any_company(stripes):
    images = stripes.train.images
    predictor = AugmentedPredictor(left_brightness, "standard", draws=3)
    together = predictor.predict(images)
    np.testing.assert_array_equal(together[7:9], predictor.predict_on_batch(images[7:9]))
    again = AugmentedPredictor(left_brightness, "standard", draws=3).predict(images)
    np.testing.assert_array_equal(together, again)
    other = AugmentedPredictor(left_brightness, "standard", draws=3, seed=1).predict(images)
    assert not np.array_equal(together, other)


def test_nothing_drawn_nothing_changed(stripes):
    images = stripes.validation.images
    found = AugmentedPredictor(left_brightness, "none", draws=2).predict(images)
    np.testing.assert_allclose(found, left_brightness(images), atol=1e-6)


def test_each_slice_of_each_dimension_has_one_point():
    points = AugmentedPredictor(left_brightness, POLICY, draws=8).uniforms
    assert points.shape == (8, POLICY.draws)
    for column in points.T:
        assert sorted(np.floor(column * 8)) == list(range(8))
    assert len({tuple(np.argsort(column)) for column in points.T}) == POLICY.draws


def test_it_is_judged_and_weighed_like_a_model(stripes):
    predictor = AugmentedPredictor(left_brightness, POLICY, draws=2)
    scores = evaluate(predictor, stripes.test, bootstrap=10)
    assert scores.images == 12
    member = candidates_of({"varied": predictor}, stripes).members[0]
    assert member.load is None
    np.testing.assert_array_equal(member.predictions, predictor.predict(stripes.validation.images))


@pytest.mark.parametrize("draws", [0, 1.5, True])
def test_draws_is_a_number_of_versions(draws):
    with pytest.raises(OptionError, match="draws"):
        AugmentedPredictor(left_brightness, POLICY, draws=draws)
