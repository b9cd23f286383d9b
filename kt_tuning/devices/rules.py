"""How a training changes when several devices share it: batches, learning rate, steps.

The batch of each device stays as it was found on one. All devices together take k times as many
images a step, so there are a k-th of the steps in the same number of epochs, and each should be
longer.

Batch normalisation on TensorFlow sees a device's own images, as before (Goyal et al. 2017, 2.3 and
3), and the running means of the first device are kept; on JAX it sees the whole batch.
"""

from __future__ import annotations

import math

from kt_tuning.devices.found import TPU

LINEAR, SQUARE_ROOT = "linear", "square root"
LEAST_STEPS = 10
"""Steps of an epoch below which batches are not enlarged any further."""
WARM_UP_EPOCHS = 5
"""Goyal et al. 2017, 2.2: of 90."""
WARM_UP_SHARE = 0.1
"""Of a training, at most."""
STEPS_PER_EXECUTION = 32
"""Steps that a TPU takes between two words with its host."""


def global_batch(batch: int, devices: int, images: int) -> int:
    """Images a step, of all devices together: as many times more as there are devices.

    With few images that stops where an epoch would have fewer than 10 steps, though not below the
    batch of one device.

    Args:
        batch: Images a step that were found to be good on one device.
        devices: How many share a step.
        images: Of an epoch.

    Returns:
        A multiple of `devices`.
    """
    wanted = min(batch * devices, max(batch, images // LEAST_STEPS))
    return math.ceil(wanted / devices) * devices


def rate_rule(optimizer: str) -> str:
    """How an optimizer's learning rate grows with the batch.

    "linear" for SGD: k small steps along much the same gradient are one that is k times as long
    (Goyal et al. 2017, "Accurate, large minibatch SGD", 2.1). "square root" for all others, which
    divide by the size of the gradients: what is left for a batch to change is their noise, and
    that by √k (Malladi et al. 2022, "On the SDEs and scaling rules for adaptive gradient
    algorithms"; You et al. 2020 and Granziol et al. 2022 find the same of Adam). The decay rates
    of their averages, which Malladi et al. change as well, stay as they are.

    Args:
        optimizer: Name of its Keras class, in any case.
    """
    return LINEAR if optimizer.lower() == "sgd" else SQUARE_ROOT


def rate_factor(optimizer: str, ratio: float) -> float:
    """What the learning rate is multiplied by; see `rate_rule`.

    Args:
        optimizer: Name of its Keras class.
        ratio: k, images a step over those that the rate was found with.
    """
    return ratio if rate_rule(optimizer) == LINEAR else math.sqrt(ratio)


def warm_up_steps(steps_per_epoch: int, epochs: int) -> int:
    """Steps in which an enlarged learning rate is approached, from the one that was found.

    Five epochs (Goyal et al. 2017, 2.2), but no more than a tenth of the training.

    Args:
        steps_per_epoch: Steps of an epoch.
        epochs: Of the training.
    """
    return math.ceil(steps_per_epoch * min(WARM_UP_EPOCHS, epochs * WARM_UP_SHARE))


def steps_per_execution(kind: str, steps_per_epoch: int) -> int:
    """Steps that are taken in one call.

    Several on a TPU, which otherwise waits for its host after each; everywhere else 1, so that
    callbacks see every step.

    Args:
        kind: Of the devices.
        steps_per_epoch: Steps of an epoch.
    """
    return min(STEPS_PER_EXECUTION, steps_per_epoch) if kind == TPU else 1
