from __future__ import annotations

import keras
import numpy as np
import pytest
from export_models import make_model, random_images

from kt_tuning.core.errors import OptionError
from kt_tuning.export import prune
from kt_tuning.export.pruning import keep_largest


def test_weights_are_ranked_by_their_share_of_what_is_not_smaller():
    # Squares 1, 4, 4 and 9, 16: over the sums of all that are not smaller, 1/9, 4/8, 1; 9/25, 1.
    kernels = [np.array([[1.0, -2.0, 2.0]]), np.array([[-3.0], [4.0]])]
    first, second = keep_largest(kernels, 2 / 5)
    np.testing.assert_array_equal(first, [[0, 1, 1]])
    np.testing.assert_array_equal(second, [[0], [1]])


def test_the_scale_of_a_kernel_does_not_count():
    rng = np.random.default_rng(0)
    kernels = [rng.normal(size=(20, 30)), rng.normal(size=(7, 5))]
    plain = keep_largest(kernels, 0.7)
    scaled = keep_largest([kernels[0] * 1000, kernels[1]], 0.7)
    for one, other in zip(plain, scaled, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_kernel_loses_everything():
    kernels = [np.full((10, 10), 1e-9), np.arange(1.0, 901).reshape(30, 30), np.zeros((2, 2))]
    kept = keep_largest(kernels, 0.99)
    assert sum(int(part.sum()) for part in kept) == round(0.01 * 1004)
    assert kept[0].sum() >= 1
    assert kept[1].sum() >= 1


def test_nothing_is_dropped_for_a_share_of_zero():
    (kept,) = keep_largest([np.zeros((3, 4))], 0.0)
    assert kept.all()


@pytest.fixture
def data():
    return random_images(32), np.arange(32) % 3


def fitting(data, model, learning_rate=0.1):
    model.compile(
        keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", jit_compile=False
    )
    shares = []

    def fit(model, number):
        before = zeros(model)
        model.fit(*data, epochs=2, batch_size=16, verbose=0)
        shares.append((number, before, zeros(model)))

    return fit, shares


def kernels(model):
    return [w for w in model.trainable_weights if w.name == "kernel"]


def zeros(model):
    values = np.concatenate([kernel.numpy().ravel() for kernel in kernels(model)])
    return float((values == 0).mean())


def test_the_share_of_zeros_grows_by_the_cube_and_training_keeps_them(data):
    model = make_model()
    fit, shares = fitting(data, model)
    before = [weight.numpy() for weight in model.trainable_weights]
    pruned = prune(model, fit, sparsity=0.8, rounds=4)
    # 0.8 (1 - (3/4)^3), 0.8 (1 - (2/4)^3), …
    for (number, masked, trained), share in zip(shares, [0.4625, 0.7, 0.7875, 0.8], strict=True):
        assert masked == pytest.approx(share, abs=0.005), number
        assert trained == pytest.approx(share, abs=0.005), number
    assert pruned.sparsity == zeros(model) == pytest.approx(0.8, abs=0.005)
    assert pruned.weights == sum(kernel.numpy().size for kernel in kernels(model))
    assert set(pruned.by_kernel) == {kernel.path for kernel in kernels(model)}
    after = [weight.numpy() for weight in model.trainable_weights]
    changed = [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]
    assert all(changed)


def test_biases_and_normalisation_stay_whole(data):
    model = make_model()
    fit, _ = fitting(data, model)
    prune(model, fit, sparsity=0.9, rounds=1)
    others = [w.numpy() for w in model.trainable_weights if w.name != "kernel"]
    assert others
    assert all((values != 0).all() for values in others)


def test_a_fit_that_puts_weights_back_does_not_undo_it(data):
    model = make_model()
    whole = model.get_weights()
    pruned = prune(model, lambda model, number: model.set_weights(whole), sparsity=0.5, rounds=1)
    assert pruned.sparsity == pytest.approx(0.5, abs=0.005)


def test_constraints_that_a_model_has_are_kept(data):
    inputs = keras.Input((8, 12, 3), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    limit = keras.constraints.MaxNorm(0.1)
    layer = keras.layers.Dense(3, activation="softmax", kernel_constraint=limit)
    model = keras.Model(inputs, layer(x))
    fit, _ = fitting(data, model)
    prune(model, fit, sparsity=0.5, rounds=1)
    assert layer.kernel.constraint is limit
    assert np.linalg.norm(layer.kernel.numpy(), axis=0).max() <= 0.1 + 1e-6


@pytest.mark.parametrize(("sparsity", "rounds"), [(0.0, 4), (1.0, 4), (0.5, 0)])
def test_what_cannot_be_is_refused(sparsity, rounds):
    with pytest.raises(OptionError, match=f"sparsity={sparsity}, rounds={rounds}"):
        prune(make_model(), lambda model, number: None, sparsity=sparsity, rounds=rounds)


def test_a_model_without_kernels_is_refused():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Softmax()(inputs))
    with pytest.raises(OptionError, match="no trainable kernels"):
        prune(model, lambda model, number: None)
