"""How much augmentation slows down training, and which loader makes batches fastest.

4,000 images of 32×32×3, batches of 64, the "standard" policy.

1. Batches alone, as fast as possible, without training: kt-tuning without threads, with 1 and 2
   threads and with 2 processes, `keras.utils.PyDataset` and, if it is installed (`pip install
   grain`), `grain`. Each runs in a fresh process; then the same for 512 images of 224×224×3, where
   PIL works long enough on each image for threads to share the work.
2. Training the default `ConvNet` (514,866 parameters), short epochs of 1,024 images with and
   without the policy in turn: milliseconds per step; the median of each pair's ratio, in wall-clock
   and in CPU time, and the ratio of the fastest epochs; and the share of time that training waited
   for data. The ratio should be at most 1.05. This is measured in the precision in which the device
   is fastest, as in trials, in float32, and with Keras' own `fit` and `tf.data`.

`--quick` measures fewer epochs. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from kt_tuning.augment import Policy, augment
from kt_tuning.data import ImageData
from kt_tuning.data.batch_loader import Prefetcher, ReadRun
from kt_tuning.data.batches import Batch, Batches, Random
from kt_tuning.data.worker_pool import BatchProcesses

if TYPE_CHECKING:
    import keras

    from kt_tuning.data.batch_loader import Loader

BATCH_SIZE = 64
SIZES = {32: 4000, 224: 512}
"""Training images by their side."""
EPOCH = 1024
"""Images of an epoch that is trained: a few seconds, so that a machine whose speed changes from
minute to minute is as fast for both of a pair."""
TARGET = 1.05
OURS, FLOAT32, KERAS = "ours", "float32", "Keras"
TRAINERS = {OURS: 30, FLOAT32: 30, KERAS: 10}
"""Who trains, and how many rounds."""


def make_data(size: int, count: int) -> ImageData:
    """Noise, labelled in ten classes: the cost of PIL's calls does not depend on what they see."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count + 100, size, size, 3), dtype=np.uint8)
    labels = np.arange(count + 100) % 10
    rest = (images[count:], labels[count:])
    return ImageData.from_arrays(
        images[:count], labels[:count], validation=rest, test=(images[:100], labels[:100])
    )


def make_batches(data: ImageData, name: str) -> Batches:
    """Batches under a policy."""
    policy = Policy.named(name)
    change = Random(functools.partial(augment, policy), policy.draws) if policy.steps else None
    return Batches(data.train, BATCH_SIZE, seed=0, augment=change)


def ours(
    batches: Batches,
    epochs: int,
    *,
    threads: int,
    read: ReadRun | None = None,
) -> Iterator[Batch]:
    run = batches.run_length(batches.batch_size)
    with contextlib.closing(
        Prefetcher(read or batches.read_run, len(batches), run, threads=threads)
    ) as reader:
        for epoch in range(epochs):
            for index in range(len(batches)):
                yield reader.take(epoch, index)


def our_processes(batches: Batches, epochs: int) -> Iterator[Batch]:
    with BatchProcesses(batches, 2) as processes:
        yield from ours(batches, epochs, threads=2, read=processes.read_run)


def keras_reader(batches: Batches, epochs: int, *, processes: bool) -> Iterator[Batch]:
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    dataset = py_dataset(batches, workers=2, use_multiprocessing=processes)
    adapter = PyDatasetAdapter(dataset)
    for _ in range(epochs):
        adapter.on_epoch_begin()
        yield from adapter.get_numpy_iterator()
        adapter.on_epoch_end()


def py_dataset(batches: Batches, **options: Any) -> Any:
    """The batches of the first epoch, as one would hand them to Keras."""
    import keras

    class Plain(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> Batch:
            return batches.read(0, index)

    return Plain(**options)


def grain_reader(batches: Batches, epochs: int, *, processes: bool) -> Iterator[Batch]:
    import grain

    count = len(batches)
    places = grain.MapDataset.range(epochs * count)
    made = places.map(lambda place: batches.read(*divmod(int(place), count)))
    if processes:
        made = made.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2))
        return iter(made.mp_prefetch(grain.MultiprocessingOptions(num_workers=2)))
    return iter(made.to_iter_dataset(grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)))


READERS: dict[str, Callable[[Batches, int], Iterator[Batch]]] = {
    "no thread": functools.partial(ours, threads=0),
    "ours, 1 thread": functools.partial(ours, threads=1),
    "ours, 2 threads": functools.partial(ours, threads=2),
    "ours, 2 processes": our_processes,
    "Keras, 2 threads": functools.partial(keras_reader, processes=False),
    "Keras, 2 processes": functools.partial(keras_reader, processes=True),
    "grain, 2 threads": functools.partial(grain_reader, processes=False),
    "grain, 2 processes": functools.partial(grain_reader, processes=True),
}


def read(name: str, size: int, epochs: int) -> dict[str, float]:
    """Images per second after the first epoch, and seconds until its first batch."""
    batches = make_batches(make_data(size, SIZES[size]), "standard")
    began = time.perf_counter()
    reader = READERS[name](batches, epochs)
    images = 0
    for place, batch in enumerate(reader):
        if place == 0:
            first = time.perf_counter() - began
        if place == len(batches) - 1:
            began = time.perf_counter()
        images += len(batch[0]) if place >= len(batches) else 0
    return {"images_per_second": images / (time.perf_counter() - began), "first": first}


