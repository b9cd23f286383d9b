import numpy as np
import pytest

from kt_tuning.augment import Mixing, mix
from kt_tuning.core.errors import OptionError

CLASSES = 3


@pytest.fixture
def batch():
    """Three images of 4×6 pixels, each all of one value, and their labels."""
    values = np.array([0, 100, 255], dtype=np.uint8)
    return np.broadcast_to(values[:, None, None, None], (3, 4, 6, 1)).copy(), np.array([0, 2, 2])


def uniforms(share, x=0.5, y=0.5, method=0.0):
    return np.tile([method, share, x, y], (3, 1)).astype(float)


def test_mixup_blends_images_and_labels_alike(batch):
    # α = 1 makes the uniform number itself the share: a quarter stays
    images, targets, weights = mix(Mixing(mixup=1), *batch, uniforms(0.25), classes=CLASSES)
    # 0.25·0 + 0.75·100 = 75; 0.25·100 + 0.75·255 = 216.25; 0.25·255 + 0.75·0 = 63.75
    assert images[:, 0, 0, 0].tolist() == [75, 216, 64]
    assert (images.dtype, images.shape) == (np.uint8, (3, 4, 6, 1))
    assert targets.tolist() == [[0.25, 0, 0.75], [0, 0, 1], [0.75, 0, 0.25]]
    assert (targets.dtype, weights) == (np.float32, None)


def test_halves_are_rounded_up():
    images = np.array([10, 11], dtype=np.uint8)[:, None, None, None]
    mixed, _, _ = mix(Mixing(mixup=1), images, np.array([0, 1]), uniforms(0.5)[:2], classes=CLASSES)
    assert mixed.ravel().tolist() == [11, 11]


def test_white_on_white_stays_white():
    images = np.full((2, 3, 3, 3), 255, dtype=np.uint8)
    for share in np.linspace(0, 0.999, 7):
        mixed, _, _ = mix(
            Mixing(mixup=1), images, np.array([0, 1]), uniforms(share)[:2], classes=CLASSES
        )
        assert np.array_equal(mixed, images)


def test_cutmix_pastes_a_rectangle_and_counts_its_pixels(batch):
    # √(1 - 0.75) = 1/2 of both sides: 2 rows and 3 columns around row 2 and column 3
    images, targets, _ = mix(Mixing(cutmix=1), *batch, uniforms(0.75), classes=CLASSES)
    expected = np.zeros((4, 6))
    expected[1:3, 2:5] = 100
    assert np.array_equal(images[0, :, :, 0], expected)
    assert targets[0] == pytest.approx([18 / 24, 0, 6 / 24])


def test_cutmix_is_clipped_at_the_border(batch):
    images, targets, _ = mix(Mixing(cutmix=1), *batch, uniforms(0.75, 0, 0), classes=CLASSES)
    # rows -1 to 1 and columns -1 to 2, of which 1 row and 2 columns are inside
    expected = np.zeros((4, 6))
    expected[:1, :2] = 100
    assert np.array_equal(images[0, :, :, 0], expected)
    assert targets[0] == pytest.approx([22 / 24, 0, 2 / 24])


def test_both_share_the_images_between_them(batch):
    numbers = uniforms(0.75)
    numbers[1, 0] = 0.5
    both, _, _ = mix(Mixing(1, 1), *batch, numbers, classes=CLASSES)
    blended, _, _ = mix(Mixing(mixup=1), *batch, numbers, classes=CLASSES)
    pasted, _, _ = mix(Mixing(cutmix=1), *batch, numbers, classes=CLASSES)
    assert np.array_equal(both, np.stack([blended[0], pasted[1], blended[2]]))


def test_neither_only_makes_labels_soft(batch):
    images, targets, _ = mix(Mixing(), *batch, uniforms(0.5), classes=CLASSES)
    assert np.array_equal(images, batch[0])
    assert np.array_equal(targets, np.eye(CLASSES)[batch[1]])


@pytest.mark.parametrize("mixing", [Mixing(0.3), Mixing(0, 0.7), Mixing(0.3, 0.7)], ids=str)
def test_the_input_is_left_alone_and_rows_are_distributions(mixing, batch):
    before = batch[0].copy()
    numbers = np.random.default_rng(0).random((3, mixing.draws))
    images, targets, _ = mix(mixing, *batch, numbers, classes=CLASSES)
    assert np.array_equal(batch[0], before)
    assert not np.array_equal(images, before)
    assert targets.sum(axis=1) == pytest.approx(np.ones(3))
    assert targets.min() >= 0


def test_weights_make_the_loss_that_of_both_images(batch):
    images, labels = batch
    share, weights = 0.25, np.array([4.0, 1.0, 1.0], dtype=np.float32)
    _, targets, mixed = mix(
        Mixing(mixup=1), images, labels, uniforms(share), weights, classes=CLASSES
    )
    losses = np.array([0.3, 1.7, 0.9])  # of each label
    expected = share * weights[0] * losses[0] + (1 - share) * weights[1] * losses[2]
    assert mixed[0] * (targets[0] @ losses) == pytest.approx(expected)
    assert mixed.dtype == np.float32


def test_shares_follow_the_beta_distribution():
    # Beta(α, α) has the mean 1/2 and the variance 1 / (4 (2 α + 1))
    numbers = np.random.default_rng(1).random((4000, 4))
    images = np.zeros((4000, 1, 1, 1), dtype=np.uint8)
    labels = np.arange(4000) % 2
    _, targets, _ = mix(Mixing(mixup=0.2), images, labels, numbers, classes=2)
    own = targets[np.arange(4000), labels]
    assert own.mean() == pytest.approx(0.5, abs=0.03)
    assert own.var() == pytest.approx(1 / (4 * 1.4), abs=0.01)


def test_an_image_alone_in_its_batch_stays_itself(batch):
    images, labels = batch[0][:1], batch[1][:1]
    mixed, targets, _ = mix(Mixing(1, 1), images, labels, uniforms(0.4)[:1], classes=CLASSES)
    assert np.array_equal(mixed, images)
    assert np.array_equal(targets, [[1, 0, 0]])


@pytest.mark.parametrize("alpha", [-0.1, float("inf"), float("nan"), True, "0.2"])
def test_other_alphas_are_refused(alpha):
    with pytest.raises(OptionError, match="cutmix"):
        Mixing(cutmix=alpha)


def test_other_arrays_are_refused(batch):
    with pytest.raises(OptionError, match="uint8 images"):
        mix(Mixing(1), batch[0] / 255, batch[1], uniforms(0.5), classes=CLASSES)
    with pytest.raises(OptionError, match=r"shape \(3, 4\)"):
        mix(Mixing(1), *batch, uniforms(0.5)[:2], classes=CLASSES)
