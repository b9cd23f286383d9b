"""Run by `test_virtual_devices`: a refit on one and on two virtual devices of this processor.

Devices can be divided into virtual ones only before they are used, so this is a process of its own.
"""

import csv
import json
import os
import shutil
import sys
from pathlib import Path


def divide_processor(backend: str) -> None:
    """Make two devices of the processor."""
    os.environ |= {
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # On JAX, compiling takes most of the time.
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2 "
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    }
    os.environ.pop("TPU_NAME", None)
    if backend == "tensorflow":
        import tensorflow as tf

        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * 2
        )


def main(backend: str, directory: str) -> None:
    """Write `found.json`."""
    divide_processor(backend)
    from striped import striped_images
    from tiny_models import tiny

    from kt_tuning import ImageData, Recipe, RefitOptions, Tuner
    from kt_tuning.core.errors import OptionError
    from kt_tuning.devices import describe, find_devices

    data = ImageData.from_arrays(*striped_images(60))
    recipe = Recipe(batch_size=10, augment="none")
    tuner = Tuner(tiny, max_trials=1, epochs=1, recipe=recipe, directory=directory)
    tuner.search(data, verbose=False)
    found = {"devices": find_devices().names, "text": describe(find_devices()), "losses": {}}
    for count in (1, 2):
        # 48 images: the last of three batches has 8 of its own.
        options = RefitOptions(epochs=3, batch_size=20, devices=count, verbose=False)
        made = tuner.refit(options, data)
        found["losses"][count] = losses(made.directory)
        found[f"predicted by {count}"] = made.ensemble.predict(data.test.images).tolist()
        found[f"devices of {count}"] = made.record.devices
        shutil.rmtree(made.directory)
    try:
        find_devices("local")
    except OptionError as error:
        found["tpu"] = str(error)
    (Path(directory) / "found.json").write_text(json.dumps(found))


def losses(folder: Path) -> list[float]:
    """The curve of the only model."""
    (history,) = folder.glob("trial_*/history.csv")
    with history.open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


if __name__ == "__main__":
    main(*sys.argv[1:])
