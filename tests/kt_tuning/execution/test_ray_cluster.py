"""A cluster as an option; none is needed here."""

import pytest

from kt_tuning.core.errors import OptionError
from kt_tuning.execution import Ray
from kt_tuning.execution.ray_cluster import gpus_of, room

NODES = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 3.0}, {"memory": 1e9}]


@pytest.mark.parametrize(
    ("cpus", "gpus", "expected"),
    [
        (1, 0, 11),  # 8 + 3
        (2, 0, 5),  # 4 + 1
        (1, 1, 2),  # GPUs are scarce
        (2, 0.25, 4),  # 8 quarters, but processors for 4
        (0.5, 0, 22),
        (9, 0, 0),
    ],
)
def test_room_is_what_whole_workers_fit_into_each_node(cpus, gpus, expected):
    assert room(NODES, cpus, gpus) == expected


def test_a_worker_has_a_gpu_where_there_are_any_unless_it_is_said_otherwise():
    assert gpus_of(NODES, None) == 1
    assert gpus_of(NODES[1:], None) == 0
    assert gpus_of(NODES, 0.25) == 0.25
    assert gpus_of(NODES, 0) == 0


@pytest.mark.parametrize("numbers", [{"cpus": 0}, {"gpus": -0.5}, {"gpus": 2}])
def test_numbers_out_of_range_are_refused(numbers):
    with pytest.raises(OptionError, match="Received"):
        Ray(**numbers)


def test_names_on_the_command_line():
    assert Ray.named("ray") == Ray(address="auto")
    assert Ray.named("ray://head:10001") == Ray(address="ray://head:10001")
    assert Ray.named("auto") is None
    assert Ray.named("ray?cpus=2") == Ray(cpus=2)
    assert Ray.named("ray://head:10001?cpus=2&gpus=0.25&storage=s3://bucket/folder") == Ray(
        "ray://head:10001", cpus=2, gpus=0.25, storage="s3://bucket/folder"
    )


@pytest.mark.parametrize("more", ["cpu=2", "cpus=two", "cpus", "gpus=3", "address=auto"])
def test_what_is_not_understood_is_refused(more):
    with pytest.raises(OptionError, match="Received"):
        Ray.named(f"ray?{more}")
