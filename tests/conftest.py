"""What every test starts from."""

import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# A test process has a processor for itself; threads that wait for work would use up the others.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# As `import kt_tuning` does on processors with AVX2, if it comes before TensorFlow.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# "auto" is float32 on all machines; what processors with units for bfloat16 do has its own tests.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")

import pytest
import tensorflow as tf
from garbage import COUNT_FROZEN
from marks import mark_of
from striped import striped_images

from kt_tuning.data import ImageData

# To optimise a graph takes longer than the few steps that a test takes with it. What runs in a
# process of its own (the command line, workers, notebooks) has its graphs optimised.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def pytest_collection():
    """Imports make a million objects that stay: meanwhile there is nothing to collect."""
    gc.disable()


def pytest_collection_modifyitems(items):
    """Mark the tests that `make quick` leaves out."""
    for item in items:
        mark = mark_of(item.path.relative_to(Path(__file__).parent).as_posix())
        if mark is not None:
            item.add_marker(mark)


def pytest_collection_finish():
    """Spare them each later collection; Keras asks for one a model."""
    gc.freeze()
    gc.enable()
    # To count them takes 60 ms, and each search asks.
    count = COUNT_FROZEN()
    gc.get_freeze_count = lambda: count


@pytest.fixture(scope="module", autouse=True)
def _freeze_what_stays():
    """Spare later collections what the tests of a module have left for good."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """No test reads or writes the user's cache, or Keras'."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KT_TUNING_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.delenv("KT_TUNING_BACKBONES", raising=False)
        yield


@pytest.fixture(scope="session")
def stripes() -> ImageData:
    """60 easy images, 8×8×1, two classes: 36 train, 12 validation, 12 test."""
    images, labels = striped_images(60)
    return ImageData.from_arrays(images, labels, class_names=("lying", "standing"))
