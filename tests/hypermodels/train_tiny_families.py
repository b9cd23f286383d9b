"""Trains each family for a moment on the backend of `KERAS_BACKEND`, and prints who got through."""

import keras
import keras_tuner
import numpy as np
from striped import striped_images
from tiny_families import tiny

from hypermodels import HYPERMODELS

images, labels = striped_images(16)
print(keras.backend.backend())
for family in HYPERMODELS:
    hypermodel, hp = tiny(family, (8, 8, 1), 2), keras_tuner.HyperParameters()
    model = hypermodel.build(hp)
    history = hypermodel.fit(hp, model, images, labels, batch_size=8, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.allclose(model.predict(images, verbose=0).sum(axis=1), 1, atol=1e-5)
    print(family)
