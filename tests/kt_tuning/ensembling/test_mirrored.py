"""Members that predict the mean over an image and its mirror image."""

import dataclasses

import keras
import numpy as np
import pytest
from ensemble_models import SHAPE, build

from kt_tuning import Ensemble, ImageData, Recipe, Tuner, open_run
from kt_tuning.augment import Policy, Step
from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.ensembling import EnsembleRecord, Member, with_mirror_images
from kt_tuning.ensembling.combination import average_mirrored
from kt_tuning.ensembling.run_files import read_validated
from kt_tuning.evaluation.explanations import grad_cam

LABELS = np.arange(60) % 2
RECIPE = Recipe(augment=Policy((Step("flip", 1.0, 0.5),)))


def probabilities(seed, sureness=1.0):
    """Noisy probabilities (60, 2) of the labels."""
    logits = np.random.default_rng(seed).normal(0, 1, (60, 2))
    logits[np.arange(60), LABELS] += sureness
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def member(**changes):
    found = Member("0", probabilities(0), load=lambda: build(0), cost=5.0)
    return dataclasses.replace(found, **changes)


def test_the_model_is_the_mean_over_both_images(images):
    model = build(0)
    mirrored = average_mirrored(model)
    expected = (model.predict_on_batch(images) + model.predict_on_batch(images[:, :, ::-1])) / 2
    got = mirrored.predict_on_batch(images)
    np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(got, mirrored.predict_on_batch(images[:, :, ::-1]))


def test_a_member_that_gains_costs_twice_as_much(images):
    clearer = (probabilities(0) + probabilities(1, sureness=2.0)) / 2
    chosen = with_mirror_images(member(), clearer, LABELS)
    assert chosen.mirrored
    assert chosen.cost == 10.0
    assert chosen.predictions is clearer
    np.testing.assert_allclose(
        chosen.model().predict_on_batch(images),
        average_mirrored(build(0)).predict_on_batch(images),
        atol=1e-6,
        rtol=0,
    )


def test_with_folds_the_models_of_all_folds_are_mirrored(images):
    clearer = (probabilities(0) + probabilities(1, sureness=2.0)) / 2
    folds = member(load_folds=lambda: [build(0), build(1)])
    for made, seed in zip(with_mirror_images(folds, clearer, LABELS).models(), (0, 1), strict=True):
        expected = average_mirrored(build(seed)).predict_on_batch(images)
        np.testing.assert_allclose(made.predict_on_batch(images), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("predictions", "penalty"),
    [
        (None, 0.0),
        (probabilities(0), 0.0),  # the same
        (probabilities(5, sureness=0.2), 0.0),  # worse
        ((probabilities(0) + probabilities(1, sureness=2.0)) / 2, 0.9),  # better by less than that
    ],
)
def test_a_member_that_gains_too_little_stays_as_it_is(predictions, penalty):
    plain = member()
    assert with_mirror_images(plain, predictions, LABELS, cost_penalty=penalty) is plain


@pytest.mark.parametrize(
    ("steps", "mirrors"),
    [
        ((), False),
        ((Step("crop", 0.1),), False),
        ((Step("flip", 1.0, 0.0),), False),
        ((Step("flip", 1.0, 0.5),), True),
    ],
)
def test_a_policy_mirrors_or_not(steps, mirrors):
    assert Policy(steps).mirrors is mirrors


def test_a_record_says_of_each_member_whether_it_is_mirrored():
    content = {
        **{"trial_ids": ["0"], "weights": [1.0], "solver": "single", "cross_fitted": {}},
        "member_scores": [0.5],
    }
    assert not EnsembleRecord.from_json(content).mirrors(0)
    assert EnsembleRecord.from_json({**content, "mirrored": [True]}).mirrors(0)
    with pytest.raises(StorageError, match="mirrored"):
        EnsembleRecord.from_json({**content, "mirrored": [True, False]})


