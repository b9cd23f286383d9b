"""Ensembles of tiny Keras models, against the weighted average in NumPy."""

import keras
import numpy as np
import pytest
from ensemble_models import CLASSES, SHAPE, WEIGHTS, average, build, saves

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.ensembling import Combination, Ensemble, Member
from kt_tuning.ensembling.calibration import Calibration
from kt_tuning.evaluation import evaluate, score

# One model


def test_prediction_is_the_weighted_average(ensemble, predictions, images):
    got = ensemble.predict(images)
    assert got.dtype == np.float32
    expected = np.tensordot(WEIGHTS, predictions.astype(np.float64), axes=1)
    np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)


def test_functional_sequential_and_float_members_mix(images):
    models = [build(0), build(1, sequential=True), build(2, input_dtype="float32")]
    weights = [0.2, 0.5, 0.3]
    got = Ensemble(models, weights).predict(images)
    np.testing.assert_allclose(got, average(models, weights, images), atol=1e-6, rtol=0)


def test_one_member(models, images):
    ensemble = Ensemble(models[:1], [1.0])
    np.testing.assert_allclose(
        ensemble.predict(images), models[0].predict(images, verbose=0), atol=1e-7, rtol=0
    )
    assert ensemble.to_keras().input.dtype == "uint8"


def test_the_keras_model_is_made_once_of_built_in_layers(models, ensemble):
    combined = ensemble.to_keras()
    assert ensemble.to_keras() is combined
    assert [layer.name for layer in combined.layers if isinstance(layer, keras.Model)] == [
        "member_0",
        "member_1",
        "member_2",
    ]
    assert all(type(layer).__module__.startswith("keras.") for layer in combined.layers)
    assert [model.name for model in models] == ["net"] * 3


def test_float32_under_mixed_precision(images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        models = [build(0), build(1)]
        got = Ensemble(models, [0.3, 0.7]).predict(images)
    finally:
        keras.config.set_dtype_policy("float32")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, average(models, [0.3, 0.7], images), atol=1e-6, rtol=0)


def test_batches_agree(ensemble, images):
    expected = ensemble.predict(images)
    for got in (ensemble.predict(images, batch_size=7), ensemble.predict_on_batch(images)):
        np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)


def test_predict_prints_nothing(ensemble, images, capfd):
    ensemble.predict(images)
    assert capfd.readouterr() == ("", "")


@saves
def test_a_saved_file_loads_with_keras_alone(ensemble, images, tmp_path):
    ensemble.save(tmp_path / "new" / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "new" / "ensemble.keras")
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), ensemble.predict(images), atol=1e-7, rtol=0
    )


def test_evaluate_takes_an_ensemble_and_a_keras_model(models, images):
    class Split:
        labels = np.arange(50) % CLASSES

        def __len__(self):
            return 50

        def take(self, indices):
            return images[indices]

    scores = [
        evaluate(model, Split(), bootstrap=10) for model in (models[0], Ensemble(models[:1], [1]))
    ]
    assert scores[0].parameters == scores[1].parameters == models[0].count_params()
    assert scores[0]["log_loss"] == pytest.approx(scores[1]["log_loss"], abs=1e-6)
    assert scores[0].latency_ms["p50"] > 0


def test_facts(models):
    ensemble = Ensemble(models, [0.25, 0.5, 0.25])
    assert len(ensemble) == 3
    # Convolution, scale and shift and two moments, dense.
    assert ensemble.count_params() == 3 * ((27 * 4 + 4) + 4 * 4 + (64 * 4 + 4))
    assert ensemble.count_params() == ensemble.to_keras().count_params()
    assert repr(ensemble) == "Ensemble(members=3, weights=[0.250, 0.500, 0.250])"


def test_weights_are_a_copy(models):
    ensemble = Ensemble(models, [0.25, 0.5, 0.25])
    ensemble.weights[:] = 0
    np.testing.assert_array_equal(ensemble.weights, [0.25, 0.5, 0.25])


