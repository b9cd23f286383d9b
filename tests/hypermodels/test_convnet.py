import random

import keras_tuner
import numpy as np
import pytest

from hypermodels import ConvNet
from hypermodels.catalogue import random_configuration
from kt_tuning.evaluation.flops import measure_complexity


def build(hypermodel, **values):
    hp = keras_tuner.HyperParameters()
    hp.values = values
    return hypermodel.build(hp)


def test_normalization_standardises_the_channels_inside_the_model():
    net = ConvNet((8, 8, 3), 2, normalization=((10, 20, 30), (1, 2, 4)))
    pixels = np.full((1, 8, 8, 3), (12, 22, 32), np.uint8)
    np.testing.assert_allclose(net.rescale(pixels)[0, 0, 0], (2.0, 1.0, 0.5))
    assert build(net).get_layer("rescale").scale == [1.0, 0.5, 0.25]


@pytest.mark.parametrize("wrong", [((1, 2, 3), (1, 2)), ((1, 2, 3), (1, 2, 0)), ((1, 2, 3),)])
def test_a_wrong_normalization_is_refused(wrong):
    with pytest.raises(ValueError, match="3 means and 3 standard deviations above 0"):
        ConvNet((8, 8, 3), 2, normalization=wrong)


def test_two_plain_convolutions_have_the_reference_parameters():
    net = ConvNet((32, 32, 3), 10, per_stage=("filters",), whitening=False)
    model = build(
        net,
        stages=2,
        blocks=1,
        convs=1,
        filters_1=32,
        filters_2=64,
        residual=False,
        padding="valid",
        norm="none",
        head="flatten",
    )
    # 3·3·3·32+32, 3·3·32·64+64, 6·6·64·10+10
    assert model.count_params() == 896 + 18_496 + 23_050 == 42_442


def test_separable_reference_has_the_parameters_worked_out_by_hand():
    net = ConvNet((64, 64, 3), 10, per_stage=("filters",), whitening=False)
    model = build(
        net,
        stages=3,
        blocks=1,
        convs=2,
        filters_1=32,
        filters_2=64,
        filters_3=64,
        widen=2,
        separable=True,
        residual=False,
        norm="none",
        head="global_average",
        dense_units=32,
    )

    def separable(inputs, outputs):
        return 9 * inputs + inputs * outputs + outputs

    layers = [(3, 32), (32, 64), (64, 64), (64, 128), (128, 64), (64, 128)]
    expected = sum(separable(*layer) for layer in layers) + 128 * 32 + 32 + 32 * 10 + 10
    assert model.count_params() == expected == 38_949


def test_residual_reference_adds_a_strided_projection_to_the_pooled_branch():
    model = build(
        ConvNet((32, 32, 3), 10, whitening=False),
        stages=1,
        blocks=1,
        convs=2,
        filters=128,
        residual=True,
        norm="none",
        pooling="max",
        head="flatten",
    )
    projection = 3 * 128 + 128
    branch = 3 * 9 * 128 + 128 + 9 * 128 * 128 + 128
    assert model.count_params() == branch + projection + 16 * 16 * 128 * 10 + 10


def test_default_has_the_parameters_of_stages_of_32_128_and_128_channels():
    whitening = 12 * 12 + 2 * 12
    convolutions = [(12, 32), (32, 32), (32, 128), (128, 128), (128, 128), (128, 128)]
    normalised = sum(9 * inputs * outputs + 4 * outputs for inputs, outputs in convolutions)
    expected = whitening + normalised + 4 * 4 * 128 * 10 + 10
    assert build(ConvNet((32, 32, 3), 10)).count_params() == expected == 514_866


@pytest.mark.parametrize(
    ("growth", "widths"), [(1, [4, 4, 4, 4]), (2, [4, 8, 16, 16]), (4, [4, 16, 16, 16])]
)
def test_channels_grow_up_to_four_times_those_of_the_first_stage(growth, widths):
    fixed = {"stages": 4, "convs": 1, "filters": 4, "whitening": False}
    net = ConvNet((64, 64, 3), 2, growth=growth, **fixed)
    assert [layer.filters for layer in build(net).layers if hasattr(layer, "filters")] == widths


