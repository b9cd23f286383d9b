from __future__ import annotations

import numpy as np
import pytest
from shipped_run import small_model

from kt_tuning.core.errors import OptionError
from kt_tuning.finalize.export import fine_tuning


def test_a_round_trains_on_the_training_images(stripes):
    model = small_model()

    def loss():
        probabilities = model.predict(stripes.train.images, verbose=0)
        return -np.log(probabilities[np.arange(len(stripes.train)), stripes.train.labels]).mean()

    fit = fine_tuning(model, stripes, epochs=5, learning_rate=0.02)
    before = loss()
    fit(model, 0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
    fit(model, 1)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    assert loss() < 0.9 * before


def test_the_same_seed_trains_the_same(stripes):
    weights = []
    for _ in range(2):
        model = small_model()
        fine_tuning(model, stripes, seed=5)(model, 0)
        weights.append(model.get_weights()[0])
    np.testing.assert_array_equal(*weights)


def test_a_round_without_epochs_is_refused(stripes):
    with pytest.raises(OptionError, match="at least 1 epoch"):
        fine_tuning(small_model(), stripes, epochs=0)
