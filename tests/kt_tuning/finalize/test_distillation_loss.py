"""The loss of a taught student, against its formula and against Keras' own."""

import keras
import numpy as np
import pytest
from stripe_models import reader

from kt_tuning.finalize import distillation_loss
from kt_tuning.finalize.distill import teach


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
def test_as_the_formula_and_as_keras_has_it(temperature):
    teacher, student = distributions(0), distributions(1)
    found = keras.ops.convert_to_numpy(distillation_loss(teacher, student, temperature))
    np.testing.assert_allclose(found, by_hand(teacher, student, temperature), rtol=1e-4)
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
