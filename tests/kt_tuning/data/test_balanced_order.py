import numpy as np
import pytest

from kt_tuning.data.batches import Batches, Random, balanced_order

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
