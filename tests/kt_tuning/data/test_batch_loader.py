import threading
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kt_tuning.data import batch_loader as loading
from kt_tuning.data.batch_loader import DATA_WAIT, FollowEpochs, Loader
from kt_tuning.data.batches import Batches, Random


@pytest.fixture
def batches(stripes):
    return Batches(stripes.train, 8, seed=0)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_it_hands_out_the_batches_of_its_epoch(threads, batches):
    with Loader(batches, threads=threads) as loader:
        for epoch in (0, 1, 5):
            FollowEpochs(loader).on_epoch_begin(epoch)
            for index in range(len(loader)):
                for found, expected in zip(loader[index], batches.read(epoch, index), strict=True):
                    assert np.array_equal(found, expected)


def test_the_wait_is_the_share_of_the_epoch_that_went_into_it(stripes, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    watch = SimpleNamespace(perf_counter=lambda: clock.now, process_time=lambda: 0.0)
    monkeypatch.setattr(loading, "time", watch)

    def slow(images, uniforms):
        clock.now += 2.0
        return images

    batches = Batches(stripes.train, 12, seed=0, augment=Random(slow, 1))
    with Loader(batches, threads=0) as loader:
        follow, logs = FollowEpochs(loader), {}
        follow.on_epoch_begin(0)
        for index in range(3):
            loader[index]
        clock.now += 4.0
        follow.on_epoch_end(0, logs)
    # Small images: all three batches are made together, in 2 s of an epoch of 6 s.
    assert logs[DATA_WAIT] == pytest.approx(1 / 3)


def test_the_wait_of_a_thread_that_is_not_training_says_nothing(batches):
    with Loader(batches) as loader:
        loader.begin_epoch(0)
        thread = threading.Thread(target=loader.__getitem__, args=(0,))
        thread.start()
        thread.join()
        assert loader.end_epoch() is None


@pytest.mark.parametrize(
    ("waited", "processors", "expected"), [(0.0, 99, 2), (0.0, 0, 0), (60.0, 99, 0)]
)
def test_processes_are_started_after_a_wait_if_processors_are_idle(
    waited, processors, expected, batches, monkeypatch
):
    monkeypatch.setattr(loading, "START_SECONDS", waited)
    monkeypatch.setattr(loading, "own_processors", lambda: processors)
    monkeypatch.setattr(loading, "reading_threads", lambda: 2)
    with Loader(batches, threads=1) as loader:
        for epoch in (0, 1, 2):
            loader.begin_epoch(epoch)
            assert loader.processes == (expected if epoch else 0)
            for index in range(len(loader)):
                for found, right in zip(loader[index], batches.read(epoch, index), strict=True):
                    assert np.array_equal(found, right)
            loader.end_epoch()


def test_threads_go_on_where_processes_cannot_be_started(batches, monkeypatch):
    def refused(*arguments):
        raise OSError("no more processes")

    monkeypatch.setattr(loading, "START_SECONDS", 0.0)
    monkeypatch.setattr(loading, "own_processors", lambda: 99)
    monkeypatch.setattr(loading, "BatchProcesses", refused)
    with Loader(batches, threads=1) as loader:
        for epoch in (0, 1):
            loader.begin_epoch(epoch)
            assert np.array_equal(loader[0][0], batches.read(epoch, 0)[0])
            loader.end_epoch()


def test_keras_trains_on_it(stripes, batches):
    seen = []
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")

    class Noting(Loader):
        def __getitem__(self, index):
            seen.append((self._epoch, index))
            return super().__getitem__(index)

    with Noting(batches) as loader:
        model.fit(
            loader,
            epochs=3,
            initial_epoch=1,
            verbose=0,
            shuffle=False,
            callbacks=[FollowEpochs(loader)],
        )
    trained = [(epoch, index) for epoch in (1, 2) for index in range(len(batches))]
    assert seen[-len(trained) :] == trained
