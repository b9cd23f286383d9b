"""Distillation: a student learns what its teacher says, is kept, and can be shipped; its loss."""

import keras
import numpy as np
import pytest
from stripe_models import configured, knowing, reader
from striped import striped_images

from kt_tuning import Ensemble, Recipe
from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.data import ImageData
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.finalize import distill, member_training
from kt_tuning.finalize.distill import distillation_loss, teach


@pytest.fixture
def backwards():
    """Stripes whose training labels are all the wrong way round."""
    images, labels = striped_images(100)
    parts = {"validation": (images[40:70], labels[40:70]), "test": (images[70:], labels[70:])}
    return ImageData.from_arrays(images[:40], 1 - labels[:40], **parts)


def test_a_student_believes_its_teacher(backwards, tmp_path):
    teacher = Ensemble([reader(0.2), reader(0.4)], [0.5, 0.5])
    recipe = Recipe(batch_size=8, augment="light", balance="weights")
    student = configured(epochs=10, recipe=recipe)
    found = distill(teacher, student, backwards, tmp_path, verbose=False)
    images, labels = backwards.test.images, backwards.test.labels
    assert np.mean(found.predict(images).argmax(axis=1) == labels) > 0.9
    assert found.count_params() == 270, "the teacher is no part of it"

    record = TrialRecord.load(tmp_path / "trial_0000" / "result.json")
    assert record.values["distill/temperature"] == 2.0
    assert record.metrics["accuracy"] < 0.5, "of labels that were the wrong way round"
    kept = EnsembleRecord.load(tmp_path / "ensemble.json")
    assert kept.trial_ids == ("0000",)
    assert found.provenance["distillation"] == {
        "temperature": 2.0,
        "soft_weight": 0.9,
        "teacher": None,
        "teacher_trained_on_validation": False,
    }
    assert found.card == backwards.card
    assert isinstance(found.to_keras(), keras.Model)

    # It is not trained again, and not mistaken for another student.
    again = distill(teacher, student, backwards, tmp_path, verbose=False)
    np.testing.assert_array_equal(again.predict(images), found.predict(images))
    with pytest.raises(StorageError, match=r"temperature=2\.0, now 4\.0"):
        distill(teacher, student, backwards, tmp_path, temperature=4, verbose=False)
    others = (
        Ensemble([reader(0.2), reader(0.41)], [0.5, 0.5]),
        Ensemble([reader(0.2), reader(0.4)], [0.4, 0.6]),
    )
    for other in others:
        with pytest.raises(StorageError, match="distill/teacher="):
            distill(other, student, backwards, tmp_path, verbose=False)


def test_a_teacher_of_folds_has_seen_the_validation_images(stripes, tmp_path, caplog):
    record = EnsembleRecord(("0",), (1.0,), "single", {}, (0.5,), folds=2)
    teacher = Ensemble([[reader(0.2), reader(0.4)]], [1.0], record=record)
    student = configured(epochs=1, recipe=Recipe(batch_size=36, augment="none"))
    found = distill(teacher, student, stripes, tmp_path, verbose=False)
    assert "The teacher was trained on the validation images" in caplog.text
    assert found.provenance["distillation"]["teacher_trained_on_validation"] is True


