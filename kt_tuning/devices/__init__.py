"""Devices (processor, GPUs, TPU), and training on several of them."""

from kt_tuning.devices.description import describe
from kt_tuning.devices.found import CPU, GPU, TPU, Devices, find_devices, unasked_devices
from kt_tuning.devices.instruction_sets import onednn_channel_block
from kt_tuning.devices.policy import precision
from kt_tuning.devices.rules import (
    global_batch,
    rate_factor,
    rate_rule,
    steps_per_execution,
    warm_up_steps,
)
from kt_tuning.devices.strategies import scope, strategy
from kt_tuning.devices.tpu import connect_tpu

__all__ = [
    "CPU",
    "GPU",
    "TPU",
    "Devices",
    "connect_tpu",
    "describe",
    "find_devices",
    "global_batch",
    "onednn_channel_block",
    "precision",
    "rate_factor",
    "rate_rule",
    "scope",
    "steps_per_execution",
    "strategy",
    "unasked_devices",
    "warm_up_steps",
]
