"""Devices (processor, GPUs, TPU), and training on several of them."""

from kt_tuning.devices.devices import (
    CPU,
    Devices,
    find_devices,
    scope,
    strategy,
    unasked_devices,
)
from kt_tuning.devices.rules import (
    describe,
    global_batch,
    precision,
    rate_factor,
    steps_per_execution,
    warm_up_steps,
)

__all__ = [
    "CPU",
    "Devices",
    "describe",
    "find_devices",
    "global_batch",
    "precision",
    "rate_factor",
    "scope",
    "steps_per_execution",
    "strategy",
    "unasked_devices",
    "warm_up_steps",
]
