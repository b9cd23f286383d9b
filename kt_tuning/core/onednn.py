"""oneDNN, the library with which TensorFlow computes on processors: whether and how it is used."""

from __future__ import annotations

import functools
import os
import platform
import sys
from pathlib import Path

SWITCH = "TF_ENABLE_ONEDNN_OPTS"
CPUINFO = Path("/proc/cpuinfo")
AVX2 = "avx2"
AMX = "amx_bf16"
AVX512 = "avx512_bf16"
ON_BY_DEFAULT = {"avx512_vnni", AVX512, "avx_vnni", "amx_tile", "amx_int8", AMX}
"""TensorFlow uses oneDNN by default on Linux if the processor has one of these."""
EVERYTHING = ("ALL", "DEFAULT")
BEFORE_AMX = ("AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512")
"""Limits of oneDNN that still allow the bfloat16 units of AVX-512."""
AVX512_CORE = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
"""The parts of AVX-512 that oneDNN requires."""
X86 = ("x86_64", "amd64")


_lacking = False


def enable_onednn() -> None:
    """Have TensorFlow use oneDNN on processors with AVX2 on which it does not by default.

    These are AMD's before Zen 4 and Intel's before Cascade Lake. On two cores of an AMD EPYC with
    AVX2, `ConvNet` at 96 pixels and `FineTune` at 160 train twice as many images a second. It sets
    the environment variable `TF_ENABLE_ONEDNN_OPTS`, also for workers, unless it is set;
    TensorFlow reads it once, when it is imported.
    """
    global _lacking
    flags = _flags() or set()
    if SWITCH in os.environ or AVX2 not in flags or flags & ON_BY_DEFAULT:
        return
    os.environ[SWITCH] = "1"
    _lacking = "tensorflow" in sys.modules


def lacks_onednn() -> bool:
    """Return whether this process lacks oneDNN because TensorFlow was imported before kt_tuning.

    Workers have it all the same: they are processes of their own.
    """
    return _lacking


@functools.cache
def multiplies_bfloat16() -> bool:
    """Return whether TensorFlow multiplies bfloat16 matrices in units of the processor for them.

    With oneDNN these are Intel's Advanced Matrix Extensions (AMX; Xeons from Sapphire Rapids on)
    or the bfloat16 products of AVX-512 (AMD's from Zen 4 on). False on other systems
    than Linux, where it is unknown, and if the environment disables oneDNN
    (`TF_ENABLE_ONEDNN_OPTS=0`) or its use of these units (`ONEDNN_MAX_CPU_ISA`).
    """
    newest = _newest_allowed()
    amx = newest in EVERYTHING or "AMX" in newest
    units = {AMX: amx, AVX512: amx or newest in BEFORE_AMX}
    usable = {unit for unit, allowed in units.items() if allowed}
    return _is_allowed() and bool(usable & (_flags() or set()))


def onednn_channel_block() -> int:
    """Return the channels of a feature map that oneDNN's float32 convolutions process at a time.

    Returns:
        16 with AVX-512, 8 with AVX2; 0 on other processors, and if the environment disables oneDNN
        (`TF_ENABLE_ONEDNN_OPTS=0`) or its use of AVX2 (`ONEDNN_MAX_CPU_ISA`). On other systems than
        Linux the flags of the processor are unknown: 16 for x86.
    """
    newest, flags = _newest_allowed(), _flags()
    if not _is_allowed() or newest in ("SSE41", "AVX"):
        return 0
    if flags is None:
        flags = AVX512_CORE | {AVX2} if platform.machine().lower() in X86 else set()
    if flags >= AVX512_CORE and not newest.startswith("AVX2"):
        return 16
    return 8 if AVX2 in flags else 0


def _is_allowed() -> bool:
    """Return whether TensorFlow uses oneDNN, as far as the environment tells."""
    return not _lacking and os.environ.get(SWITCH, "1").lower() not in ("0", "false")


def _newest_allowed() -> str:
    """Return the newest instruction set that oneDNN may use, in upper case."""
    before = os.environ.get("DNNL_MAX_CPU_ISA", "ALL")
    return os.environ.get("ONEDNN_MAX_CPU_ISA", before).upper()


def _flags() -> set[str] | None:
    """Return the flags of the processor; None if unknown."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}
