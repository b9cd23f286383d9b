"""oneDNN is enabled where TensorFlow would not use it, before TensorFlow is imported."""

import subprocess
import sys

import pytest

from kt_tuning.core import onednn

OLD, NEW = "fpu avx2 fma", "fpu avx2 fma avx512_vnni"


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Set the flags of the processor; nothing has been enabled yet."""
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(onednn, "CPUINFO", file)
    monkeypatch.setattr(onednn, "_lacking", False)
    monkeypatch.delenv(onednn.SWITCH, raising=False)
    return lambda flags: file.write_text(f"flags\t\t: {flags}\n")


@pytest.mark.parametrize(
    ("flags", "expected"), [(OLD, "1"), (NEW, None), ("fpu sse4_1", None), ("", None)]
)
def test_onednn_is_enabled_where_tensorflow_would_not_use_it(
    flags, expected, processor, monkeypatch
):
    monkeypatch.delitem(sys.modules, "tensorflow")
    processor(flags)
    onednn.enable_onednn()
    assert onednn.os.environ.get(onednn.SWITCH) == expected
    assert not onednn.lacks_onednn()


@pytest.mark.usefixtures("processor")
def test_on_a_system_that_does_not_tell_nothing_is_set():
    onednn.enable_onednn()
    assert onednn.SWITCH not in onednn.os.environ


def test_what_the_user_has_set_stays(processor, monkeypatch):
    processor(OLD)
    monkeypatch.setenv(onednn.SWITCH, "0")
    onednn.enable_onednn()
    assert onednn.os.environ[onednn.SWITCH] == "0"
    assert not onednn.lacks_onednn()
    assert onednn.onednn_channel_block() == 0


def test_after_tensorflow_it_is_for_workers_alone(processor):
    processor(OLD)
    onednn.enable_onednn()
    assert onednn.os.environ[onednn.SWITCH] == "1"
    assert onednn.lacks_onednn()
    assert onednn.onednn_channel_block() == 0


def test_importing_the_package_enables_it():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True
    )
    assert len(set(done.stdout.split())) == 1, done.stdout


IMPORTED = """
import os
os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)
import kt_tuning
from kt_tuning.core import onednn
print(os.environ.pop("TF_ENABLE_ONEDNN_OPTS", "unset"))
onednn.enable_onednn()
print(os.environ.get("TF_ENABLE_ONEDNN_OPTS", "unset"))
"""