# Fitting


def test_fit_drops_members_and_records_the_rest(models, images, fitting_data):
    predictions, labels = fitting_data
    predictions[2] = np.eye(CLASSES)[(labels + 1) % CLASSES]
    ensemble = Ensemble.fit(models, predictions, labels, solver="convex")
    assert len(ensemble) == 2
    assert ensemble.record.trial_ids == ("0", "1")
    assert ensemble.record.weights == tuple(ensemble.weights)
    assert ensemble.record.solver == "convex"
    assert list(ensemble.record.cross_fitted) == ["convex"]
    assert repr(ensemble).endswith("solver='convex')")
    members = [model.predict(images, verbose=0) for model in models[:2]]
    expected = ensemble.record.combination.predict(members)
    np.testing.assert_allclose(ensemble.predict(images), expected, atol=1e-5, rtol=0)


SCALED = Calibration(scales=(1.5,))
VECTOR = Calibration(scales=(1.0, 0.5, 2.0, 1.0), shifts=(0.0, 0.3, -0.2, 0.1))


def answers(ensemble, images, path):
    """Predictions of an ensemble, and of its file."""
    ensemble.save(path)
    loaded = keras.models.load_model(path)
    assert loaded.output_shape == (None, CLASSES)
    return ensemble.predict(images), loaded.predict(images, verbose=0)


@saves
@pytest.mark.parametrize(
    "combination",
    [
        Combination((0.5, 0.5), (0.5, 1.0)),
        Combination((0.3, 0.7), (2.0, 0.7), calibrations=(SCALED,)),
        Combination((0.3, 0.7), (2.0, 0.7), "geometric", (SCALED, VECTOR)),
        Combination((1.0,), (1.0,), "arithmetic", (VECTOR,)),
    ],
    ids=["temperatures", "calibrated", "stacked", "one"],
)
def test_the_combination_is_part_of_the_model_and_of_its_file(
    combination, models, predictions, images, tmp_path
):
    members = len(combination.weights)
    ensemble = Ensemble(models[:members], combination)
    expected = combination.predict(predictions[:members])
    for got in answers(ensemble, images, tmp_path / "ensemble.keras"):
        np.testing.assert_allclose(got, expected, atol=2e-6, rtol=0)
        assert got.dtype == np.float32


@saves
def test_calibration_by_class_where_channels_come_first(models, predictions, images, tmp_path):
    default = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        ensemble = Ensemble(models[:1], Combination((1.0,), calibrations=(VECTOR,)))
        got = answers(ensemble, images, tmp_path / "ensemble.keras")
    finally:
        keras.config.set_image_data_format(default)
    np.testing.assert_allclose(got, [VECTOR.apply(predictions[0])] * 2, atol=2e-6, rtol=0)


def test_members_of_any_origin(models, fitting_data):
    predictions, labels = fitting_data
    members = [
        Member("mine", predictions[0], 0.7, load=lambda: models[0]),
        Member("theirs", predictions[1], load=lambda: models[1]),
    ]
    ensemble = Ensemble.from_members(members, labels, solver="stack", calibration="none")
    record = ensemble.record
    assert record.trial_ids == ("mine", "theirs")
    assert record.member_scores[0] == 0.7
    assert record.member_scores[1] == pytest.approx(score(labels, predictions[1])["log_loss"])
    assert (record.metric, record.errors) == ("log_loss", {"stack": 0.0})
    assert len(record.calibrations[0].shifts) == CLASSES
    assert record.diversity.ensemble_error == pytest.approx(
        record.diversity.member_error - record.diversity.ambiguity
    )
    assert sum(record.reliability.count) == len(labels)


def test_predictions_alone_can_be_weighed_but_not_served(fitting_data):
    predictions, labels = fitting_data
    with pytest.raises(OptionError, match=r"'theirs' counts in the ensemble.*`load`"):
        Ensemble.from_members([Member("theirs", predictions[0])], labels)


