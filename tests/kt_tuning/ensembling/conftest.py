"""Three tiny models, and what they predict."""

import numpy as np
import pytest
from ensemble_models import SHAPE, WEIGHTS, build

from kt_tuning.ensembling import Ensemble


@pytest.fixture(scope="module")
def models():
    return [build(0), build(1), build(2)]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (50, *SHAPE), dtype=np.uint8)


@pytest.fixture(scope="module")
def ensemble(models):
    return Ensemble(models, WEIGHTS)


@pytest.fixture(scope="module")
def predictions(models, images):
    """(K, N, C)."""
    return np.stack([model.predict(images, verbose=0) for model in models])


@pytest.fixture
def fitting_data(predictions):
    """The predictions, and labels that follow the first two models."""
    return predictions.copy(), predictions[:2].mean(axis=0).argmax(axis=1)