def half_sighted(hp):
    """A model that sees the left half of an image alone: the mirror image shows it the other."""
    inputs = keras.Input((8, 8, 1), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Cropping2D(((0, 0), (0, 4)))(x)
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    model.compile(
        keras.optimizers.Adam(hp.Float("rate", 0.01, 0.02)), "sparse_categorical_crossentropy"
    )
    return model


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search for models that see half of each image, and its data."""
    rng = np.random.default_rng(0)
    labels = np.arange(700) % 2
    images = rng.integers(0, 256, (700, 8, 8, 1)).astype(np.float64)
    images += 30 * labels[:, None, None, None]
    data = ImageData.from_arrays(np.clip(images, 0, 255).astype(np.uint8), labels)
    tuner = Tuner(
        half_sighted,
        recipe=RECIPE,
        strategy="random",
        max_trials=1,
        epochs=8,
        directory=tmp_path_factory.mktemp("mirrored"),
        project_name="run",
    )
    tuner.search(data, verbose=False)
    return tuner, data


def test_a_search_makes_an_ensemble_of_mirrored_members(searched):
    tuner, data = searched
    ensemble = tuner.ensemble()
    assert set(ensemble.record.mirrored) == {True}
    assert ", mirrored" in repr(ensemble)
    shown = data.validation.images
    predicted = ensemble.predict(shown)
    # What is reported is what the model predicts, here and after a restart.
    recorded = read_validated(tuner.run_directory)
    np.testing.assert_allclose(recorded.probabilities, predicted, atol=1e-5, rtol=0)
    again = open_run(tuner.run_directory, hypermodel=half_sighted, recipe=RECIPE)
    reopened = again._current_ensemble(data).predict(shown)
    np.testing.assert_allclose(reopened, predicted, atol=1e-6, rtol=0)
    loaded = Ensemble.load(tuner.run_directory)
    np.testing.assert_allclose(loaded.predict(shown), predicted, atol=1e-6, rtol=0)
    tuner.report()
    page = (tuner.run_directory / "report.html").read_text()
    assert "is the mean over an image and its mirror image" in page
    assert "averaged over mirror images" in page


def test_it_is_not_made_where_that_is_not_wanted(searched):
    tuner, _ = searched
    assert not tuner.ensemble(mirror=False).record.mirrored


def test_a_trial_keeps_the_predictions_of_mirror_images(searched):
    tuner, data = searched
    run = tuner._run
    for record in map(TrialRecord.load, tuner.run_directory.glob("trial_*/result.json")):
        model = tuner._load(record)
        both = average_mirrored(model).predict_on_batch(data.validation.images)
        kept = run.mirrored_predictions(record.trial_id)
        np.testing.assert_allclose(kept, both, atol=1e-5, rtol=0)
        np.load(tuner.run_directory / f"trial_{record.trial_id}" / "val_predictions_mirrored.npy")


def test_refitted_members_are_mirrored_as_well(searched):
    tuner, data = searched
    tuner.ensemble()
    refitted = tuner.refit(data=data).ensemble
    shown = data.test.images[:8]
    np.testing.assert_array_equal(refitted.predict(shown), refitted.predict(shown[:, :, ::-1]))


def test_grad_cam_explains_the_image_and_not_its_mirror_image():
    # A network that looks for light, which these images have on the left alone.
    inputs = keras.Input(SHAPE, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(1, 1, kernel_initializer="ones", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    head = keras.layers.Dense(2, kernel_initializer=lambda *_, **__: [[1.0, -1.0]])
    model = keras.Model(inputs, keras.layers.Softmax()(head(x)))
    images = np.zeros((2, *SHAPE), np.uint8)
    images[:, :, :2] = 200
    for explained in (model, average_mirrored(model)):
        shown = grad_cam(explained, images)
        assert shown[:, :, :2].min() == 1
        assert shown[:, :, 2:].max() == 0
