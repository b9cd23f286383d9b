"""What to try when a process that trains was killed."""

from __future__ import annotations

MEMORY = "memory may have run out: use fewer workers, smaller batches or smaller images"
NATIVE = (
    "native code failed: try smaller images, another hypermodel, or TF_ENABLE_ONEDNN_OPTS=0 in the "
    "environment"
)
FILE = "a file that it reads may have been cut short, or the disk may be full"

BY_SIGNAL = {
    "SIGKILL": MEMORY,
    "SIGSEGV": NATIVE,
    "SIGILL": NATIVE,
    "SIGFPE": NATIVE,
    "SIGABRT": NATIVE,
    "SIGBUS": f"{FILE}; or {NATIVE}",
}


def advice(reason: str = "") -> str:
    """Return a sentence about the likely cause and what to try.

    Args:
        reason: How the process ended; the signal is looked for in it.
    """
    known = (text for name, text in BY_SIGNAL.items() if name in reason)
    text = next(known, f"{MEMORY}; or {NATIVE}")
    return f"{text[0].upper()}{text[1:]}."
