"""A description of the devices and of their use."""

from __future__ import annotations

import math

from kt_tuning.devices.found import CPU, GPU, TPU, UNITS, Devices
from kt_tuning.devices.policy import precision

STRATEGIES = {
    "tensorflow": {CPU: "MirroredStrategy", GPU: "MirroredStrategy", TPU: "TPUStrategy"},
    "jax": dict.fromkeys(UNITS, "keras.distribution.DataParallel"),
}
TRIALS = {
    CPU: "one a worker, which have the processor's cores divided among them",
    GPU: "one a GPU at a time; with more workers than GPUs several share one, each within its "
    "part of 90% of the memory",
    TPU: "one after the other, with workers=1: TensorFlow runs them on the host's processor, JAX "
    "on the first core",
}


def describe(devices: Devices) -> str:
    """Describe devices and how trials and a refit use them.

    Args:
        devices: Result of `find_devices`.
    """
    import keras

    capability = devices.capability
    known = "" if capability is None else f" of compute capability {capability[0]}.{capability[1]}"
    known += " with units for matrices of bfloat16" if devices.bfloat16 else ""
    count = devices.count
    backend = keras.backend.backend()
    refit = f"on {devices}"
    if count > 1:
        refit += (
            f" together by {STRATEGIES[backend][devices.kind]}: {count} times the images a step, a "
            f"learning rate of {count} times that of the trial for SGD and "
            f"{math.sqrt(count):.2f} times for other optimizers, warmed up"
        )
    if devices.kind == TPU:
        refit += "; batches of one shape, several steps in a call"
    lines = {
        "found": f"{devices}{known}, on {backend}",
        "trials": TRIALS[devices.kind],
        "refit": refit,
        "precision": f"{precision(devices)}, unless the recipe says otherwise",
    }
    if devices.kind != CPU:
        lines["note"] = f"kt-tuning has not been run on real {UNITS[devices.kind]}s yet"
    return "\n".join(f"{name:<10}{text}" for name, text in lines.items())
