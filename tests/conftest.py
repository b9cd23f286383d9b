"""What every test starts from."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
from striped import striped_images

from kt_tuning.data import ImageData


def pytest_collection():
    """Imports make a million objects that stay: meanwhile there is nothing to collect."""
    gc.disable()


def pytest_collection_finish():
    """Spare them each later collection; Keras asks for one a model."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """No test reads or writes the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_TUNING_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def stripes() -> ImageData:
    """60 easy images, 8×8×1, two classes: 36 train, 12 validation, 12 test."""
    images, labels = striped_images(60)
    return ImageData.from_arrays(images, labels, class_names=("lying", "standing"))
