"""What to try goes by the signal."""

import pytest

from kt_tuning.execution import advice


@pytest.mark.parametrize(
    ("reason", "memory", "native"),
    [
        ("its process was killed by SIGKILL", True, False),
        ("its process was killed by SIGSEGV", False, True),
        ("its process was killed by SIGILL", False, True),
        ("its process was killed by SIGABRT", False, True),
        ("its process was killed by SIGBUS", False, True),
        ("its process ended with status 1", True, True),
    ],
)
def test_advice(reason, memory, native):
    text = advice(reason)
    assert ("fewer workers" in text) is memory
    assert ("TF_ENABLE_ONEDNN_OPTS=0" in text) is native
    assert text[0].isupper()
    assert text.endswith(".")
