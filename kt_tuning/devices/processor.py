"""What the processor multiplies in hardware."""

from __future__ import annotations

import functools
import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
AMX = "amx_bf16"


@functools.cache
def multiplies_bfloat16() -> bool:
    """Whether TensorFlow multiplies matrices of bfloat16 in the processor's own units for them.

    These are Intel's Advanced Matrix Extensions (AMX; Xeons from Sapphire Rapids on), by oneDNN.
    Elsewhere than on Linux it is not known, and taken for no. So it is where the environment
    keeps TensorFlow from oneDNN (`TF_ENABLE_ONEDNN_OPTS=0`) or that from such units
    (`ONEDNN_MAX_CPU_ISA`).
    """
    newest = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    allowed = newest in ("ALL", "DEFAULT") or newest.endswith("AMX")
    if not allowed or os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        return False
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and AMX in line.split() for line in lines)
