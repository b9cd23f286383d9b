"""Vision transformers."""

import keras_tuner
import numpy as np
import pytest

from hypermodels.vit import ViT

TINY = {"width": 16, "depth": 2, "heads": 2}


def build(hypermodel):
    return hypermodel.build(keras_tuner.HyperParameters())


def parameters(patches, pixels, width, depth, hidden, classes):
    """Dosovitskiy et al. 2021, with learned positions and a class token."""
    embedding = pixels * width + width + width + (patches + 1) * width
    norm = 2 * width
    attention = 4 * (width * width + width)
    perceptron = width * hidden + hidden + hidden * width + width
    return embedding + depth * (2 * norm + attention + perceptron) + norm + (width + 1) * classes


def test_small_with_patches_of_sixteen_has_the_published_parameters():
    model = build(
        ViT(
            (224, 224, 3),
            1000,
            stem="patches",
            patch_size=16,
            width=384,
            depth=12,
            heads=6,
            mlp_ratio=4,
            positions="learned",
            pooling="class_token",
        )
    )
    expected = parameters(14 * 14, 16 * 16 * 3, 384, 12, 4 * 384, 1000)
    assert model.count_params() == expected == 22_050_664


@pytest.mark.parametrize(
    ("shape", "side"), [((8, 8, 1), 1), ((28, 28, 1), 4), ((32, 32, 3), 4), ((96, 96, 3), 8)]
)
def test_the_default_patch_leaves_enough_of_them(shape, side):
    model = build(ViT(shape, 2, **TINY))
    tokens = (shape[0] // side) ** 2
    assert model.get_layer("positions").output.shape == (None, tokens, 16)


@pytest.mark.parametrize("stem", ["convolution", "patches"])
def test_images_of_any_size_are_taken(stem):
    model = build(ViT((33, 47, 3), 2, stem=stem, patch_size=8, **TINY))
    assert model.get_layer("positions").output.shape == (None, 5 * 6, 16)
    assert model.predict_on_batch(np.zeros((2, 33, 47, 3), np.uint8)).shape == (2, 2)


def test_fixed_positions_and_averaging_need_no_parameters():
    count = {
        (positions, pooling): build(
            ViT((8, 8, 1), 2, patch_size=2, positions=positions, pooling=pooling, **TINY)
        ).count_params()
        for positions in ("learned", "sincos")
        for pooling in ("average", "class_token")
    }
    least = count["sincos", "average"]
    assert count["sincos", "class_token"] == least + 16
    assert count["learned", "average"] == least + 16 * 16
    assert count["learned", "class_token"] == least + 16 + 17 * 16


def test_without_positions_the_order_of_patches_would_not_matter():
    # Attention and averaging do not see the order, so that the positions alone make the difference.
    model = build(ViT((8, 8, 1), 2, stem="patches", patch_size=4, positions="learned", **TINY))
    images = np.zeros((2, 8, 8, 1), np.uint8)
    images[0, :4, :4] = images[1, 4:, 4:] = 255
    before = model.predict_on_batch(images)
    assert abs(before[0] - before[1]).max() > 1e-6
    position = model.get_layer("positions").position
    position.assign(np.zeros(position.shape))
    without = model.predict_on_batch(images)
    assert without[0] == pytest.approx(without[1], abs=1e-6)


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"width": 64, "heads": 5}, "`heads` divides `width`.*width=64, heads=5"),
        ({"patch_size": 9}, "patch_size=9"),
        ({"positions": "none"}, "`positions` is one of 'sincos', 'learned'"),
    ],
)
def test_what_does_not_fit_is_refused(fixed, message):
    with pytest.raises(ValueError, match=message):
        build(ViT((8, 8, 1), 2, **fixed))
