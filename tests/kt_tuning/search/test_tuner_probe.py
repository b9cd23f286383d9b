"""A search of probes: features are computed once, and what is reported is what is returned."""

import keras
import numpy as np
import pytest
from keras import layers
from striped import striped_images

import kt_tuning as ktt
from hypermodels import MLP, Families, LinearProbe
from hypermodels.frozen import FrozenPart
from kt_tuning.core.errors import OptionError
from kt_tuning.ensembling import Ensemble
from kt_tuning.evaluation import predict_split, score
from kt_tuning.features import cache
from kt_tuning.finalize import bag, boost, distill, snapshots
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.pipeline.refitted import _completed


@pytest.fixture(scope="module")
def data():
    images, labels = striped_images(120)
    return ktt.ImageData.from_arrays(images, labels)


@pytest.fixture(scope="module")
def backbone():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ]
    )


@pytest.fixture
def computed(monkeypatch, tmp_path):
    """How many images' features were computed, call by call."""
    monkeypatch.setenv("KT_TUNING_CACHE", str(tmp_path / "cache"))
    counts, features = [], FrozenPart.features

    def counted(self, images):
        counts.append(len(images))
        return features(self, images)

    monkeypatch.setattr(FrozenPart, "features", counted)
    return counts


def search(data, hypermodel, folder, trials, **options):
    tuner = ktt.Tuner(hypermodel, max_trials=trials, directory=folder, **options)
    tuner.search(data, epochs=3, verbose=False)
    return tuner


def test_features_are_computed_once_whatever_searches(data, backbone, computed, tmp_path):
    hypermodel = LinearProbe(data.input_shape, 2, backbone=backbone, values="tf")
    tuner = search(data, hypermodel, tmp_path / "first", 2)
    # Plain and mirrored, each of training and validation images.
    assert sum(computed) == 2 * (len(data.train) + len(data.validation))
    results = tuner.results()
    assert results["status"].tolist() == ["COMPLETED"] * 2
    assert results["epochs"].tolist() == [1, 1]
    assert results["val_accuracy"].max() == 1
    computed.clear()
    search(data, hypermodel, tmp_path / "second", 2)
    assert computed == []


def test_features_that_a_short_search_lacked_are_computed_before_a_refit(
    data, backbone, computed, tmp_path, monkeypatch
):
    hypermodel = LinearProbe(data.input_shape, 2, backbone=backbone, values="tf", mirror=False)
    tuner = search(data, hypermodel, tmp_path / "probe", 1)
    (trial,) = tuner._run.trials()
    monkeypatch.setenv("KT_TUNING_CACHE", str(tmp_path / "empty"))
    computed.clear()
    assert not _completed(tuner, [trial], data, 0.0)
    assert computed == []
    assert _completed(tuner, [trial], data, 600.0)
    assert sum(computed) == len(data.train)


def test_only_probes_can_be_completed(data, tmp_path):
    tuner = search(data, MLP(data.input_shape, 2, units=8), tmp_path / "mlp", 1)
    assert not _completed(tuner, tuner._run.trials(), data, 600.0)


def test_a_probe_without_time_learns_from_some_images(
    data, backbone, computed, tmp_path, monkeypatch
):
    monkeypatch.setattr(cache, "CHUNK", 16)
    hypermodel = LinearProbe(data.input_shape, 2, backbone=backbone, values="tf", mirror=False)
    tuner = ktt.Tuner(hypermodel, max_trials=1, directory=tmp_path)
    tuner.search(data, time_limit=0.01, verbose=False)
    (message,) = tuner.results()["message"]
    assert message == "cut short by the time limit after 16 of 72 training images"
    assert tuner.results()["val_accuracy"].notna().all()
    assert tuner.results()["epochs"].tolist() == [1]


def test_what_is_reported_is_what_is_returned(data, backbone, computed, tmp_path):
    hypermodel = LinearProbe(data.input_shape, 2, backbone=backbone, values="tf", mirror=False)
    tuner = search(data, hypermodel, tmp_path, 1)
    assert Configuration.student_of(tuner, data).hypermodel.title == "ConvNet"
    returned = predict_split(tuner.best_model(), data.validation)
    found = score(data.validation.labels, returned, ["log_loss"])["log_loss"]
    assert tuner.results()["val_loss"].iloc[0] == pytest.approx(found, abs=1e-7)


def test_probes_and_other_networks_are_combined(data, backbone, computed, tmp_path, caplog):
    members = {
        "probe": LinearProbe(data.input_shape, 2, backbone=backbone, values="tf"),
        "mlp": MLP(data.input_shape, 2, stages=1, units=8),
    }
    tuner = search(data, Families(members), tmp_path, 4)
    assert set(tuner.results()["hp/family"]) == {"probe", "mlp"}
    # What is done after one epoch is not compared with the first epochs of others.
    compared = {t.params["family"]: bool(t.intermediate_values) for t in tuner.study.trials}
    assert compared == {"probe": False, "mlp": True}
    ensemble = tuner.ensemble(cost_penalty=0.0)
    assert isinstance(ensemble, Ensemble)
    assert tuner.evaluate(ensemble).metrics["accuracy"].value > 0.9
    best = Configuration.of(tuner)
    assert best.values["family"] == "probe"
    with pytest.raises(OptionError, match="'linearprobe' is a linear probe, whose weights"):
        distill(ensemble, best, data, tmp_path / "student", verbose=False)
    student = Configuration.student_of(tuner, data)
    assert student.values["family"] == "mlp"
    assert distill(ensemble, student, data, tmp_path / "student", verbose=False).record is not None
    with pytest.raises(OptionError, match=r"which has none\. Use `kt-tuning bag`"):
        snapshots(best, data, tmp_path / "snapshots", verbose=False)
    with caplog.at_level("WARNING"):
        assert len(boost(best, data, tmp_path / "boost", verbose=False).members) == 1
    assert "nothing to boost. `kt-tuning bag`" in caplog.text
    assert len(bag(best, data, tmp_path / "bag", members=3, verbose=False).members) == 3
    refitted = tuner.refit().ensemble
    assert np.isfinite(refitted.predict(data.test.images)).all()


def test_rare_classes_count_as_much_if_balanced(backbone, computed, tmp_path):
    images, labels = striped_images(200)
    rare = np.flatnonzero((labels == 0) | (np.arange(200) < 20))
    data = ktt.ImageData.from_arrays(images[rare], labels[rare])
    hypermodel = LinearProbe(data.input_shape, 2, backbone=backbone, penalty=10.0, mirror=False)
    shares = []
    for balance in ("none", "weights"):
        recipe = ktt.Recipe(balance=balance)
        tuner = search(data, hypermodel, tmp_path / balance, 1, recipe=recipe)
        standing = tuner.best_model().predict(data.train.images, verbose=0)[:, 1]
        shares.append([standing[data.train.labels == label].mean() for label in (0, 1)])
    # Of 110 images 10 are of the second class. A bias makes the mean prediction the mean label.
    assert np.dot(shares[0], [10, 1]) / 11 == pytest.approx(1 / 11, abs=0.01)
    assert np.mean(shares[1]) == pytest.approx(0.5, abs=0.01)
