"""Instruction sets of the processor that TensorFlow uses."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
AMX = "amx_bf16"
AVX512 = "avx512_bf16"
EVERYTHING = ("ALL", "DEFAULT")
BEFORE_AMX = ("AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512")
"""Values of `ONEDNN_MAX_CPU_ISA` below AMX with AVX-512's units for bfloat16."""
AVX512_CORE = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
"""The parts of AVX-512 that oneDNN requires."""
X86 = ("x86_64", "amd64")


@functools.cache
def multiplies_bfloat16() -> bool:
    """Whether TensorFlow uses units of the processor for matrices of bfloat16.

    By oneDNN these are Intel's Advanced Matrix Extensions (AMX; Xeons from Sapphire Rapids on) or
    the bfloat16 products of AVX-512 (AMD from Zen 4 on). False on systems other than Linux, where
    it is unknown, and where the environment disables oneDNN (`TF_ENABLE_ONEDNN_OPTS=0`) or these
    units (`ONEDNN_MAX_CPU_ISA`).
    """
    newest = _newest_allowed()
    amx = newest in EVERYTHING or "AMX" in newest
    units = {AMX: amx, AVX512: amx or newest in BEFORE_AMX}
    usable = {unit for unit, allowed in units.items() if allowed}
    return _uses_onednn() and bool(usable & (_flags() or set()))


def onednn_channel_block() -> int:
    """Return the channels that oneDNN's convolutions in float32 process at a time.

    Returns:
        16 with AVX-512, 8 with AVX2; 0 on other processors, and where the environment disables
        oneDNN (`TF_ENABLE_ONEDNN_OPTS=0`) or AVX2 (`ONEDNN_MAX_CPU_ISA`). On systems other than
        Linux, where the flags of the processor are unknown, 16 for x86.
    """
    newest, flags = _newest_allowed(), _flags()
    if not _uses_onednn() or newest in ("SSE41", "AVX"):
        return 0
    if flags is None:
        flags = AVX512_CORE | {"avx2"} if platform.machine().lower() in X86 else set()
    if flags >= AVX512_CORE and not newest.startswith("AVX2"):
        return 16
    return 8 if "avx2" in flags else 0


def _uses_onednn() -> bool:
    """Whether the environment allows TensorFlow to use oneDNN."""
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false")


def _newest_allowed() -> str:
    """Return the newest instruction set that oneDNN may use, in upper case."""
    before = os.environ.get("DNNL_MAX_CPU_ISA", "ALL")
    return os.environ.get("ONEDNN_MAX_CPU_ISA", before).upper()


def _flags() -> set[str] | None:
    """Return the flags of the processor; None if they are unknown."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return None
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}
