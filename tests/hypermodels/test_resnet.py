import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import HYPERMODELS
from hypermodels.resnet import DEPTHS, ResNet


def build(hypermodel, **values):
    hp = keras_tuner.HyperParameters()
    hp.values = values
    return hypermodel.build(hp)


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def last_maps(model):
    """Height and width of what is averaged at the end."""
    pooling = next(x for x in model.layers if isinstance(x, keras.layers.GlobalAveragePooling2D))
    return pooling.input.shape[1:3]


def convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


@pytest.mark.parametrize(
    ("depth", "side", "classes", "published"),
    [
        # The small-image ResNet-18 of github.com/kuangliu/pytorch-cifar; torchvision's resnet34.
        (18, 32, 10, 11_173_962),
        (34, 224, 1000, 21_797_672),
    ],
)
def test_published_networks_have_the_published_parameters(depth, side, classes, published):
    model = build(ResNet((side, side, 3), classes, depth=depth))
    assert trainable(model) == published


def test_convolution_biases_give_the_count_of_keras_applications():
    model = build(ResNet((224, 224, 3), 1000, depth=50, conv_bias=True))
    # keras.applications.ResNet50(weights=None).count_params(), moving averages included.
    assert model.count_params() == 25_636_712


def test_default_has_the_parameters_worked_out_by_hand():
    def convolved(inputs, outputs, side=3):
        return side * side * inputs * outputs + 2 * outputs

    def block(inputs, outputs):
        projection = 0 if inputs == outputs else convolved(inputs, outputs, side=1)
        return convolved(inputs, outputs) + convolved(outputs, outputs) + projection

    expected = convolved(3, 32) + block(32, 32) + block(32, 64) + block(64, 128) + 128 * 10 + 10
    assert trainable(build(ResNet((32, 32, 3), 10))) == expected


@pytest.mark.parametrize("depth", DEPTHS)
def test_depth_counts_the_weighted_layers(depth):
    layout = DEPTHS[depth]
    counts = layout["blocks"]
    blocks = sum(counts) if isinstance(counts, tuple) else counts * layout["stages"]
    # The stem, the convolutions of each block and the dense layer.
    assert 2 + blocks * {"basic": 2, "bottleneck": 3}[layout["block"]] == depth


def test_keywords_change_what_depth_fixes():
    model = build(ResNet((32, 32, 3), 10, depth=18, filters=8))
    widths = {layer.filters for layer in convolutions(model)}
    assert widths == {8, 16, 32, 64}
    assert len(convolutions(model)) == 1 + 16 + 3


def test_an_unpublished_depth_is_refused():
    with pytest.raises(ValueError, match="depth=19"):
        ResNet((32, 32, 3), 10, depth=19)


@pytest.mark.parametrize(
    ("shape", "kernel", "maps"),
    [
        ((8, 8, 1), 3, (4, 4)),
        ((32, 32, 3), 3, (4, 4)),
        ((96, 96, 3), 7, (6, 6)),
        ((5, 9, 1), 3, (5, 9)),
    ],
)
def test_stem_and_strides_fit_the_image(shape, kernel, maps):
    model = build(ResNet(shape, 2, stages=4, filters=8))
    assert convolutions(model)[0].kernel_size == (kernel, kernel)
    assert last_maps(model) == maps
    assert model.output_shape == (None, 2)


def test_the_large_stem_can_be_had_for_small_images():
    model = build(ResNet((32, 32, 3), 2, stages=1, filters=8, stem="large"))
    assert last_maps(model) == (8, 8)


def test_preactivation_leaves_the_path_of_the_sums_alone():
    fixed = {"stages": 1, "blocks": 2, "filters": 8, "preactivation": True}
    model = build(ResNet((8, 8, 1), 2, **fixed))
    stem, *rest = convolutions(model)
    for layer in rest:
        layer.kernel.assign(np.zeros(layer.kernel.shape))
    last_norm = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)][-1]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    through = keras.Model(model.input, [stem.output, last_norm.input])
    entered, left = through.predict_on_batch(pixels)
    assert entered.min() < 0
    assert np.array_equal(entered, left)


def test_squeeze_excite_adds_two_small_dense_layers_a_block():
    fixed = {"stages": 2, "filters": 16}
    plain = build(ResNet((8, 8, 1), 2, **fixed)).count_params()
    squeezed = build(ResNet((8, 8, 1), 2, squeeze_excite=True, **fixed)).count_params()
    # Channels 16 and 32, squeezed to an eighth, with biases.
    assert squeezed - plain == (2 * 16 * 2 + 2 + 16) + (2 * 32 * 4 + 4 + 32)


def test_fixed_hyperparameters_are_not_searched():
    names = {hp.name for hp in ResNet((8, 8, 1), 2, depth=8).hyperparameters().space}
    assert not names & {"block", "filters", "stages", "blocks", "stem", "conv_bias"}
    assert "preactivation" in names


def test_is_in_the_table():
    assert HYPERMODELS["resnet"] is ResNet
