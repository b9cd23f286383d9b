"""The likely cause of a crashed training process, and what to try."""

from __future__ import annotations

MEMORY = "memory may have run out: use fewer workers, smaller batches or smaller images"
NATIVE = (
    "native code failed: try smaller images, another hypermodel, or TF_ENABLE_ONEDNN_OPTS=0 in the "
    "environment"
)
FILE = "a file that it reads may have been truncated, or the disk may be full"

BY_SIGNAL = {
    "SIGKILL": MEMORY,
    "SIGSEGV": NATIVE,
    "SIGILL": NATIVE,
    "SIGFPE": NATIVE,
    "SIGABRT": NATIVE,
    "SIGBUS": f"{FILE}; or {NATIVE}",
}


def crash_hint(reason: str = "") -> str:
    """Return a sentence about the likely cause and what to try.

    Args:
        reason: How the process ended; the name of a signal in it selects the hint.
    """
    known = (text for name, text in BY_SIGNAL.items() if name in reason)
    text = next(known, f"{MEMORY}; or {NATIVE}")
    return f"{text[0].upper()}{text[1:]}."
