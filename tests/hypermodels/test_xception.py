import keras
import keras_tuner
import pytest

from hypermodels.xception import Xception


def build(hypermodel, **values):
    hp = keras_tuner.HyperParameters()
    hp.values = values
    return hypermodel.build(hp)


def last_maps(model):
    """Height and width of what is averaged at the end."""
    pooling = next(x for x in model.layers if isinstance(x, keras.layers.GlobalAveragePooling2D))
    return pooling.input.shape[1:3]


def test_full_scale_has_the_published_parameters():
    model = build(Xception((299, 299, 3), 1000, width=1.0, blocks=8))
    # keras.applications.Xception(weights=None).count_params()
    assert model.count_params() == 22_910_480
    assert last_maps(model) == (10, 10)


def test_a_middle_module_has_the_parameters_worked_out_by_hand():
    counts = [
        build(Xception((16, 16, 1), 2, width=0.125, blocks=blocks)).count_params()
        for blocks in (1, 2)
    ]
    channels = 88  # 728 / 8 = 91, rounded to a multiple of 8
    assert counts[1] - counts[0] == 3 * (9 * channels + channels**2 + 4 * channels)


@pytest.mark.parametrize(
    ("shape", "maps"),
    [
        ((8, 8, 1), (4, 4)),
        ((32, 32, 3), (4, 4)),
        ((96, 96, 3), (6, 6)),
        ((224, 224, 3), (7, 7)),
        ((3, 6, 1), (3, 6)),
        ((1, 1, 1), (1, 1)),
    ],
)
def test_small_images_are_halved_less_often(shape, maps):
    model = build(Xception(shape, 2, width=0.125, blocks=0))
    assert last_maps(model) == maps
    assert model.output_shape == (None, 2)


@pytest.mark.parametrize(
    ("side", "sides"),
    [
        # The stem's second convolution's output, then after each entry module and the exit module.
        (16, [16, 8, 4, 4, 4]),
        (32, [32, 16, 8, 4, 4]),
        (96, [96, 48, 24, 12, 6]),
        (128, [64, 32, 16, 8, 4]),
    ],
)
def test_entry_modules_halve_first_and_the_stem_last(side, sides):
    model = build(Xception((side, side, 3), 2, width=0.125, blocks=0))
    separable = [x for x in model.layers if isinstance(x, keras.layers.SeparableConv2D)]
    assert [layer.input.shape[1] for layer in separable[::2]] == sides


def test_width_scales_all_channels_in_eights():
    model = build(Xception((32, 32, 3), 10, width=0.25, blocks=1))
    separable = [x.filters for x in model.layers if isinstance(x, keras.layers.SeparableConv2D)]
    # A quarter of 128, 256, 728 (182, rounded to 184), 1024, 1536 and 2048.
    assert separable == [32, 32, 64, 64, *[184] * 6, 256, 384, 512]


def test_fixed_hyperparameters_are_not_searched():
    names = {hp.name for hp in Xception((8, 8, 1), 2, width=0.1, blocks=0).hyperparameters().space}
    assert not names & {"width", "blocks"}
    assert "kernel_size" in names