@pytest.mark.parametrize(("early", "sides"), [(True, [16, 8]), (False, [16, 16])])
def test_a_stage_is_pooled_after_its_first_convolution_or_its_last(early, sides):
    fixed = {"stages": 1, "head": "flatten", "whitening": False}
    model = build(ConvNet((16, 16, 3), 2, early_pooling=early, **fixed))
    convolutions = [layer for layer in model.layers if hasattr(layer, "filters")]
    assert [layer.input.shape[1] for layer in convolutions] == sides
    assert model.get_layer("logits").input.shape == (None, 8 * 8 * 32)


@pytest.mark.parametrize(
    ("shape", "fixed", "whitened"),
    [
        ((64, 64, 3), {}, True),
        ((65, 65, 3), {}, False),
        ((65, 65, 3), {"whitening": True}, True),
        ((8, 8, 1), {"whitening": False}, False),
    ],
)
def test_small_images_are_whitened(shape, fixed, whitened):
    names = [layer.name for layer in build(ConvNet(shape, 2, **fixed)).layers]
    assert ("whiten" in names) == whitened


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3), (33, 47, 3), (5, 5, 1)])
@pytest.mark.parametrize("pooling", ["max", "strides"])
def test_every_depth_fits_the_image(shape, pooling):
    space = ConvNet(shape, 2).hyperparameters()
    most = next(hp for hp in space.space if hp.name == "stages").max_value
    model = build(
        ConvNet(shape, 2, residual=False, padding="valid", kernel_size=5, head="flatten"),
        stages=most,
        pooling=pooling,
    )
    assert model.output_shape == (None, 2)


def test_random_configurations_by_stage_build_in_a_wide_space():
    stagewise = ("filters", "kernel_size", "separable", "norm", "pooling", "strides", "groups")
    net = ConvNet((16, 16, 3), 3, per_stage=stagewise, space="wide")
    space, rng = net.hyperparameters(), random.Random(1)
    for _ in range(10):
        assert net.build(random_configuration(space, rng)).output_shape == (None, 3)


def test_takes_raw_pixels_and_returns_probabilities():
    model = build(ConvNet((8, 8, 1), 4))
    assert model.input.dtype == "uint8"
    probabilities = model.predict_on_batch(np.full((2, 8, 8, 1), 255, np.uint8))
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert probabilities.min() >= 0


def test_fixed_hyperparameters_are_not_searched():
    names = {hp.name for hp in ConvNet((8, 8, 1), 2, residual=True).hyperparameters().space}
    assert "residual" not in names
    assert "padding" not in names
    assert "filters" in names


def test_fixing_a_parent_keeps_the_children_of_its_value():
    names = {hp.name for hp in ConvNet((8, 8, 1), 2, optimizer="adam").hyperparameters().space}
    assert "adaptive_learning_rate" in names
    assert "momentum" not in names


def test_a_tuple_fixes_the_stages_one_by_one():
    fixed = {"stages": 2, "norm": "none", "whitening": False}
    model = build(ConvNet((16, 16, 3), 2, filters=(8, 24), **fixed))
    widths = [layer.filters for layer in model.layers if hasattr(layer, "filters")]
    assert set(widths) == {8, 24}


def test_values_of_later_stages_exist_only_with_the_stage():
    hp = ConvNet((32, 32, 3), 2, per_stage=("filters",)).hyperparameters()
    third = next(entry for entry in hp.space if entry.name == "filters_3")
    assert [condition.values for condition in third.conditions] == [[3, 4]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filterz": 3}, "no hyperparameter 'filterz'"),
        ({"optimizer": "sgdd"}, "`optimizer` is one of 'sgd', 'adam'"),
        ({"stages": 9}, "`stages` is 1 to 2"),
        ({"per_stage": ("widht",)}, "no hyperparameter 'widht'"),
    ],
)
def test_wrong_hyperparameters_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(ConvNet((8, 8, 1), 2, **arguments))


@pytest.mark.parametrize(("shape", "classes"), [((8, 8), 2), ((8, 8, 0), 2), ((8, 8, 1), 1)])
def test_wrong_shapes_are_refused(shape, classes):
    with pytest.raises(ValueError, match="Received: "):
        ConvNet(shape, classes)


