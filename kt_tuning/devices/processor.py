"""What the processor multiplies in hardware."""

from __future__ import annotations

import functools
import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
AMX = "amx_bf16"
AVX512 = "avx512_bf16"
EVERYTHING = ("ALL", "DEFAULT")
BEFORE_AMX = ("AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512")
"""What oneDNN may be held to so that it still has AVX-512's units for bfloat16."""


@functools.cache
def multiplies_bfloat16() -> bool:
    """Whether TensorFlow multiplies matrices of bfloat16 in the processor's own units for them.

    These are, by oneDNN, Intel's Advanced Matrix Extensions (AMX; Xeons from Sapphire Rapids on)
    or the bfloat16 products of AVX-512 (AMD's from Zen 4 on). Elsewhere than on Linux it is not
    known, and taken for no. So it is where the environment keeps TensorFlow from oneDNN
    (`TF_ENABLE_ONEDNN_OPTS=0`) or that from such units (`ONEDNN_MAX_CPU_ISA`).
    """
    newest = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    amx = newest in EVERYTHING or "AMX" in newest
    units = {AMX: amx, AVX512: amx or newest in BEFORE_AMX}
    usable = {unit for unit, allowed in units.items() if allowed}
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        return False
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and usable & set(line.split()) for line in lines)
