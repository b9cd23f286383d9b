"""The fastest precision of a device."""

from __future__ import annotations

from kt_tuning.devices.found import GPU, TPU, Devices

FLOAT32, FLOAT16, BFLOAT16 = "float32", "mixed_float16", "mixed_bfloat16"
AMPERE = (8, 0)
"""Compute capability from which tensor cores support bfloat16."""
VOLTA = (7, 0)
"""Compute capability from which there are tensor cores, which support float16."""


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
        return BFLOAT16
    if devices.kind != GPU or devices.capability is None:
        return FLOAT32
    if devices.capability >= AMPERE:
        return BFLOAT16
    return FLOAT16 if devices.capability >= VOLTA else FLOAT32