def test_stages_shrink_by_their_strides_and_pool_as_they_say():
    model = build(
        ConvNet((32, 32, 3), 2, head="flatten", stages=3, filters=4),
        norm="none",
    )
    assert model.get_layer("logits").input.shape == (None, 4 * 4 * 16)
    net = ConvNet((32, 32, 3), 2, head="flatten", stages=3, filters=4, strides=(1, 4, 2))
    assert build(net).get_layer("logits").input.shape == (None, 4 * 4 * 16)
    net = ConvNet((32, 32, 3), 2, head="flatten", stages=2, pooling=("average", "strides"))
    kinds = [type(layer).__name__ for layer in build(net).layers]
    assert ("AveragePooling2D" in kinds, "MaxPooling2D" in kinds) == (True, False)


def test_groups_divide_the_parameters_of_plain_convolutions():
    fixed = {"stages": 1, "filters": 16, "convs": 2, "residual": False, "norm": "none"}
    fixed |= {"whitening": False}
    plain, grouped, separable = (
        build(ConvNet((8, 8, 3), 2, **fixed, **more)).count_params()
        for more in ({}, {"groups": 4}, {"groups": 4, "separable": True})
    )
    # The three channels of the image cannot be divided by four.
    assert plain - grouped == 9 * 16 * 16 - 9 * 4 * 16
    assert separable == build(ConvNet((8, 8, 3), 2, **fixed, separable=True)).count_params()


def test_squeeze_excite_adds_two_dense_layers_to_a_block():
    fixed = {"stages": 1, "filters": 16}
    without, with_it = (
        build(ConvNet((8, 8, 3), 2, **fixed, squeeze_excite=ratio)).count_params()
        for ratio in (0, 4)
    )
    assert with_it - without == 16 * 4 + 4 + 4 * 16 + 16


def test_later_residual_blocks_are_dropped_more_often():
    fixed = {"residual": True, "stages": 2, "blocks": 2, "filters": 4, "stochastic_depth": 0.2}
    model = build(ConvNet((16, 16, 3), 2, **fixed))
    rates = [layer.rate for layer in model.layers if hasattr(layer, "rate")]
    assert rates == pytest.approx([0.05, 0.1, 0.15, 0.2])


def test_the_default_space_stays_as_small_as_it_is():
    names = [entry.name for entry in ConvNet((32, 32, 3), 10).hyperparameters().space]
    assert len(names) == len(set(names)) == 25
    wide = {entry.name for entry in ConvNet((32, 32, 3), 10, space="wide").hyperparameters().space}
    assert set(names) < wide
    rare = {"strides", "groups", "squeeze_excite", "stochastic_depth", "regularizer", "ema"}
    assert rare <= wide - set(names)


def test_an_unknown_space_is_refused():
    with pytest.raises(ValueError, match="space='huge'"):
        ConvNet((8, 8, 1), 2, space="huge")


@pytest.mark.parametrize(
    ("side", "stem", "kernel"), [(64, 1, None), (65, 2, 3), (127, 2, 3), (128, 4, 4)]
)
def test_a_stem_shrinks_images_of_more_than_64_pixels(side, stem, kernel):
    model = build(ConvNet((side, side + 9, 3), 2))
    convolutions = [layer for layer in model.layers if hasattr(layer, "filters")]
    strided = [layer for layer in convolutions if layer.strides != (1, 1)]
    expected = [] if stem == 1 else [((stem, stem), (kernel, kernel), 32)]
    assert [(each.strides, each.kernel_size, each.filters) for each in strided] == expected
    first_pooled = next(layer for layer in model.layers if type(layer).__name__ == "MaxPooling2D")
    assert first_pooled.input.shape[1] == -(-side // stem)


def test_the_stem_can_be_fixed():
    plain = build(ConvNet((128, 128, 3), 10, stem=1, head="global_average"))
    small = build(ConvNet((32, 32, 3), 10, head="global_average"))
    assert plain.count_params() == small.count_params()


def test_a_photo_costs_less_than_a_tenth_of_what_it_did():
    # 1,926 million without the stem; EfficientNetB0 takes 390 million.
    cost = measure_complexity(build(ConvNet((224, 224, 3), 5)))
    assert cost.multiply_adds < 0.1 * 1926e6
