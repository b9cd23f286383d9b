"""Devices are found without the hardware: from what TensorFlow and JAX would say."""

import sys
import types

import keras
import pytest

from kt_tuning.core.errors import OptionError
from kt_tuning.devices import (
    Devices,
    describe,
    find_devices,
    scope,
    strategy,
    unasked_devices,
)

ONE = Devices("cpu", ("/device:CPU:0",), 1)
GPUS = ("/device:GPU:0", "/device:GPU:1")
CORES = tuple(f"/device:TPU:{core}" for core in range(8))


class FakeTensorFlow:
    """TensorFlow on a machine with other devices; it notes what is done to a TPU."""

    class errors:  # noqa: N801  as TensorFlow calls it
        class OpError(Exception):
            pass

    def __init__(self, logical, capabilities=(), answers=True):
        self.calls = []
        self.config = types.SimpleNamespace(
            list_logical_devices=lambda kind: [
                types.SimpleNamespace(name=name) for name in logical.get(kind, ())
            ],
            list_physical_devices=lambda kind: list(capabilities) if kind == "GPU" else [],
            experimental=types.SimpleNamespace(
                get_device_details=lambda gpu: {"compute_capability": gpu} if gpu else {}
            ),
            experimental_connect_to_cluster=lambda tpu: self.calls.append(("connect", tpu)),
        )
        self.tpu = types.SimpleNamespace(
            experimental=types.SimpleNamespace(initialize_tpu_system=self._initialize)
        )
        self.distribute = types.SimpleNamespace(
            cluster_resolver=types.SimpleNamespace(TPUClusterResolver=self._resolve),
            TPUStrategy=lambda resolver: ("tpu", resolver),
            MirroredStrategy=lambda names: ("mirrored", names),
            OneDeviceStrategy=lambda name: ("one", name),
        )
        self._answers = answers

    def _resolve(self, tpu):
        if tpu is None:
            raise ValueError("Please provide a TPU Name to connect to.")
        return f"resolver of {tpu}"

    def _initialize(self, tpu):
        self.calls.append(("initialize", tpu))
        if not self._answers:
            raise self.errors.OpError("TPUs not found in the cluster.\nAnd much more.")


@pytest.fixture
def pretend(monkeypatch):
    assert keras.backend.backend() == "tensorflow"

    def install(*arguments, **options):
        fake = FakeTensorFlow(*arguments, **options)
        monkeypatch.setitem(sys.modules, "tensorflow", fake)
        return fake

    return install


def test_here_is_a_processor(monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    assert find_devices() == ONE
    assert str(find_devices()) == "1 processor"


def test_gpus_come_before_the_processor(pretend):
    pretend({"GPU": GPUS, "CPU": ["/device:CPU:0"]}, [(9, 0), (8, 6)])
    found = find_devices()
    assert found == Devices("gpu", GPUS, 2, (8, 6))
    assert not found.alone
    assert strategy(found) == ("mirrored", GPUS)
    assert strategy(found.take(1)) == ("one", "/device:GPU:0")


def test_what_one_gpu_does_not_say_is_not_known_of_all(pretend):
    pretend({"GPU": GPUS}, [(8, 0), None])
    assert find_devices().capability is None


def test_a_stand_in_for_a_tpu_is_connected_started_and_given_its_strategy(pretend):
    tensorflow = pretend({"TPU": CORES, "CPU": ["/device:CPU:0"]})
    resolver = object()
    found = find_devices(resolver)
    assert tensorflow.calls == [("connect", resolver), ("initialize", resolver)]
    assert (found.kind, found.names, found.alone) == ("tpu", CORES, False)
    assert strategy(found) == ("tpu", resolver)


def test_a_tpu_is_found_by_its_address(pretend):
    tensorflow = pretend({"TPU": CORES})
    assert strategy(find_devices("local")) == ("tpu", "resolver of local")
    assert [name for name, _ in tensorflow.calls] == ["connect", "initialize"]


def test_a_tpu_that_was_not_asked_for_is_left_alone(pretend):
    tensorflow = pretend({"TPU": CORES, "CPU": ["/device:CPU:0"]})
    assert find_devices() == ONE
    assert tensorflow.calls == []


@pytest.mark.parametrize(
    ("logical", "kind"),
    [
        ({"TPU": CORES, "GPU": GPUS, "CPU": ["/device:CPU:0"]}, "gpu"),
        ({"TPU": CORES, "CPU": ["/device:CPU:0"]}, "cpu"),
    ],
)
def test_of_its_own_accord_tensorflow_uses_no_tpu_though_one_is_named(
    pretend, monkeypatch, logical, kind
):
    monkeypatch.setenv("TPU_NAME", "local")
    tensorflow = pretend(logical, [(8, 0), (8, 0)])
    assert unasked_devices().kind == kind
    assert tensorflow.calls == []


def test_of_other_backends_the_processor_is_known(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert unasked_devices() == Devices("cpu", ("cpu",), 1)


def test_a_tpu_that_does_not_answer_is_told_apart_from_others(pretend):
    pretend({"CPU": ["/device:CPU:0"]}, answers=False)
    with pytest.raises(OptionError, match=r"'grpc://x'.*none answers \(TPUs not found.*\.\)$"):
        find_devices("grpc://x")


def test_only_so_many_can_be_taken():
    found = Devices("gpu", GPUS, 2)
    assert found.take(None) is found.take(2) is found
    one = found.take(1)
    # There is another one, so that it has to be said which.
    assert (one.names, one.alone) == (GPUS[:1], False)
    for count in (0, 3):
        with pytest.raises(OptionError, match=f"here 2.*devices={count}"):
            found.take(count)
    with pytest.raises(OptionError, match="All 8 cores"):
        Devices("tpu", CORES, 8).take(4)


def test_the_only_device_needs_no_strategy():
    import tensorflow as tf

    with scope(ONE):
        assert not tf.distribute.has_strategy()
    with scope(Devices("cpu", ("/device:CPU:0",), 2)):
        assert isinstance(tf.distribute.get_strategy(), tf.distribute.OneDeviceStrategy)
    assert not tf.distribute.has_strategy()


def test_what_was_found_is_said_and_what_will_be_done():
    text = describe(Devices("gpu", GPUS, 2, (8, 0)))
    assert "2 GPUs of compute capability 8.0, on tensorflow" in text
    assert "MirroredStrategy" in text
    assert "2 times the images per step" in text
    assert "times 2 for SGD and times 1.41 for other optimizers" in text
    assert "mixed_bfloat16" in text
    assert "not been run on real GPUs" in text
    assert "TPUStrategy" in describe(Devices("tpu", CORES, 8))
    text = describe(Devices("cpu", ("/device:CPU:0",), 1, bfloat16=True))
    assert "1 processor with instructions for bfloat16 matrices" in text
    text = describe(ONE)
    assert "1 processor, on" in text
    assert "Strategy" not in text
    assert "not been run" not in text