def test_a_member_without_weight_needs_no_model(models, fitting_data):
    predictions, labels = fitting_data
    predictions[1] = np.eye(CLASSES)[(labels + 1) % CLASSES]
    members = [Member("mine", predictions[0], load=lambda: models[0]), Member("x", predictions[1])]
    ensemble = Ensemble.from_members(members, labels, solver="single")
    assert ensemble.record.trial_ids == ("mine",)


def test_only_the_loaders_of_members_kept_are_called(models, fitting_data):
    predictions, labels = fitting_data
    predictions[1] = np.eye(CLASSES)[(labels + 1) % CLASSES]
    called = []

    def loader(index):
        return lambda: called.append(index) or models[index]

    ensemble = Ensemble.fit([loader(k) for k in range(3)], predictions, labels, solver="single")
    assert len(ensemble) == 1
    assert called == [int(ensemble.record.trial_ids[0])]


def test_positions_are_names_and_log_losses_scores(models, fitting_data):
    predictions, labels = fitting_data
    record = Ensemble.fit(models, predictions, labels, solver="mean").record
    of_truth = predictions[:, np.arange(len(labels)), labels].astype(np.float64)
    assert record.trial_ids == ("0", "1", "2")
    assert record.member_scores == pytest.approx(tuple(-np.log(of_truth).mean(axis=1)), abs=1e-6)


def test_counts_that_do_not_match(models, fitting_data):
    with pytest.raises(DataError, match="2 models, 3 predictions"):
        Ensemble.fit(models[:2], *fitting_data)


# Bad input


@pytest.mark.parametrize(
    "weights",
    [[0.5, 0.5], [0.5, 0.6, -0.1], [0.5, 0.5, 0.5], [np.nan, 0.5, 0.5], [[0.2, 0.5, 0.3]]],
)
def test_weights_off_the_simplex(models, weights):
    with pytest.raises(OptionError, match="Received"):
        Ensemble(models, weights)


def two_inputs():
    first, second = keras.Input(SHAPE), keras.Input(SHAPE)
    return keras.Model([first, second], keras.layers.Flatten()(first))


def feature_map():
    pixels = keras.Input(SHAPE)
    return keras.Model(pixels, keras.layers.Conv2D(4, 3)(pixels))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (lambda: [], "at least one model"),
        (lambda: [build(0), lambda: build(1)], "Received: function as number 1"),
        (lambda: [keras.Sequential([keras.layers.Dense(2)], name="unbuilt")], "'unbuilt'"),
        (lambda: [two_inputs()], "one input"),
        (lambda: [feature_map()], r"-> \(4, 4, 4\)"),
        (lambda: [build(0), build(1, classes=3)], r"-> \(4,\).*-> \(3,\)"),
        (lambda: [build(0), build(1, shape=(8, 8, 3))], r"\(6, 6, 3\).*\(8, 8, 3\)"),
    ],
    ids=["none", "loader", "unbuilt", "two inputs", "feature map", "classes", "pixels"],
)
def test_models_that_do_not_fit(members, message):
    members = members()
    with pytest.raises(OptionError, match=message):
        Ensemble(members, [1 / max(1, len(members))] * len(members))


@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((2, *SHAPE), dtype=np.float32), r"float32 of shape \(2, 6, 6, 3\)"),
        (np.zeros(SHAPE, dtype=np.uint8), r"uint8 of shape \(6, 6, 3\)"),
        (np.zeros((2, 8, 8, 3), dtype=np.uint8), r"uint8 of shape \(2, 8, 8, 3\)"),
        (np.zeros((0, *SHAPE), dtype=np.uint8), r"uint8 of shape \(0, 6, 6, 3\)"),
    ],
)
def test_images_that_do_not_fit(ensemble, method, bad, message):
    with pytest.raises(DataError, match=message):
        getattr(ensemble, method)(bad)
