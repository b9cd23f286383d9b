"""The mean over folds: what is served is calibrated like what was measured out of fold."""

import keras
import numpy as np
import pytest
from member_cases import softmax

from kt_tuning.core.errors import OptionError
from kt_tuning.ensembling import Combination, Ensemble, Member
from kt_tuning.ensembling.calibration import Calibration, fit_temperature
from kt_tuning.ensembling.combination import mean_over_folds, sharpening_of
from kt_tuning.evaluation import measure_reliability
from kt_tuning.evaluation.test_uses import model_digest

FOLDS, ROWS, CLASSES = 4, 4000, 5


def said(rng, noise, scale):
    """Labels, and what four models of the same skill say: the true logits and errors of their own.

    The scale makes them surer than they should be, above 1, or less sure.
    """
    truth = rng.normal(size=(ROWS, CLASSES)) * 1.5
    probabilities = softmax(truth)
    labels = (probabilities.cumsum(axis=1) < rng.random((ROWS, 1))).sum(axis=1)
    errors = rng.normal(size=(FOLDS, ROWS, CLASSES)) * noise
    return labels.clip(max=CLASSES - 1), softmax(scale * (truth + errors))


def error(labels, probabilities):
    return measure_reliability(labels, probabilities).expected_error


@pytest.mark.parametrize(("noise", "scale"), [(1.0, 1.0), (0.2, 0.6)])
def test_the_mean_is_calibrated_like_its_parts(noise, scale):
    labels, parts = said(np.random.default_rng(0), noise, scale)
    out_of_fold = parts[np.arange(ROWS) % FOLDS, np.arange(ROWS)]
    combination = Combination((1.0,), (fit_temperature(out_of_fold, labels),))
    fresh, parts = said(np.random.default_rng(1), noise, scale)
    sharpening = sharpening_of(combination, out_of_fold[None], labels, FOLDS)
    served = mean_over_folds(FOLDS, sharpening).predict(
        [combination.predict(part[None]) for part in parts]
    )
    assert error(labels, combination.predict(out_of_fold[None])) < 0.03
    assert error(fresh, served) < 0.04
    if noise == 1:
        # The temperature of single models, applied to their mean.
        assert error(fresh, combination.predict(parts.mean(axis=0)[None])) > 0.1


def test_the_mean_over_folds_is_that_of_the_logits():
    # sqrt(0.9 * 0.5) : sqrt(0.1 * 0.5) = 3 : 1, and squared 9 : 1.
    parts = np.array([[[0.9, 0.1]], [[0.5, 0.5]]])
    np.testing.assert_allclose(mean_over_folds(2, 2.0).predict(parts), [[0.9, 0.1]], atol=1e-12)


def test_what_makes_a_model_surer_is_kept():
    labels, parts = said(np.random.default_rng(0), 0.2, 0.5)
    assert sharpening_of(Combination((1.0,), (0.5,)), parts[:1], labels, FOLDS) == 1.0


def test_what_makes_a_model_less_sure_is_taken_back_in_part():
    labels, parts = said(np.random.default_rng(0), 1.0, 2.0)
    heat = fit_temperature(parts[0], labels)
    found = sharpening_of(Combination((1.0,), (heat,)), parts[:1], labels, FOLDS)
    assert 1 < found < heat
    assert found == pytest.approx(heat / np.sqrt(1 + (heat**2 - 1) / FOLDS))


def test_without_calibration_nothing_is_taken_back():
    labels, parts = said(np.random.default_rng(0), 1.0, 2.0)
    assert sharpening_of(Combination((1.0,)), parts[:1], labels, FOLDS) == 1.0


def build(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def models():
    return [build(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), dtype=np.uint8)


def test_each_fold_is_combined_and_calibrated_before_the_mean(models, images, tmp_path):
    combination = Combination((0.3, 0.7), (2.0, 0.5), calibrations=(Calibration((1.2,)),))
    folds = [models[:2], models[2:]]
    ensemble = Ensemble(folds, combination, sharpening=1.3)
    answers = [[model.predict_on_batch(images) for model in fold] for fold in folds]
    expected = mean_over_folds(2, 1.3).predict(
        [combination.predict([answers[0][fold], answers[1][fold]]) for fold in range(2)]
    )
    np.testing.assert_allclose(ensemble.predict(images), expected, atol=1e-6)
    assert len(ensemble) == 2
    assert ensemble.count_params() == 4 * models[0].count_params()
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "ensemble.keras", compile=False)
    assert model_digest(loaded) == model_digest(ensemble)


def test_the_record_says_how_many_folds_and_what_is_taken_back(models):
    labels, parts = said(np.random.default_rng(0), 1.0, 2.0)
    member = Member("0", parts[0], load_folds=lambda: models[:2])
    ensemble = Ensemble.from_members([member], labels)
    assert ensemble.record.folds == 2
    combination = ensemble.record.combination
    assert ensemble.record.sharpening == sharpening_of(combination, parts[:1], labels, 2) > 1


def test_members_of_different_numbers_of_folds_are_refused(models):
    with pytest.raises(OptionError, match=r"same number of folds. Received: \[2, 1\]"):
        Ensemble([models[:2], models[2]], [0.5, 0.5])


@pytest.mark.parametrize("change", ["weights", "sharpening", "model"])
def test_another_ensemble_has_another_digest(models, change):
    changed = {
        "weights": Ensemble([models[:2], models[2:]], [0.6, 0.4]),
        "sharpening": Ensemble([models[:2], models[2:]], [0.5, 0.5], sharpening=1.1),
        "model": Ensemble([models[:2], [models[2], build(9)]], [0.5, 0.5]),
    }
    base = Ensemble([models[:2], models[2:]], [0.5, 0.5])
    assert model_digest(base) == model_digest(Ensemble([models[:2], models[2:]], [0.5, 0.5]))
    assert model_digest(changed[change]) != model_digest(base)


def test_what_is_no_keras_model_has_no_digest():
    assert model_digest(lambda images: images) is None