def test_an_interrupted_student_goes_on(stripes, tmp_path, monkeypatch):
    recipe = Recipe(batch_size=12, augment="light", mixup=0.4)
    student = configured(knowing_learner, recipe=recipe, epochs=3, values={})
    whole = distill(reader(0.2), student, stripes, tmp_path / "whole", verbose=False)
    shown = member_training.SearchDisplay.epoch_ended

    def power_fails(self, number, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(member_training.SearchDisplay, "epoch_ended", power_fails)
    with pytest.raises(KeyboardInterrupt):
        distill(reader(0.2), student, stripes, tmp_path / "cut", verbose=False)
    monkeypatch.setattr(member_training.SearchDisplay, "epoch_ended", shown)
    found = distill(reader(0.2), student, stripes, tmp_path / "cut", verbose=False)
    images = stripes.test.images
    np.testing.assert_array_equal(found.predict(images), whole.predict(images))


def knowing_learner(hp):
    """Starts without knowledge and takes soft labels, as mixing makes them."""
    model = reader(0.0)
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"])
    return model


def test_a_loss_for_soft_labels_alone(stripes, tmp_path):
    found = distill(reader(0.2), configured(knowing_learner, values={}), stripes, tmp_path)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature=0"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"soft_weight": 0.0}, "soft_weight"),
        ({"soft_weight": 1.5}, "soft_weight"),
    ],
)
def test_what_is_refused(stripes, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        distill(reader(0.2), configured(knowing), stripes, tmp_path, **options)


def test_a_teacher_of_something_else(stripes, tmp_path):
    teacher = keras.Sequential([keras.Input((9, 8, 1)), keras.layers.Flatten()])
    with pytest.raises(OptionError, match=r"\(9, 8, 1\) to \(72,\)"):
        distill(teacher, configured(knowing), stripes, tmp_path)


def distributions(seed, rows=6, classes=4):
    logits = np.random.default_rng(seed).normal(scale=2, size=(rows, classes))
    raised = np.exp(logits)
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


def softened(probabilities, temperature):
    raised = probabilities.astype(np.float64) ** (1 / temperature)
    return raised / raised.sum(axis=1, keepdims=True)


def by_hand(teacher, student, temperature):
    q, p = softened(teacher, temperature), softened(student, temperature)
    return temperature**2 * (q * np.log(q / p)).sum(axis=1)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_loss_is_that_of_the_formula(temperature):
    teacher, student = distributions(0), distributions(1)
    found = keras.ops.convert_to_numpy(distillation_loss(teacher, student, temperature))
    np.testing.assert_allclose(found, by_hand(teacher, student, temperature), rtol=1e-4)


@pytest.mark.skipif(not hasattr(keras, "distillation"), reason="Keras has it since 3.12")
def test_the_loss_is_that_of_keras():
    teacher, student, temperature = distributions(0), distributions(1), 2.0
    found = keras.ops.convert_to_numpy(distillation_loss(teacher, student, temperature))
    # By its name, the default, Keras 3.15 takes the divergence of the logits themselves.
    kl = keras.losses.KLDivergence()
    theirs = keras.distillation.LogitsDistillation(temperature=temperature, loss=kl)
    expected = theirs.compute_loss(np.log(teacher), np.log(student))
    assert found.mean() == pytest.approx(float(expected), rel=1e-4)


def test_nothing_to_learn():
    same = distributions(0)
    found = keras.ops.convert_to_numpy(distillation_loss(same, same, 3.0))
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_certainties_are_finite():
    found = distillation_loss(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]), 2.0)
    assert np.isfinite(keras.ops.convert_to_numpy(found)).all()


def test_both_parts_and_whole_penalties(stripes):
    images, labels = stripes.train.images[:8], stripes.train.labels[:8]
    teacher, student = reader(0.1), reader(0.02)
    student.layers[-1].kernel.regularizer = keras.regularizers.L2(0.5)
    penalty = 0.5 * float((student.get_weights()[0] ** 2).sum())
    probabilities = student.predict(images, verbose=0)
    plain = -np.log(probabilities[np.arange(8), labels])
    soft = by_hand(teacher.predict(images, verbose=0), probabilities, 2.0)
    weights = np.linspace(0.5, 2, 8).astype(np.float32)
    teach(student, teacher, temperature=2.0, soft_weight=0.7)
    before = teacher.get_weights()
    for given in (None, weights):
        found = student.train_step(
            tuple(part for part in (images, labels, given) if part is not None)
        )
        factor = 1.0 if given is None else weights
        expected = 0.3 * np.mean(factor * plain) + 0.7 * np.mean(factor * soft) + penalty
        assert float(found["loss"]) == pytest.approx(expected, rel=1e-4)
        student.reset_metrics()
    for array, was in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(array, was)
    assert student.count_params() == teacher.count_params()
    asked = student.compute_loss(None, labels, probabilities)
    assert float(asked) == pytest.approx(plain.mean() + penalty, rel=1e-4)