def alternate(
    model: keras.Model, loaders: dict[str, Loader], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Epochs on each loader in turn: milliseconds per step, in wall-clock and CPU time; waits."""
    from kt_tuning.data.batch_loader import DATA_WAIT, FollowEpochs

    figures: dict[str, dict[str, list[float]]] = {
        name: {"clock": [], "processors": [], DATA_WAIT: []} for name in loaders
    }
    for number in range(rounds + 1):
        # each of them is the first as often as the other
        for name in list(loaders)[:: -1 if number % 2 else 1]:
            loader, found = loaders[name], figures[name]
            began, computed = time.perf_counter(), time.process_time()
            history = model.fit(
                loader,
                epochs=number + 1,
                initial_epoch=number,
                callbacks=[FollowEpochs(loader)],
                shuffle=False,
                verbose=0,
            ).history
            # the first epoch of each is for tracing
            if number:
                found["clock"].append(1e3 * (time.perf_counter() - began) / len(loader))
                found["processors"].append(1e3 * (time.process_time() - computed) / len(loader))
                found[DATA_WAIT] += history.get(DATA_WAIT, [])
    return figures


def train(rounds: dict[str, int]) -> dict[str, dict[str, Any]]:
    """What a step costs, by who trains, so many rounds, and by policy; and the share of waiting."""
    import keras_tuner

    from hypermodels import ConvNet
    from kt_tuning.data.batch_loader import DATA_WAIT, Loader
    from kt_tuning.trials.building import build_model
    from kt_tuning.trials.classifiers import build_metrics, example_targets
    from kt_tuning.trials.keras_fast import fuse_batch_normalization, prepare_classifier

    data = make_data(32, EPOCH)
    figures: dict[str, dict[str, Any]] = {}
    for trainer, count in rounds.items():
        hypermodel = ConvNet(data.input_shape, data.classes, schedule="constant")
        precision = "auto" if trainer == OURS else "float32"
        model = build_model(hypermodel, keras_tuner.HyperParameters(), precision)
        if trainer != KERAS:
            fuse_batch_normalization(model)
            prepare_classifier(model, data.classes)
        build_metrics(model, example_targets(data.classes, soft=False))
        with contextlib.ExitStack() as stack:
            loaders = {
                name: stack.enter_context(Loader(make_batches(data, name)))
                for name in ("none", "standard")
            }
            found = alternate(model, loaders, count)
        none, standard = found["none"], found["standard"]
        figures[trainer] = {
            "parameters": model.count_params(),
            "milliseconds": {
                name: statistics.median(each["clock"]) for name, each in found.items()
            },
            "ratio": _of_pairs(standard["clock"], none["clock"]),
            "ratio_of_fastest": min(standard["clock"]) / min(none["clock"]),
            "ratio_of_processors": _of_pairs(standard["processors"], none["processors"]),
            "data_wait": statistics.median(standard[DATA_WAIT]) if standard[DATA_WAIT] else None,
        }
    return figures


def _of_pairs(values: list[float], others: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(values, others, strict=True))


def measure_reader(name: str, size: int, epochs: int) -> dict[str, Any] | None:
    """Measure in a fresh process; None if the reader is not installed."""
    command = [sys.executable, __file__, "--reader", name, str(size), str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        if "No module named 'grain'" in done.stderr:
            return None
        raise RuntimeError(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--reader", nargs=3, metavar=("NAME", "SIZE", "EPOCHS"), help="measure only this one"
    )
    arguments = parser.parse_args()
    if arguments.reader:
        name, size, epochs = arguments.reader
        print(json.dumps(read(name, int(size), int(epochs))))
        return
    readers: dict[str, dict[str, Any]] = {}
    for size, count in SIZES.items():
        print(f"{count:,} images of {size}×{size}{'images/s':>16}{'first batch':>14}")
        readers[str(size)] = {}
        for name in READERS:
            epochs = 2 if arguments.quick or size > 32 else 5
            found = measure_reader(name, size, epochs)
            readers[str(size)][name] = found
            if found is None:
                print(f"{name:24}   not installed")
            else:
                print(f"{name:24}{found['images_per_second']:14,.0f}{found['first']:12.2f} s")
    rounds = dict.fromkeys(TRAINERS, 3) if arguments.quick else TRAINERS
    training = train(rounds)
    heads = ("none", "standard", "ratio", "of fastest", "of processors", "data wait")
    print("ms per step".ljust(12) + "".join(f"{head:>15}" for head in heads))
    for trainer, found in training.items():
        none, standard = found["milliseconds"].values()
        ratios = [found[name] for name in ("ratio", "ratio_of_fastest", "ratio_of_processors")]
        wait = "unknown" if found["data_wait"] is None else f"{found['data_wait']:.2%}"
        print(
            f"{trainer:12}{none:15.2f}{standard:15.2f}"
            + "".join(f"{ratio:15.3f}" for ratio in ratios)
            + f"{wait:>15}"
        )
    print(f"claim: a ratio of at most {TARGET}")
    figures = {"quick": arguments.quick, "target": TARGET, "readers": readers}
    print(json.dumps({**figures, "training": training, "python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()
