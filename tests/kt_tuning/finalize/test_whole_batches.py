"""Batches of one size."""

import numpy as np
import pytest

from kt_tuning.data.batch_loader import Loader
from kt_tuning.data.batches import Batches
from kt_tuning.finalize.refit_training import WholeBatches, whole_batches


@pytest.mark.parametrize("size", [12, 10, 25, 50, 80])
def test_the_last_batch_is_filled_up_from_the_first(stripes, size):
    batches = Batches(stripes.train, size, seed=1)
    with Loader(batches) as loader:
        whole = WholeBatches(loader)
        loader.begin_epoch(3)
        images = np.concatenate([whole[index][0] for index in range(len(whole))])
        labels = np.concatenate([whole[index][1] for index in range(len(whole))])
    assert len(whole) == -(-36 // size)
    order = np.random.default_rng((1, 3)).permutation(36)
    # 80 images a batch: all of them twice, and 8 a third time.
    wanted = np.resize(order, len(whole) * size)
    assert np.array_equal(images, stripes.train.take(wanted))
    assert np.array_equal(labels, stripes.train.labels[wanted])


def test_tensorflow_is_told_every_shape(stripes):
    with Loader(Batches(stripes.train, 10, seed=1)) as loader:
        dataset = whole_batches(loader)
        shapes = [tuple(part.shape) for part in dataset.element_spec]
        assert shapes == [(10, 8, 8, 1), (10,)]
        assert int(dataset.cardinality()) == len(list(dataset)) == 4
