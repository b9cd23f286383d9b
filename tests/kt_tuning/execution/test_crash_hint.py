"""The hint depends on the signal."""

import pytest

from kt_tuning.execution import crash_hint


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
def test_crash_hint_depends_on_the_signal(reason, memory, native):
    text = crash_hint(reason)
    assert ("fewer workers" in text) is memory
    assert ("TF_ENABLE_ONEDNN_OPTS=0" in text) is native
    assert text[0].isupper()
    assert text.endswith(".")
