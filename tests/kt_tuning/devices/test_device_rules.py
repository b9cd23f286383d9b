"""The rules by which a training changes with the devices that share it."""

import math

import pytest

from kt_tuning.core.onednn import multiplies_bfloat16
from kt_tuning.devices import (
    Devices,
    global_batch,
    precision,
    rate_factor,
    steps_per_execution,
    warm_up_steps,
)


@pytest.mark.parametrize(
    ("batch", "devices", "images", "wanted"),
    [
        (64, 1, 10_000, 64),
        (64, 4, 10_000, 256),
        (64, 8, 4_000, 400),  # 10 steps an epoch
        (64, 3, 1_000, 102),  # 100, which 3 do not divide
        (64, 8, 200, 64),  # not below that of one device
        (10, 4, 30, 12),
    ],
)
def test_batches_grow_with_devices_as_far_as_there_are_images(batch, devices, images, wanted):
    assert global_batch(batch, devices, images) == wanted


@pytest.mark.parametrize(("optimizer", "factor"), [("SGD", 4), ("Adam", 2), ("RMSprop", 2)])
def test_learning_rates_grow_with_batches(optimizer, factor):
    assert rate_factor(optimizer, 4) == factor
    assert math.isclose(rate_factor(optimizer, 1 / 4), 1 / factor)


def test_the_warm_up_takes_five_epochs_of_a_long_training_and_a_tenth_of_a_short_one():
    assert warm_up_steps(100, 90) == 500
    assert warm_up_steps(100, 20) == 200
    assert warm_up_steps(3, 1) == 1


def test_a_tpu_takes_several_steps_at_once():
    assert steps_per_execution("tpu", 100) == 32
    assert steps_per_execution("tpu", 5) == 5
    assert steps_per_execution("gpu", 100) == steps_per_execution("cpu", 100) == 1


@pytest.mark.parametrize(
    ("kind", "capability", "policy"),
    [
        ("cpu", None, "float32"),
        ("gpu", None, "float32"),
        ("gpu", (6, 1), "float32"),  # Pascal
        ("gpu", (7, 0), "mixed_float16"),  # Volta
        ("gpu", (7, 5), "mixed_float16"),  # Turing
        ("gpu", (8, 0), "mixed_bfloat16"),  # Ampere
        ("gpu", (9, 0), "mixed_bfloat16"),  # Hopper
        ("gpu", (12, 0), "mixed_bfloat16"),  # Blackwell
        ("tpu", None, "mixed_bfloat16"),
    ],
)
def test_precision_is_what_the_devices_are_fast_in(kind, capability, policy):
    assert precision(Devices(kind, ("one", "two"), 2, capability)) == policy


def test_precision_of_a_processor_with_units_for_bfloat16():
    assert precision(Devices("cpu", ("one",), 1, bfloat16=True)) == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("flags", "known"),
    [
        ("flags\t\t: fpu amx_bf16 avx2", True),
        ("flags\t\t: fpu avx512_bf16 avx2", True),
        ("flags\t\t: fpu avx512_vnni avx2", False),
        ("", False),
    ],
)
def test_units_for_bfloat16_are_read_from_the_processors_flags(flags, known, tmp_path, monkeypatch):
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr("kt_tuning.core.onednn.CPUINFO", file)
    read = multiplies_bfloat16.__wrapped__
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "ALL")
    assert not read()
    file.write_text(f"processor\t: 0\n{flags}\n")
    assert read() == known
    with monkeypatch.context() as changed:
        changed.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
        assert not read()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert not read()


@pytest.mark.parametrize(
    ("flag", "newest", "used"),
    [
        ("amx_bf16", "AVX512_CORE_AMX", True),
        ("amx_bf16", "AVX512_CORE_BF16", False),
        ("avx512_bf16", "AVX512_CORE_AMX", True),
        ("avx512_bf16", "avx512_core_bf16", True),
        ("avx512_bf16", "AVX512_CORE_VNNI", False),
    ],
)
def test_units_that_the_environment_keeps_from_onednn_do_not_count(
    flag, newest, used, tmp_path, monkeypatch
):
    file = tmp_path / "cpuinfo"
    file.write_text(f"flags : fpu {flag}\n")
    monkeypatch.setattr("kt_tuning.core.onednn.CPUINFO", file)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", newest)
    assert multiplies_bfloat16.__wrapped__() == used
