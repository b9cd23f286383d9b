"""Images become sequences of patches, each of which knows its place."""

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from hypermodels import Recurrent, ViT
from hypermodels.patches import (
    ClassToken,
    LearnedPositions,
    check_patch_size,
    cut_patches,
    patch_grid,
    patch_sizes,
    sin_cos_table,
)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((8, 8, 1), [1, 2]),  # 64 and 16 patches
        ((28, 28, 1), [2, 4, 8]),  # 196, 49 and 4·4
        ((32, 32, 3), [2, 4, 8]),
        ((96, 96, 3), [8, 16]),
        ((224, 224, 3), [16, 32, 64]),
        ((3, 3, 1), [1]),  # 9 are all there are
        ((4, 4096, 1), [4]),  # 1024 are as few as there can be
    ],
)
def test_patches_fit_the_image(shape, sizes):
    assert patch_sizes(shape, most=256) == sizes


def test_a_grid_covers_the_whole_image():
    assert patch_grid((33, 47, 3), 8) == (5, 6)


def test_patches_are_cut_row_by_row():
    images = np.arange(2 * 4 * 6 * 3, dtype="float32").reshape(2, 4, 6, 3)
    patches = ops.convert_to_numpy(cut_patches(images, 2))
    assert patches.shape == (2, 6, 12)
    assert (patches[1, 0] == images[1, :2, :2].ravel()).all()
    assert (patches[1, 2] == images[1, :2, 4:].ravel()).all()
    assert (patches[0, 3] == images[0, 2:, :2].ravel()).all()


def test_what_is_missing_on_the_right_and_below_is_zero():
    patches = ops.convert_to_numpy(cut_patches(np.ones((1, 3, 5, 1), "float32"), 2))
    assert patches.shape == (1, 6, 4)
    assert patches[0, 0].tolist() == [1, 1, 1, 1]
    assert patches[0, 2].tolist() == [1, 0, 1, 0]
    assert patches[0, 5].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("size", [0, 9])
def test_a_patch_is_a_part_of_the_image(size):
    with pytest.raises(ValueError, match=f"1 to 8 pixels for images of 8×20. .*patch_size={size}"):
        check_patch_size((8, 20, 3), size)


def test_sines_and_cosines_follow_their_formula():
    table = ops.convert_to_numpy(sin_cos_table(2, 3, 8))
    # Row 1, column 2; ω = 1 and 10000^(-1/2) = 0.01
    x, y = np.array([2, 0.02]), np.array([1, 0.01])
    expected = np.concatenate([np.sin(x), np.cos(x), np.sin(y), np.cos(y)])
    assert table.shape == (6, 8)
    assert table[5] == pytest.approx(expected, abs=1e-6)
    assert len({tuple(row) for row in table.round(5)}) == 6


def test_sines_and_cosines_need_four_equal_parts():
    with pytest.raises(ValueError, match=r"multiple of 4\. Received: width=6"):
        sin_cos_table(2, 3, 6)


def test_each_place_has_a_vector_of_its_own():
    layer = LearnedPositions()
    added = ops.convert_to_numpy(layer(np.zeros((2, 5, 3), "float32")))
    assert layer.count_params() == 15
    assert (added[0] == added[1]).all()
    assert len(np.unique(added[0])) == 15


def test_the_class_token_comes_first():
    layer = ClassToken()
    inputs = np.ones((2, 4, 3), "float32")
    layer.build(inputs.shape)
    layer.class_token.assign(np.full((1, 1, 3), 7.0))
    outputs = ops.convert_to_numpy(layer(inputs))
    assert outputs.shape == layer.compute_output_shape(inputs.shape) == (2, 5, 3)
    assert (outputs[:, 0] == 7).all()
    assert (outputs[:, 1:] == 1).all()


@pytest.mark.parametrize(
    "hypermodel",
    [
        ViT((8, 6, 3), 2, stem="convolution", patch_size=4, width=16, depth=2, heads=2),
        ViT((8, 6, 3), 2, stem="patches", patch_size=4, width=16, depth=2, heads=2),
        Recurrent((8, 6, 3), 2, stem="convolution", stages=1, units=4),
        Recurrent((8, 6, 3), 2, stem="pixels", stages=1, units=4),
    ],
    ids=str,
)
def test_the_layout_of_images_makes_no_difference(hypermodel):
    models = [hypermodel.build(keras_tuner.HyperParameters())]
    keras.config.set_image_data_format("channels_first")
    try:
        models.append(hypermodel.build(keras_tuner.HyperParameters()))
    finally:
        keras.config.set_image_data_format("channels_last")
    models[1].set_weights(models[0].get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), dtype=np.uint8)
    try:
        last, first = (model.predict_on_batch(images) for model in models)
    except tf.errors.UnimplementedError:
        pytest.skip("TensorFlow without oneDNN has no convolution with channels first on CPUs")
    assert first == pytest.approx(last, abs=1e-6)
