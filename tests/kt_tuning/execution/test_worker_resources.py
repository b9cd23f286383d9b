"""GPUs are shared out without hardware: from what nvidia-smi would print."""

import os
import sys
import types

import pytest

from kt_tuning.execution import worker_resources
from kt_tuning.execution.worker_resources import Gpu

LISTING = "0, GPU-0a1b, 16384\n1, GPU-0c2d, 16384\n2, GPU-3e4f, [N/A]\n"
ALL = [Gpu("0", 16384), Gpu("1", 16384), Gpu("2", 0)]


@pytest.mark.parametrize(
    ("visible", "chosen"),
    [
        (None, ALL),
        ("0,1,2", ALL),
        ("1", ALL[1:2]),
        ("2, 0", [ALL[2], ALL[0]]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ALL[:1]),
        ("0,7,1", ALL[:1]),
        ("GPU-3e4f,GPU-0c", [Gpu("GPU-3e4f", 0), Gpu("GPU-0c", 16384)]),
        ("GPU-0", []),  # which of the two is not said
    ],
)
def test_cuda_visible_devices_is_respected(visible, chosen):
    assert worker_resources.select_gpus(LISTING, visible) == chosen


def test_without_nvidia_smi_there_are_no_gpus(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert worker_resources.visible_gpus() == []


def assigned(slots, gpus):
    return [
        worker_resources.gpu_environment(slot, slots, gpus).get("CUDA_VISIBLE_DEVICES")
        for slot in range(slots)
    ]


def test_workers_take_gpus_in_turn():
    assert assigned(2, ALL) == ["0", "1"]
    assert assigned(5, ALL) == ["0", "1", "2", "0", "1"]
    assert assigned(2, []) == [None, None]


def test_a_worker_with_a_gpu_of_its_own_may_use_all_of_it():
    assert worker_resources.gpu_environment(1, 3, ALL) == {
        "CUDA_VISIBLE_DEVICES": "1",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }


def test_workers_on_one_gpu_share_nine_tenths_of_its_memory():
    shares = [worker_resources.gpu_environment(slot, 5, ALL[:2]) for slot in range(5)]
    # Three on the first, two on the second: 0.9 · 16384 / 3 and / 2.
    limits = [int(share["KT_TUNING_GPU_MEMORY"]) for share in shares]
    assert limits == [4915, 7372, 4915, 7372, 4915]
    fractions = [share["XLA_PYTHON_CLIENT_MEM_FRACTION"] for share in shares]
    assert fractions == ["0.300", "0.450", "0.300", "0.450", "0.300"]


def test_memory_that_is_not_known_is_not_capped():
    assert "KT_TUNING_GPU_MEMORY" not in worker_resources.gpu_environment(0, 2, ALL[2:])


def test_tensorflow_is_held_to_the_limit(monkeypatch):
    limited = []
    config = types.SimpleNamespace(
        list_physical_devices=lambda kind: [f"{kind}:0"],
        set_logical_device_configuration=lambda *arguments: limited.append(arguments),
        LogicalDeviceConfiguration=dict,
    )
    monkeypatch.setitem(sys.modules, "tensorflow", types.SimpleNamespace(config=config))
    monkeypatch.delenv(worker_resources.GPU_LIMIT, raising=False)
    worker_resources.limit_gpu_memory()
    assert limited == []
    monkeypatch.setenv(worker_resources.GPU_LIMIT, "4915")
    worker_resources.limit_gpu_memory()
    assert limited == [("GPU:0", [{"memory_limit": 4915}])]


def test_automatic_is_a_worker_a_gpu(monkeypatch):
    monkeypatch.setattr(worker_resources, "visible_gpus", lambda: ALL)
    assert worker_resources.automatic_workers() == 3


def test_automatic_without_gpus_is_a_worker_a_processor_as_far_as_memory_goes(monkeypatch):
    monkeypatch.setattr(worker_resources, "visible_gpus", list)
    monkeypatch.setattr(worker_resources, "count_processors", lambda: 64)
    sizes = {"SC_AVPHYS_PAGES": 5 * 2**18, "SC_PAGE_SIZE": 2**12}  # 5 GiB
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert worker_resources.automatic_workers() == 3
    monkeypatch.setattr(worker_resources, "count_processors", lambda: 2)
    assert worker_resources.automatic_workers() == 2


def test_automatic_is_one_worker_on_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(worker_resources, "visible_gpus", lambda: ALL)
    assert worker_resources.automatic_workers() == 1
