import math

import numpy as np
import pytest

from kt_tuning.augment import Mixing, mix
from kt_tuning.data.batches import RUN_PIXELS, Batches, Random, balanced_order
from kt_tuning.data.image_split import ImageSplit


def halved(images, uniforms):
    """Stand-in for an augmentation that uses its numbers."""
    return (images * uniforms[:, 0, None, None, None]).astype(np.uint8)


def mixed(images, labels, uniforms, weights):
    return mix(Mixing(1, 1), images, labels, uniforms, weights, classes=2)


HALVED, MIXED = Random(halved, 1), Random(mixed, Mixing().draws)


def epoch_of(batches, epoch=0):
    parts = [batches.read(epoch, i)[:2] for i in range(len(batches))]
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def pairs(images, labels):
    """Images with their labels, in an order of their own."""
    return sorted(
        (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    )


def test_an_epoch_has_every_image_once(stripes):
    images, labels = epoch_of(Batches(stripes.train, 8, seed=0))
    assert pairs(images, labels) == pairs(stripes.train.images, stripes.train.labels)


@pytest.mark.parametrize("mixing", [None, MIXED])
def test_epochs_differ_and_can_be_repeated_in_any_order(mixing, stripes):
    def new():
        return Batches(stripes.train, 8, seed=5, augment=HALVED, mix=mixing)

    batches = new()
    first, second = epoch_of(batches, 0), epoch_of(batches, 1)
    assert not np.array_equal(first[0], second[0])
    later_first = new()
    for expected, epoch in ((second, 1), (first, 0)):
        for one, other in zip(expected, epoch_of(later_first, epoch), strict=True):
            assert np.array_equal(one, other)


def test_augmentation_does_not_depend_on_the_batch_size(stripes):
    small = epoch_of(Batches(stripes.train, 5, seed=2, augment=HALVED))
    large = epoch_of(Batches(stripes.train, 36, seed=2, augment=HALVED))
    assert np.array_equal(small[0], large[0])


@pytest.mark.parametrize("side", [8, 64])
def test_a_run_has_the_batches_that_follow_each_other(side):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (330, side, side, 3), dtype=np.uint8)
    split = ImageSplit(images, np.arange(330), np.arange(330) % 2)
    batches = Batches(split, 32, seed=3, augment=HALVED, mix=MIXED, class_weight={0: 1.0, 1: 3.0})
    length = batches.run_length(32)
    assert length == max(1, RUN_PIXELS // (32 * side**2))
    runs = [batches.read_run(1, run) for run in range(math.ceil(len(batches) / length))]
    made = [batch for run in runs for batch in run]
    expected = [batches.read(1, index) for index in range(len(batches))]
    assert max(map(len, runs)) == min(length, len(batches))
    for one, other in zip(made, expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_mixing_changes_neither_order_nor_augmentation(stripes):
    def untouched(images, labels, uniforms, weights):
        return images, labels, weights

    plain = epoch_of(Batches(stripes.train, 8, seed=2, augment=HALVED))
    beside = Batches(stripes.train, 8, seed=2, augment=HALVED, mix=Random(untouched, 4))
    for one, other in zip(plain, epoch_of(beside), strict=True):
        assert np.array_equal(one, other)


def test_seeds_differ(stripes):
    one, two = (epoch_of(Batches(stripes.train, 8, seed=seed))[0] for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_class_weights_come_by_image(stripes):
    batches = Batches(stripes.train, 36, seed=0, class_weight={0: 1.0, 1: 3.0})
    _, labels, weights = batches.read(0, 0)
    assert np.array_equal(weights, np.where(labels == 1, 3.0, 1.0))


def test_mixed_batches_have_soft_labels_and_weights(stripes):
    batches = Batches(stripes.train, 36, seed=0, mix=MIXED, class_weight={0: 1.0, 1: 3.0})
    images, targets, weights = batches.read(0, 0)
    assert (images.dtype, targets.shape, targets.dtype) == (np.uint8, (36, 2), np.float32)
    assert weights.min() >= 1
    assert weights.max() <= 3
    assert 1 < weights.mean() < 3


@pytest.mark.parametrize(("size", "batches"), [(36, 1), (35, 2), (1, 36)])
def test_number_of_batches(size, batches, stripes):
    assert len(Batches(stripes.train, size, seed=0)) == batches


RARE = np.repeat([0, 1, 2], [50, 8, 2])


def draw(labels, seed=0):
    return balanced_order(labels, np.random.default_rng(seed))


@pytest.mark.parametrize("labels", [RARE, np.repeat([0, 2], [3, 10]), np.zeros(4, int)])
def test_each_class_is_drawn_alike(labels):
    order = draw(labels)
    assert len(order) == len(labels)
    counts = np.bincount(labels[order])
    counts = counts[np.unique(labels)]
    assert counts.max() - counts.min() <= 1


def test_images_of_a_class_take_turns():
    times = np.bincount(draw(RARE), minlength=len(RARE))
    for label in (0, 1, 2):
        own = times[label == RARE]
        assert own.max() - own.min() <= 1
    # 20 draws of each class: 50 images once at most, 8 images 2 or 3 times, 2 images 10 times
    assert times[RARE == 0].max() == 1
    assert list(times[RARE == 2]) == [10, 10]


def test_the_class_that_comes_once_more_is_drawn_too():
    labels = np.repeat([0, 1], [2, 3])
    extra = {int(np.bincount(labels[draw(labels, seed)]).argmax()) for seed in range(20)}
    assert extra == {0, 1}


class Pictures:
    """Images whose only pixel is their place."""

    labels = RARE

    def __len__(self):
        return len(RARE)

    def take(self, indices):
        return np.asarray(indices, np.uint8).reshape(-1, 1, 1, 1)


def noted(images, uniforms):
    """The image, and beside it what was drawn for it."""
    return np.stack([images[:, 0, 0, 0], uniforms[:, 0]], axis=1)


def epoch(batches, number=0):
    parts = [batches.read(number, index)[0] for index in range(len(batches))]
    return np.concatenate(parts)


def test_an_epoch_depends_on_seed_and_number_but_not_on_the_batch_size():
    def new(batch_size, seed=3):
        return Batches(Pictures(), batch_size, seed=seed, balanced=True, augment=Random(noted, 1))

    first = epoch(new(7))
    assert np.array_equal(first, epoch(new(16)))
    assert not np.array_equal(first, epoch(new(7), number=1))
    assert not np.array_equal(first, epoch(new(7, seed=4)))


def test_an_image_that_comes_twice_is_augmented_differently():
    seen = epoch(Batches(Pictures(), 8, seed=0, balanced=True, augment=Random(noted, 1)))
    assert len(np.unique(seen[:, 0])) < len(seen)
    assert len(np.unique(seen[:, 1])) == len(seen)
