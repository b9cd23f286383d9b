"""Batch size, learning rate and steps of a training on several devices.

The batch of each device stays the same, so k devices together take k times as many images a step
and a k-th of the steps; the learning rate is scaled up.

Batch normalisation on TensorFlow uses the images of each device (Goyal et al. 2017, sections 2.3
and 3) and keeps the running means of the first one; on JAX it uses the whole batch.
"""

from __future__ import annotations

import math

from kt_tuning.devices.devices import TPU

LEAST_STEPS = 10
"""Smallest number of steps an epoch to which batches are enlarged."""
WARM_UP_EPOCHS = 5
"""Goyal et al. 2017, 2.2: of 90."""
WARM_UP_SHARE = 0.1
"""Largest share of a training."""
STEPS_PER_EXECUTION = 32
"""Steps of a TPU between two communications with its host."""


def global_batch(batch: int, devices: int, images: int) -> int:
    """Return the images a step of all devices: the batch of one times their number.

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
        ratio: k, the images a step divided by those for which the rate was tuned.
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
