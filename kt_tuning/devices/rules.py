"""Precision, batch size, learning rate and steps of a training by its devices.

The batch of each device stays the same, so k devices together take k times as many images per step
and a k-th of the steps; the learning rate is scaled up.

Batch normalisation on TensorFlow uses the images of each device (Goyal et al. 2017, sections 2.3
and 3) and keeps the running means of the first one; on JAX it uses the whole batch.
"""

from __future__ import annotations

import math

from kt_tuning.devices.devices import CPU, GPU, TPU, UNITS, Devices

LEAST_STEPS = 10
"""Smallest number of steps an epoch to which batches are enlarged."""
WARM_UP_EPOCHS = 5
"""Goyal et al. 2017, 2.2: of 90."""
WARM_UP_SHARE = 0.1
"""Largest share of a training."""
STEPS_PER_EXECUTION = 32
"""Steps of a TPU between two communications with its host."""
AMPERE = (8, 0)
"""Compute capability from which tensor cores support bfloat16."""
VOLTA = (7, 0)
"""Compute capability from which there are tensor cores, which support float16."""
STRATEGIES = {
    "tensorflow": {CPU: "MirroredStrategy", GPU: "MirroredStrategy", TPU: "TPUStrategy"},
    "jax": dict.fromkeys(UNITS, "keras.distribution.DataParallel"),
}
TRIALS = {
    CPU: "one per worker; the workers share the processor's cores",
    GPU: "one per GPU at a time; with more workers than GPUs, the workers of a GPU share 90% of "
    "its memory equally",
    TPU: "one after the other, with workers=1; TensorFlow runs them on the processor of the host, "
    "JAX on the first core",
}


def precision(devices: Devices) -> str:
    """Return the fastest dtype policy of Keras on all of the devices.

    bfloat16 has the range of float32, so that losses need no scaling: it is preferred where there
    is a choice. A processor is faster in float32 than in either, unless it has units for matrices
    of bfloat16.

    Source: NVIDIA, "Train with mixed precision", and Google, "bfloat16: the secret to high
    performance on Cloud TPUs".

    Args:
        devices: Devices of a training.

    Returns:
        "float32", "mixed_float16" or "mixed_bfloat16".
    """
    if devices.kind == TPU or devices.bfloat16:
        return "mixed_bfloat16"
    if devices.kind != GPU or devices.capability is None:
        return "float32"
    if devices.capability >= AMPERE:
        return "mixed_bfloat16"
    return "mixed_float16" if devices.capability >= VOLTA else "float32"


def global_batch(batch: int, devices: int, images: int) -> int:
    """Return the images per step of all devices: the batch of one times their number.

    With few images it is smaller, so that an epoch has 10 steps, but not below the batch of one
    device.

    Args:
        batch: Images a step on one device.
        devices: Number of devices.
        images: Images an epoch.

    Returns:
        A multiple of `devices`.
    """
    wanted = min(batch * devices, max(batch, images // LEAST_STEPS))
    return math.ceil(wanted / devices) * devices


def rate_factor(optimizer: str, ratio: float) -> float:
    """Return the factor by which the learning rate of an optimizer scales with the batch size.

    The ratio k itself for SGD: k small steps along similar gradients equal one step of k times the
    length (Goyal et al. 2017, "Accurate, large minibatch SGD", 2.1). √k for other optimizers, which
    divide by the size of the gradients, so that the batch size changes only their noise, by √k
    (Malladi et al. 2022, "On the SDEs and scaling rules for adaptive gradient algorithms"; You et
    al. 2020 and Granziol et al. 2022 find the same for Adam). The decay rates of the averages,
    which Malladi et al. change as well, stay the same.

    Args:
        optimizer: Name of its Keras class, in any case.
        ratio: k, the images per step divided by those for which the rate was tuned.
    """
    return ratio if optimizer.lower() == "sgd" else math.sqrt(ratio)


def warm_up_steps(steps_per_epoch: int, epochs: int) -> int:
    """Return the warm-up steps, from the tuned to the scaled learning rate.

    Five epochs (Goyal et al. 2017, 2.2), but at most a tenth of the training.

    Args:
        steps_per_epoch: Steps an epoch.
        epochs: Epochs of the training.
    """
    return math.ceil(steps_per_epoch * min(WARM_UP_EPOCHS, epochs * WARM_UP_SHARE))


def steps_per_execution(kind: str, steps_per_epoch: int) -> int:
    """Return the steps of one call: several on a TPU, else 1 for callbacks after each step.

    Args:
        kind: Kind of the devices.
        steps_per_epoch: Steps an epoch.
    """
    return min(STEPS_PER_EXECUTION, steps_per_epoch) if kind == TPU else 1


def describe(devices: Devices) -> str:
    """Describe devices and how trials and a refit use them.

    Args:
        devices: Result of `find_devices`.
    """
    import keras

    capability = devices.capability
    known = "" if capability is None else f" of compute capability {capability[0]}.{capability[1]}"
    known += " with instructions for bfloat16 matrices" if devices.bfloat16 else ""
    count = devices.count
    backend = keras.backend.backend()
    refit = f"on {devices}"
    if count > 1:
        refit += (
            f" together by {STRATEGIES[backend][devices.kind]}: {count} times the images per step, "
            f"the learning rate of the trial times {count} for SGD and times "
            f"{math.sqrt(count):.2f} for other optimizers, with a warm-up"
        )
    if devices.kind == TPU:
        refit += "; batches of one shape, several steps per call"
    lines = {
        "found": f"{devices}{known}, on {backend}",
        "trials": TRIALS[devices.kind],
        "refit": refit,
        "precision": f"{precision(devices)}, unless the recipe says otherwise",
    }
    if devices.kind != CPU:
        lines["note"] = f"kt-tuning has not been run on real {UNITS[devices.kind]}s yet"
    return "\n".join(f"{name:<10}{text}" for name, text in lines.items())
